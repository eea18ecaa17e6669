package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxSocketDir is what a directory's path may have so that HAProxy can bind sockets in a node's directory below it.
const maxSocketDir = 60

// layout names the files of a state directory.
type layout struct {
	root string
	// sockets holds unix sockets, whose paths must be short.
	sockets string
}

func (l layout) endpoints() string         { return filepath.Join(l.root, "endpoints.json") }
func (l layout) store() string             { return filepath.Join(l.root, "store", "haproxyaccess.db") }
func (l layout) policy() string            { return filepath.Join(l.root, "policy.yaml") }
func (l layout) users() string             { return filepath.Join(l.root, "secrets", "users.json") }
func (l layout) issuerKey() string         { return filepath.Join(l.root, "secrets", "issuer-key.pem") }
func (l layout) secret(name string) string { return filepath.Join(l.root, "secrets", name) }
func (l layout) log(name string) string    { return filepath.Join(l.root, "log", name+".log") }
func (l layout) pid(name string) string    { return filepath.Join(l.root, "pid", name) }

// config is the configuration of the nth gateway, from 0.
func (l layout) config(gateway int) string {
	return filepath.Join(l.root, numbered("clutch-config", gateway)+".yaml")
}

// numbered tells the programs of one kind apart: name, name-2, name-3, ...
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, n+1)
}

func (l layout) node(name string) nodeFiles {
	return nodeFiles{dir: filepath.Join(l.root, "nodes", name), sockets: filepath.Join(l.sockets, name)}
}

// nodeFiles names the files of one node. Its methods are exported for templates.
type nodeFiles struct{ dir, sockets string }

func (f nodeFiles) Config() string       { return filepath.Join(f.dir, "haproxy.cfg") }
func (f nodeFiles) Rendered() string     { return filepath.Join(f.dir, "clutch-config.yaml") }
func (f nodeFiles) ReloadScript() string { return filepath.Join(f.dir, "reload.sh") }
func (f nodeFiles) DataPlane() string    { return filepath.Join(f.dir, "dataplane") }
func (f nodeFiles) DataPlaneConfig() string {
	return filepath.Join(f.dir, "dataplane", "dataplaneapi.yaml")
}
func (f nodeFiles) StatsSocket() string  { return filepath.Join(f.sockets, "admin.sock") }
func (f nodeFiles) MasterSocket() string { return filepath.Join(f.sockets, "master.sock") }
func (f nodeFiles) MasterPID() string    { return filepath.Join(f.sockets, "haproxy.pid") }

// makeDirs makes the directories, for this user alone.
func makeDirs(root string) error {
	for _, dir := range []string{"", "store", "secrets", "log", "pid", "run", "nodes"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return fmt.Errorf("make state directory: %w", err)
		}
	}
	return nil
}

// newLayout finds a directory for sockets: run/ where its path is short enough, else a temporary one whose name is kept in
// a file, so that the next start removes it.
func newLayout(root string) (layout, error) {
	l := layout{root: root, sockets: filepath.Join(root, "run")}
	note := filepath.Join(root, "run", "sockets")
	if err := removeNoted(note); err != nil {
		return layout{}, err
	}
	if len(l.sockets) <= maxSocketDir {
		return l, nil
	}
	dir, err := os.MkdirTemp("/tmp", temporaryPrefix)
	if err != nil {
		return layout{}, fmt.Errorf("make socket directory: %w", err)
	}
	if err := writeFile(note, []byte(dir), 0o600); err != nil {
		return layout{}, err
	}
	l.sockets = dir
	return l, nil
}

const temporaryPrefix = "haproxyaccess-"

// removeNoted removes the socket directory of an earlier start. Only what MkdirTemp can have made is removed.
func removeNoted(note string) error {
	raw, err := os.ReadFile(note)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read noted socket directory: %w", err)
	}
	dir := string(raw)
	if filepath.Dir(dir) != "/tmp" || !strings.HasPrefix(filepath.Base(dir), temporaryPrefix) {
		return fmt.Errorf("remove noted socket directory: %s names %q, which is none of ours", note, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove noted socket directory: %w", err)
	}
	return os.Remove(note)
}

// writeFile writes in one step: a reader never sees half a file, and mode holds for a file that was there as well.
func writeFile(path string, content []byte, mode os.FileMode) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, content, mode); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
