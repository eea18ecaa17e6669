package accesslog

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
)

// udpConn learns from Linux how many datagrams were dropped because nobody read them in time.
type udpConn struct {
	*net.UDPConn
	control []byte
	dropped uint32
}

func newUDP(connection *net.UDPConn) packetConn {
	if raw, err := connection.SyscallConn(); err == nil {
		// Without it nothing is said about dropped ones, which is all that can go wrong.
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RXQ_OVFL, 1)
		})
	}
	return &udpConn{UDPConn: connection, control: make([]byte, syscall.CmsgSpace(4))}
}

func (c *udpConn) read(buffer []byte) (int, netip.Addr, int64, error) {
	n, controls, _, from, err := c.ReadMsgUDPAddrPort(buffer, c.control)
	if err != nil {
		return 0, netip.Addr{}, 0, err
	}
	return n, from.Addr(), c.overflow(c.control[:controls]), nil
}

// overflow reads the socket's counter, which wraps around.
func (c *udpConn) overflow(control []byte) int64 {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	var more uint32
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_RXQ_OVFL && len(m.Data) >= 4 {
			now := binary.NativeEndian.Uint32(m.Data)
			more, c.dropped = now-c.dropped, now
		}
	}
	return int64(more)
}
