package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
)

// socketMode lets HAProxy write to a unix socket by its group. A directory with the set-group-id bit makes that HAProxy's.
const socketMode = 0o660

// readBuffer is what the system may keep for us, as far as it lets us.
const readBuffer = 4 << 20

// packetConn is an open socket for datagrams.
type packetConn interface {
	// read reads one datagram; one that is longer than the buffer fills it. from is not valid for a unix socket. overflow
	// is how many datagrams the system dropped since the last call, as far as it says so.
	read(buffer []byte) (n int, from netip.Addr, overflow int64, err error)
	LocalAddr() net.Addr
	Close() error
}

func parseListen(text string) (network, address string, err error) {
	network, address, _ = strings.Cut(text, ":")
	switch {
	case network == "unix" && strings.HasPrefix(address, "/"):
		return network, address, nil
	case network == "udp":
		if _, port, err := net.SplitHostPort(address); err == nil && port != "" {
			return network, address, nil
		}
	}
	return "", "", fmt.Errorf("receive access log: %q is neither udp:host:port nor unix:/path", text)
}

func listen(text string) (packetConn, error) {
	network, address, err := parseListen(text)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return listenUnix(address)
	}
	resolved, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	connection, err := net.ListenUDP("udp", resolved)
	if err != nil {
		return nil, err
	}
	// Best effort: the system has a limit of its own, and what does not fit is counted.
	_ = connection.SetReadBuffer(readBuffer)
	return newUDP(connection), nil
}

type unixConn struct{ *net.UnixConn }

func (c unixConn) read(buffer []byte) (int, netip.Addr, int64, error) {
	n, _, err := c.ReadFromUnix(buffer)
	return n, netip.Addr{}, 0, err
}

// Close removes the socket's file as well: net does so for listeners alone.
func (c unixConn) Close() error {
	return errors.Join(c.UnixConn.Close(), os.Remove(c.LocalAddr().String()))
}

// listenUnix replaces a socket that a killed process left behind, and nothing else.
func listenUnix(path string) (packetConn, error) {
	address := &net.UnixAddr{Net: "unixgram", Name: path}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s is there and no socket", path)
		}
		if other, err := net.DialUnix("unixgram", nil, address); err == nil {
			other.Close()
			return nil, fmt.Errorf("somebody listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	connection, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, unixConn{connection}.Close())
	}
	_ = connection.SetReadBuffer(readBuffer)
	return unixConn{connection}, nil
}
