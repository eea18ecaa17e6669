package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// Node is one HAProxy with the data plane that changes it. Each of both may be killed and started again by itself.
type Node struct {
	// Name is the node's in the gateway's configuration.
	Name string
	// Environments are those that are configured by name; those of a template are not among them.
	Environments []string
	HAProxy      *HAProxy
	DataPlane    *Component

	files nodeFiles
	// url is HAProxy's, dataPlaneURL that of the data plane itself, past any proxy in front of it.
	url, dataPlaneURL string
}

// URL is where HAProxy listens, without a trailing slash.
func (n *Node) URL() string { return n.url }

// DataPlaneURL is that of the data plane itself, which the gateway may have been told another address of.
func (n *Node) DataPlaneURL() string { return n.dataPlaneURL }

// Dir has all of the node's files but the sockets; HAProxy and the data plane work in it.
func (n *Node) Dir() string { return n.files.dir }

// ConfigFile is the path of haproxy.cfg.
func (n *Node) ConfigFile() string { return n.files.Config() }

// MapsDir is where the map files are.
func (n *Node) MapsDir() string { return filepath.Join(n.files.dir, "maps") }

// KeysDir is where the public keys are.
func (n *Node) KeysDir() string { return filepath.Join(n.files.dir, "keys") }

// PagesDir is where the refusal pages are.
func (n *Node) PagesDir() string { return filepath.Join(n.files.dir, "pages") }

// RuntimeSocket is the path of HAProxy's runtime API.
func (n *Node) RuntimeSocket() string { return n.files.StatsSocket() }

// MasterSocket is the path of the master's command socket.
func (n *Node) MasterSocket() string { return n.files.MasterSocket() }

// start starts HAProxy and the data plane over it.
func (n *Node) start(ctx context.Context) error {
	if err := n.HAProxy.Start(ctx); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return n.DataPlane.Start(ctx)
}

func (n *Node) stop() error {
	if n.DataPlane != nil {
		n.DataPlane.Stop()
	}
	if n.HAProxy == nil {
		return nil
	}
	return n.HAProxy.Stop()
}

// assembleNode makes the parts of a node.
func (w *World) assembleNode(s settings, n nodeSettings) (*Node, error) {
	node := &Node{
		Name: n.Name, Environments: n.Environments, files: n.nodeFiles,
		url: url(n.Port), dataPlaneURL: url(n.DataPlanePort),
	}
	node.HAProxy = &HAProxy{
		config: haproxyproc.Config{
			Binary: s.HAProxyBin, ConfigFile: n.Config(), Dir: n.sockets, WorkDir: n.dir,
		},
		log: w.layout.log("haproxy-" + n.Name), pidFile: w.layout.pid("haproxy-" + n.Name),
	}
	program, arguments := w.program("dataplane"), builtInDataPlane(s, n)
	if w.options.DataPlaneBin != "" {
		program, arguments = w.options.DataPlaneBin, []string{"-f", n.DataPlaneConfig()}
		if err := writeDataPlaneConfig(s, n); err != nil {
			return nil, err
		}
	}
	node.DataPlane = w.component("dataplane-"+n.Name, program, n.dataPlaneReady(s), arguments...)
	node.DataPlane.dir = n.dir
	return node, nil
}

// nodeDir is a node's directory by a name that is the same for all of them, as paths are on the machines of a fleet: HAProxy
// and the data plane of a node work in its directory. Keys are known by their paths, which the gateway writes into kids.map
// of every node.
const nodeDir = "/proc/self/cwd"

func builtInDataPlane(s settings, n nodeSettings) []string {
	return []string{
		"-listen", address(n.DataPlanePort), "-username", s.Username, "-password-file", s.PasswordFile,
		"-haproxy-config", n.Config(), "-haproxy-bin", s.HAProxyBin, "-runtime-socket", n.StatsSocket(),
		"-maps-dir", nodeDir + "/maps", "-general-dir", nodeDir + "/keys", "-reload-cmd", "sh " + n.ReloadScript(), "-master-socket", n.MasterSocket(),
	}
}

// writeDataPlaneConfig configures a real Data Plane API.
func writeDataPlaneConfig(s settings, n nodeSettings) error {
	s.Node = n
	if err := render(n.DataPlaneConfig(), "dataplaneapi.yaml", dataplaneapiConfig, s); err != nil {
		return err
	}
	for _, name := range []string{"transactions", "ssl", "storage", "spoe", "spoe-transactions"} {
		if err := os.MkdirAll(filepath.Join(n.DataPlane(), name), 0o700); err != nil {
			return fmt.Errorf("make directory of the data plane: %w", err)
		}
	}
	return nil
}

func (n nodeSettings) dataPlaneReady(s settings) func(context.Context) error {
	return func(ctx context.Context) error {
		// It reaches HAProxy as well, which an answer from /info alone would not show.
		_, err := get(ctx, url(n.DataPlanePort)+"/"+s.Dialect+"/services/haproxy/runtime/maps", s.Username, s.Password)
		return err
	}
}

// Node is the node of this name, nil if there is none.
func (w *World) Node(name string) *Node {
	i := slices.IndexFunc(w.Nodes, func(n *Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return w.Nodes[i]
}

// Serving are the nodes of an environment.
func (w *World) Serving(environment string) (nodes []*Node) {
	for _, n := range w.Nodes {
		if slices.Contains(n.Environments, environment) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// startNodes starts all of them at once.
func (w *World) startNodes(ctx context.Context) error {
	ended := make(chan error, len(w.Nodes))
	for _, n := range w.Nodes {
		go func() { ended <- n.start(ctx) }()
	}
	var all error
	for range w.Nodes {
		all = errors.Join(all, <-ended)
	}
	return all
}
