package world

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Endpoints tell scripts where everything is. The JSON is a contract.
type Endpoints struct {
	// Gateway, HAProxy and Issuer are URLs without a trailing slash. Gateway is the first of Gateways, HAProxy that of the
	// first of Nodes, which does not serve every pool: a pool's URLs are where it is reached.
	Gateway  string   `json:"gateway"`
	Gateways []string `json:"gateways"`
	HAProxy  string   `json:"haproxy"`
	// DataPlane has one a node, in the order of Nodes.
	DataPlane []DataPlane    `json:"dataplane"`
	Nodes     []NodeEndpoint `json:"nodes"`
	Issuer    string         `json:"issuer"`
	Users     []User         `json:"users"`
	Pools     []Pool         `json:"pools"`
	// Store is the path of the embedded store.
	Store string `json:"store"`
}

// NodeEndpoint is where a node is. HAProxy and DataPlane are URLs without a trailing slash, the others paths.
type NodeEndpoint struct {
	Name string `json:"name"`
	// Environments are those that the node serves, but for those of a template.
	Environments  []string `json:"environments"`
	HAProxy       string   `json:"haproxy"`
	DataPlane     string   `json:"dataplane"`
	Dir           string   `json:"dir"`
	RuntimeSocket string   `json:"runtime_socket"`
	MasterSocket  string   `json:"master_socket"`
}

// DataPlane is how a node's Data Plane API is reached.
type DataPlane struct {
	Node string `json:"node"`
	URL  string `json:"url"`
	// Version is the API that it speaks: v2 or v3.
	Version      string `json:"version"`
	Username     string `json:"username"`
	PasswordFile string `json:"password_file"`
}

// User is an account at the identity provider.
type User struct {
	Email    string   `json:"email"`
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
}

// Pool is one that access can be asked for, and the host under which it is reached.
type Pool struct {
	Environment string `json:"environment"`
	Pool        string `json:"pool"`
	Host        string `json:"host"`
	// URLs are those of the host on each node that serves it, without a trailing slash. Names that end in .localhost are
	// this machine, for curl and browsers alike.
	URLs []string `json:"urls"`
}

// ReadEndpoints reads the endpoints.json of a running world.
func ReadEndpoints(path string) (Endpoints, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Endpoints{}, fmt.Errorf("read endpoints: %w", err)
	}
	var e Endpoints
	if err := json.Unmarshal(raw, &e); err != nil {
		return Endpoints{}, fmt.Errorf("read endpoints of %s: %w", path, err)
	}
	return e, nil
}

// User returns the account with this e-mail address.
func (e Endpoints) User(email string) (User, error) {
	for _, user := range e.Users {
		if user.Email == email {
			return user, nil
		}
	}
	return User{}, fmt.Errorf("find user: there is no %q", email)
}

// writeJSON writes a file that this user alone can read.
func writeJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return writeFile(path, append(raw, '\n'), 0o600)
}

const dataPlaneUsername = "clutch"

// describe says where everything is.
func (w *World) describe(a assigned) Endpoints {
	e := Endpoints{
		Gateway: url(a.gateways[0]), HAProxy: url(a.haproxy[0]), Issuer: url(a.issuer),
		Users: demoUsers(), Pools: demoPools(), Store: w.layout.store(),
	}
	for _, port := range a.gateways {
		e.Gateways = append(e.Gateways, url(port))
	}
	for i, n := range demoNodes() {
		files := w.layout.node(n.Name)
		e.Nodes = append(e.Nodes, NodeEndpoint{
			Name: n.Name, Environments: n.Environments, HAProxy: url(a.haproxy[i]), DataPlane: url(a.dataPlanes[i]),
			Dir: files.dir, RuntimeSocket: files.StatsSocket(), MasterSocket: files.MasterSocket(),
		})
		e.DataPlane = append(e.DataPlane, DataPlane{
			Node: n.Name, URL: url(a.dataPlanes[i]), Version: w.dialect, Username: dataPlaneUsername,
			PasswordFile: w.layout.secret(secretDataPlane),
		})
	}
	for i := range e.Pools {
		e.Pools[i].URLs = e.poolURLs(e.Pools[i])
	}
	return e
}

func (e Endpoints) poolURLs(p Pool) (urls []string) {
	for _, n := range e.Nodes {
		if slices.Contains(n.Environments, p.Environment) {
			urls = append(urls, strings.Replace(n.HAProxy, "127.0.0.1", p.Host, 1))
		}
	}
	return urls
}
