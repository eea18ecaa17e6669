package world

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// Options say where and how a World runs. Dir and BinDir are required.
type Options struct {
	// Dir keeps all state; it is made if it is missing. Letters, digits and ._/- only, since HAProxy's configuration and
	// shell commands name files in it.
	Dir string
	// BinDir holds the programs that Build makes.
	BinDir string
	// Ports are those of 127.0.0.1 to listen on; a zero one is chosen freely.
	Ports Ports
	// DataPlaneBin is a real Data Plane API (2.x) to run in place of the built-in data plane.
	DataPlaneBin string
	// Leases are the environments' leases by name; "off" for staging and "30s" for prod where they are not set.
	Leases map[string]string
	// Policy is the policy's document; that of the demo if it is nil. It is kept in policy.yaml in Dir.
	Policy []byte
	// Postgres keeps the store, and Clutch's tokens, in place of the embedded store, if it is not nil.
	Postgres *Postgres
	// Agents are service accounts that ask for access by themselves. Clutch has service accounts with Postgres only.
	Agents []Agent
	// TokenTTL is how long an access token lives; 10 minutes if zero.
	TokenTTL time.Duration
	// Progress is told what is done next, a line each; nil tells nobody.
	Progress func(string)
}

// Postgres is a database that is there, and Clutch's tables in it.
type Postgres struct {
	Host                     string
	Port                     int
	User, Password, Database string
}

// Agent is a program that asks for access for its owner.
type Agent struct{ Name, ServiceAccount, Owner string }

// Ports are TCP ports on 127.0.0.1.
type Ports struct {
	Gateway, HAProxy, DataPlane, Issuer int
	// Services is the first of as many ports as there are pools.
	Services int
}

// DefaultPorts are those of the demo.
func DefaultPorts() Ports {
	return Ports{Gateway: 8080, HAProxy: 8000, DataPlane: 5555, Issuer: 5556, Services: 9101}
}

var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)

// complete checks the options, makes paths absolute and fills in what is not set.
func (o Options) complete() (Options, error) {
	if o.Dir == "" || o.BinDir == "" {
		return o, errors.New("check options: Dir and BinDir are required")
	}
	for _, path := range []*string{&o.Dir, &o.BinDir, &o.DataPlaneBin} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, fmt.Errorf("check options: %w", err)
		}
		*path = absolute
	}
	if !plainPath.MatchString(o.Dir) {
		return o, fmt.Errorf("check options: the directory %q may have letters, digits and ._/- only", o.Dir)
	}
	leases := map[string]string{"staging": "off", "prod": "30s"}
	for name, lease := range o.Leases {
		if leases[name] == "" {
			return o, fmt.Errorf("check options: there is no environment %q", name)
		}
		leases[name] = lease
	}
	o.Leases = leases
	if o.TokenTTL == 0 {
		o.TokenTTL = 10 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o, nil
}

// portName is how the demo calls a port, for errors.
type portName struct {
	port *int
	name string
}

func (p *Ports) named() []portName {
	return []portName{
		{&p.Gateway, "DEMO_GATEWAY_PORT"}, {&p.HAProxy, "DEMO_HAPROXY_PORT"}, {&p.DataPlane, "DEMO_DATAPLANE_PORT"},
		{&p.Issuer, "DEMO_ISSUER_PORT"},
	}
}

// assignPorts chooses the ports that are not set, and returns those of the services.
func assignPorts(ports Ports, services int) (Ports, []int, error) {
	named := ports.named()
	free, err := haproxyproc.FreePorts(len(named) + services)
	if err != nil {
		return ports, nil, err
	}
	for i, p := range named {
		if *p.port == 0 {
			*p.port = free[i]
		}
	}
	own := free[len(named):]
	if ports.Services != 0 {
		for i := range own {
			own[i] = ports.Services + i
		}
	}
	return ports, own, nil
}

// checkPorts tries whether all ports are free, since a program that cannot listen says so in its log only.
func checkPorts(ports Ports, services []int) error {
	all := ports.named()
	for i := range services {
		all = append(all, portName{&services[i], "DEMO_SERVICE_PORT"})
	}
	var errs []error
	for _, p := range all {
		listener, err := net.Listen("tcp", address(*p.port))
		if err != nil {
			errs = append(errs, fmt.Errorf("port %d is taken, choose another (%s): %w", *p.port, p.name, err))
			continue
		}
		_ = listener.Close() // it only had to be possible
	}
	return errors.Join(errs...)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func url(port int) string { return "http://" + address(port) }
