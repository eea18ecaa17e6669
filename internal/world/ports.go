package world

import (
	"errors"
	"fmt"
	"net"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// assigned are the ports that a world listens on, each kind in its order.
type assigned struct {
	issuer int
	// log is a UDP port.
	log                                     int
	gateways, haproxy, dataPlanes, services []int
}

// assignPorts takes rows of ports where they are set, and free ones where they are not.
func assignPorts(ports Ports, gateways, nodes, services int) (assigned, error) {
	free, err := haproxyproc.FreePorts(1 + gateways + 2*nodes + services)
	if err != nil {
		return assigned{}, err
	}
	row := func(first, n int) []int {
		own := free[:n]
		free = free[n:]
		for i := range own {
			if first != 0 {
				own[i] = first + i
			}
		}
		return own
	}
	a := assigned{issuer: row(ports.Issuer, 1)[0]}
	if a.log, err = freeUDPPort(); err != nil {
		return assigned{}, err
	}
	a.gateways = append(row(ports.Gateway, 1), row(0, gateways-1)...)
	a.haproxy, a.dataPlanes, a.services = row(ports.HAProxy, nodes), row(ports.DataPlane, nodes), row(ports.Services, services)
	return a, nil
}

func freeUDPPort() (int, error) {
	connection, err := net.ListenPacket("udp", address(0))
	if err != nil {
		return 0, fmt.Errorf("find free port: %w", err)
	}
	defer connection.Close()
	return connection.LocalAddr().(*net.UDPAddr).Port, nil
}

// check tries whether all ports are free, since a program that cannot listen says so in its log only. It names the demo's
// variable of each that is not.
func (a assigned) check() error {
	used := make(map[int]string)
	var errs []error
	for _, kind := range []struct {
		name  string
		ports []int
	}{
		{"DEMO_GATEWAY_PORT", a.gateways}, {"DEMO_HAPROXY_PORT", a.haproxy}, {"DEMO_DATAPLANE_PORT", a.dataPlanes},
		{"DEMO_ISSUER_PORT", []int{a.issuer}}, {"DEMO_SERVICE_PORT", a.services},
	} {
		for i, port := range kind.ports {
			name := kind.name
			if i > 0 {
				name = fmt.Sprintf("%s+%d", name, i)
			}
			if other, taken := used[port]; taken {
				errs = append(errs, fmt.Errorf("port %d is both %s and %s, choose another", port, other, name))
				continue
			}
			used[port] = name
			listener, err := net.Listen("tcp", address(port))
			if err != nil {
				errs = append(errs, fmt.Errorf("port %d is taken, choose another (%s): %w", port, name, err))
				continue
			}
			_ = listener.Close() // it only had to be possible
		}
	}
	return errors.Join(errs...)
}
