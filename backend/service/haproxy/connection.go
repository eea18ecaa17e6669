package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/runtimeapi"
)

// callTimeout bounds each call to a node.
const callTimeout = 5 * time.Second

// defaultClockBound is how far a node's clock may be off where the configuration says nothing.
const defaultClockBound = 2 * time.Second

// connection is how a node is reached.
type connection struct {
	client *dataplane.Client
	// sockets are HAProxy's own; nil where the configuration names none.
	sockets    *runtimeapi.Client
	clockBound time.Duration
	// managed says that we keep the enforcement part of its haproxy.cfg.
	managed bool
	// settings tells connections apart: it is another whenever anything about it is.
	settings string
}

// newConnection checks a node's settings; it calls nobody. mapsDir is where the maps are on the node.
func newConnection(n *haproxyv1.Node, mapsDir string) (*connection, error) {
	d := n.GetDataplane()
	options := dataplane.Options{
		URL: d.GetUrl(), Username: d.GetUsername(), Password: dataplane.FilePassword(d.GetPasswordFile()),
		AllowPlaintext: d.GetAllowPlaintext(), Timeout: callTimeout,
	}
	// A missing file must stop the start, not only the first pass.
	if _, err := options.Password(); err != nil {
		return nil, fmt.Errorf("dataplane.password_file: %w", err)
	}
	if d.GetCaFile() != "" {
		options.Roots = dataplane.FileRoots(d.GetCaFile())
		if _, err := options.Roots(); err != nil {
			return nil, fmt.Errorf("dataplane.ca_file: %w", err)
		}
	}
	if (d.GetClientCertificateFile() == "") != (d.GetClientKeyFile() == "") {
		return nil, errors.New("dataplane.client_certificate_file: it and client_key_file go together")
	}
	if d.GetClientCertificateFile() != "" {
		options.ClientCertificate = dataplane.FileCertificate(d.GetClientCertificateFile(), d.GetClientKeyFile())
		if _, err := options.ClientCertificate(); err != nil {
			return nil, fmt.Errorf("dataplane.client_certificate_file: %w", err)
		}
	}
	client, err := dataplane.New(options)
	if err != nil {
		return nil, fmt.Errorf("dataplane: %w", err)
	}
	c := &connection{client: client, clockBound: defaultClockBound, managed: n.GetManageConfig(), settings: settingsOf(n)}
	if n.GetClockBound() != nil {
		c.clockBound = n.GetClockBound().AsDuration()
	}
	if c.clockBound <= 0 {
		return nil, errors.New("clock_bound: want a positive duration")
	}
	if n.GetRuntimeSocket() != "" || n.GetMasterSocket() != "" {
		sockets := runtimeapi.Options{Runtime: n.GetRuntimeSocket(), Master: n.GetMasterSocket(), MapsDir: mapsDir}
		if c.sockets, err = runtimeapi.New(sockets); err != nil {
			return nil, fmt.Errorf("runtime_socket or master_socket: %w", err)
		}
	}
	return c, nil
}

// settingsOf is a hash of all that the configuration says of a node but its environments.
func settingsOf(n *haproxyv1.Node) string {
	own := proto.Clone(n).(*haproxyv1.Node)
	own.Environments = nil
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(own)
	if err != nil { // no text in it is UTF-8
		raw = []byte(own.String())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// connections keeps those that are in use: a client knows which dialect its node speaks, and has idle connections. It is
// not safe for concurrent use.
type connections struct {
	mapsDir string
	all     map[string]*connection // by their settings
}

// to finds or makes the connection of a node.
func (c connections) to(n *haproxyv1.Node) (*connection, error) {
	settings := settingsOf(n)
	if have := c.all[settings]; have != nil {
		return have, nil
	}
	made, err := newConnection(n, c.mapsDir)
	if err == nil {
		c.all[settings] = made
	}
	return made, err
}

// keep closes and forgets all but the nodes'.
func (c connections) keep(nodes []*member) {
	used := map[string]bool{}
	for _, m := range nodes {
		used[m.settings] = true
	}
	for settings, have := range c.all {
		if !used[settings] {
			have.client.Close()
			delete(c.all, settings)
		}
	}
}
