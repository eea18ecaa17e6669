//go:build !linux

package accesslog

import (
	"net"
	"net/netip"
)

type udpConn struct{ *net.UDPConn }

func newUDP(connection *net.UDPConn) packetConn { return udpConn{connection} }

func (c udpConn) read(buffer []byte) (int, netip.Addr, int64, error) {
	n, from, err := c.ReadFromUDPAddrPort(buffer)
	return n, from.Addr(), 0, err
}
