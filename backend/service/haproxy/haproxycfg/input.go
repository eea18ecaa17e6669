package haproxycfg

import (
	"time"
)

// Input is all that the rendering depends on. FromConfig makes one out of the gateway's configuration.
type Input struct {
	// Issuer is the iss of our own tokens.
	Issuer string
	// ClutchURL is where people reach Clutch, without a path and without a final slash.
	ClutchURL string

	Environments      []Environment
	Nodes             []Node
	IdentityProviders []IdentityProvider
	// Keys are ours and the identity providers', in any order.
	Keys []PublicKey

	// Directories on the node.
	MapsDir, KeysDir, PagesDir string
	// HardStopAfter is how long an old worker may live after a reload.
	HardStopAfter time.Duration
	Binds         []Bind
	// NodeName is what the access log calls the node; its lines name none if it is empty. ForNode sets it.
	NodeName string
	// SignatureCache saves the computing of a signature that was verified before.
	SignatureCache bool
	// Standalone is what a complete haproxy.cfg needs beside the enforcement part; nil if only that part is wanted.
	Standalone *Standalone
}

// Environment is a set of nodes that enforce the same grants.
type Environment struct {
	Name string
	// Lease is how long a node may trust its rows; 0 means off.
	Lease time.Duration
	Pools []Pool
}

// Pool is an HAProxy backend that access is asked for.
type Pool struct {
	Name    string
	Backend string
	Hosts   []string
	// Servers are those of a standalone configuration.
	Servers []Server
}

// Server is one server of a pool.
type Server struct {
	Name    string
	Address string // an IP address
	Port    uint32
}

// Node is one HAProxy and the environments that it serves.
type Node struct {
	Name         string
	Environments []string
}

// IdentityProvider is one whose ID tokens prove a person's identity to HAProxy.
type IdentityProvider struct {
	Name     string
	Issuer   string
	Audience string
	KIDs     []string
}

// Bind is an address that the frontend listens on.
type Bind struct {
	Address string
	// Certificate is a PEM file on the node; plain HTTP if it is empty.
	Certificate string
}

// Standalone is what a complete haproxy.cfg has beside the enforcement part.
type Standalone struct {
	StatsSocket string
	// Log is host:port of a syslog server, "unix:/path" of its socket, or "stdout"; no log if it is empty.
	Log string
	// MaxConn is 4000 if it is 0.
	MaxConn uint32
}

// ForNode is the input of one node: only the environments that it serves. The second result is false if there is no
// such node.
func (in Input) ForNode(name string) (Input, bool) {
	for _, node := range in.Nodes {
		if node.Name != name {
			continue
		}
		served := map[string]bool{}
		for _, environment := range node.Environments {
			served[environment] = true
		}
		all := in.Environments
		in.Environments = nil
		for _, environment := range all {
			if served[environment.Name] {
				in.Environments = append(in.Environments, environment)
			}
		}
		in.Nodes, in.NodeName = []Node{node}, node.Name
		return in, true
	}
	return Input{}, false
}
