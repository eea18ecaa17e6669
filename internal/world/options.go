package world

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
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
	// HAProxyBin is the HAProxy that every node runs; empty means haproxyproc.Find. It must keep its working directory.
	HAProxyBin string
	// DataPlaneBin is a real Data Plane API, 2.x or 3.x, to run in place of the built-in data plane, one a node.
	DataPlaneBin string
	// DataPlaneVia is told each node's name and the host:port of its data plane before anything starts, and returns the
	// host:port that the gateways are told instead: that of a proxy which a test can break. Nil changes nothing.
	DataPlaneVia func(node, address string) (string, error)
	// Gateways is how many gateway processes share the store, each on a port of its own; 1 if zero. More need Postgres.
	Gateways int
	// NoSockets tells the gateways of no node's sockets: running streams are not cut, and older workers are not reached.
	NoSockets bool
	// Discovery finds the nodes of prod by DNS, if it is not nil; they are not listed then.
	Discovery *Discovery
	// ManagedNode is a node whose enforcement part of haproxy.cfg the gateway puts there and keeps; none if empty. It can be one
	// only: what is put there binds one address, and here each node has a port of its own.
	ManagedNode string
	// Leases are the environments' leases by name; "off" for staging and "30s" for prod where they are not set.
	Leases map[string]string
	// Policy is the policy's document; that of the demo if it is nil. It is kept in policy.yaml in Dir.
	Policy []byte
	// Postgres keeps the store, and Clutch's tokens, in place of the embedded store, if it is not nil.
	Postgres *Postgres
	// Agents are service accounts that ask for access by themselves. Clutch has service accounts with Postgres only.
	Agents []Agent
	// Profiling has the gateways serve Go's profiles at /debug/pprof/, on loopback.
	Profiling bool
	// TokenTTL is how long an access token lives; 10 minutes if zero.
	TokenTTL time.Duration
	// Progress is told what is done next, a line each; nil tells nobody.
	Progress func(string)
}

// Discovery is where nodes are found: a name of SRV records that point at their data planes, and the host:port of a DNS server.
// Nodes are then called found-127-0-0-1-<port of the data plane>, without a log of their use: that goes by the nodes' names.
type Discovery struct{ SRV, Resolver string }

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
	// Gateway is that of the first gateway; others listen where it is free.
	Gateway, Issuer int
	// HAProxy and DataPlane are each the first of three in a row, one a node.
	HAProxy, DataPlane int
	// Services is the first of six in a row, one a pool.
	Services int
}

// DefaultPorts are those of the demo.
func DefaultPorts() Ports {
	return Ports{Gateway: 8080, HAProxy: 8000, DataPlane: 5555, Issuer: 5559, Services: 9101}
}

var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]+$`)

// complete checks the options, makes paths absolute and fills in what is not set.
func (o Options) complete() (Options, error) {
	if o.Dir == "" || o.BinDir == "" {
		return o, errors.New("check options: Dir and BinDir are required")
	}
	for _, path := range []*string{&o.Dir, &o.BinDir, &o.HAProxyBin, &o.DataPlaneBin} {
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
	if o.ManagedNode != "" && !slices.ContainsFunc(demoNodes(), func(n demoNode) bool { return n.Name == o.ManagedNode }) {
		return o, fmt.Errorf("check options: there is no node %q", o.ManagedNode)
	}
	if o.Gateways == 0 {
		o.Gateways = 1
	}
	if o.Gateways < 0 || o.Gateways > 1 && o.Postgres == nil {
		return o, fmt.Errorf("check options: %d gateways: several of them share a store in Postgres only", o.Gateways)
	}
	if o.TokenTTL == 0 {
		o.TokenTTL = 10 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func url(port int) string { return "http://" + address(port) }
