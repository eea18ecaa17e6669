package pgproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// maxSocketPath is what fits into sun_path on every supported system, less the name that Postgres gives the socket.
const maxSocketPath = 80

// cluster is the files of one server.
type cluster struct {
	bin string // the directory of the programs
	dir string // holds the data and the socket; the server's user alone may enter
	as  *syscall.Credential
}

func newCluster(ctx context.Context) (c cluster, err error) {
	if c.bin, err = Find(); err != nil {
		return c, err
	}
	if c.as, err = account(); err != nil {
		return c, err
	}
	if c.dir, err = os.MkdirTemp("", "pgproc"); err != nil { // with mode 0700
		return c, fmt.Errorf("make directory: %w", err)
	}
	if err := c.initialize(ctx); err != nil {
		return c, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c cluster) data() string { return filepath.Join(c.dir, "data") }

func (c cluster) initialize(ctx context.Context) error {
	if len(c.dir) > maxSocketPath {
		return fmt.Errorf("start postgres: the path %q is too long for a socket", c.dir)
	}
	if c.as != nil {
		if err := os.Chown(c.dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return fmt.Errorf("give directory away: %w", err)
		}
	}
	// Who reaches the socket is trusted: the directory around it keeps out all but the server's user and root.
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), "-D", c.data(), "-U", User, "-E", "UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=reject", "--no-sync", "--no-instructions")
	c.prepare(cmd)
	runtime.LockOSThread() // the parent of whose death it is told
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// command is the server. What is acknowledged is on disk, as in production; the rest is small.
func (c cluster) command() *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir, "-p", fmt.Sprint(Port),
		"-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "fsync=on", "-c", "synchronous_commit=on",
		"-c", "full_page_writes=on", "-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "shared_buffers=64MB",
		"-c", "max_connections=200")
	c.prepare(cmd)
	return cmd
}

// prepare lets cmd run as the server's user, in its directory, and without the caller's environment: PGDATA or PGPORT
// could lead to another server.
func (c cluster) prepare(cmd *exec.Cmd) {
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + c.dir}
	cmd.SysProcAttr = processAttributes(c.as)
}

func (c cluster) remove() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove postgres' files: %w", err)
	}
	return nil
}
