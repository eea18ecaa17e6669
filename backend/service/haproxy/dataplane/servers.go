package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

// Server is one server of a backend: what the configuration says joined with what the running worker says. The two
// may differ after a reload that failed.
type Server struct {
	Name    string
	Address string // an IP address
	Port    int
	// AdminState is "ready", "drain" or "maint", OperationalState "up", "down" or "stopping"; both are empty where the
	// worker does not have the server.
	AdminState       string
	OperationalState string
	Configured       bool // the configuration has it
	Running          bool // the running worker has it
}

// Servers reads a backend's servers, in the order of the configuration, those that only the worker has at the end. A
// backend that does not exist has no servers.
func (c *Client) Servers(ctx context.Context, backend string) ([]Server, error) {
	if err := checkBackend(backend); err != nil {
		return nil, err
	}
	configured, err := c.configuredServers(ctx, backend)
	if err != nil {
		return nil, err
	}
	running, err := c.runningServers(ctx, backend)
	if err != nil {
		return nil, err
	}
	return joinServers(configured, running), nil
}

func joinServers(configured []configuredServer, running []*models.RuntimeServer) []Server {
	servers := make([]Server, 0, len(configured))
	at := map[string]int{}
	for _, s := range configured {
		at[s.Name] = len(servers)
		servers = append(servers, Server{Name: s.Name, Address: s.Address, Port: port(s.Port), Configured: true})
	}
	for _, r := range running {
		i, ok := at[r.Name]
		if !ok {
			i = len(servers)
			servers = append(servers, Server{Name: r.Name, Address: r.Address, Port: port(r.Port)})
		}
		servers[i].AdminState, servers[i].OperationalState, servers[i].Running = r.AdminState, r.OperationalState, true
	}
	return servers
}

func port(p *int64) int {
	if p == nil {
		return 0
	}
	return int(*p)
}

// configuredServer keeps the whole definition as it came: to put a server back, fields that this client's models do
// not know must not get lost.
type configuredServer struct {
	models.Server
	definition json.RawMessage
}

func (c *Client) configuredServers(ctx context.Context, backend string) ([]configuredServer, error) {
	const op = "list configured servers"
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: func(d *dialect) target { return d.servers(backend) },
		wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return nil, err
	}
	list, err := a.dialect.unwrap(a.body)
	if err != nil {
		return nil, malformed(op, "no envelope")
	}
	var definitions []json.RawMessage
	if err := decode(list, &definitions); err != nil {
		return nil, malformed(op, "not a list of servers")
	}
	servers := make([]configuredServer, len(definitions))
	for i, definition := range definitions {
		servers[i].definition = definition
		if err := decode(definition, &servers[i].Server); err != nil || servers[i].Name == "" {
			return nil, malformed(op, "not a server")
		}
	}
	return servers, nil
}

// configuredServer returns nil where the configuration does not have it. It reads the list, since a 404 for a single
// server may have other causes.
func (c *Client) configuredServer(ctx context.Context, backend, name string) (*configuredServer, error) {
	servers, err := c.configuredServers(ctx, backend)
	if err != nil {
		return nil, err
	}
	for i := range servers {
		if servers[i].Name == name {
			return &servers[i], nil
		}
	}
	return nil, nil
}

// runningServers reads the servers of the running worker. The API answers in the same way for a backend that does not
// exist and for a HAProxy that is down, so no servers count only if the same worker answered before and after it.
func (c *Client) runningServers(ctx context.Context, backend string) ([]*models.RuntimeServer, error) {
	servers, err := c.listRunning(ctx, backend)
	if err != nil || len(servers) > 0 {
		return servers, err
	}
	before, _, err := c.Worker(ctx)
	if err != nil {
		return nil, err
	}
	if servers, err = c.listRunning(ctx, backend); err != nil {
		return nil, err
	}
	after, _, err := c.Worker(ctx)
	if err != nil {
		return nil, err
	}
	if !before.SameProcess(after) {
		return nil, malformed(opRunning, "haproxy changed its worker meanwhile")
	}
	return servers, nil
}

const opRunning = "list running servers"

func (c *Client) listRunning(ctx context.Context, backend string) ([]*models.RuntimeServer, error) {
	a, err := c.do(ctx, request{
		op: opRunning, method: http.MethodGet, target: func(d *dialect) target { return d.runtimeServers(backend) },
		wants: []int{http.StatusOK}, reads: true,
	})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound && strings.HasPrefix(e.said, "no data for ") {
		return nil, nil // so says /v3 where /v2 answers an empty list
	}
	if err != nil {
		return nil, err
	}
	var servers models.RuntimeServers
	if err := decode(a.body, &servers); err != nil {
		return nil, malformed(opRunning, "not a list of servers")
	}
	for _, s := range servers {
		if s == nil || s.Name == "" {
			return nil, malformed(opRunning, "a server without a name")
		}
	}
	return servers, nil
}

// runningServer returns nil where the worker does not have it.
func (c *Client) runningServer(ctx context.Context, backend, name string) (*models.RuntimeServer, error) {
	servers, err := c.runningServers(ctx, backend)
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, nil
}
