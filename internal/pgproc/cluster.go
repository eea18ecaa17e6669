package pgproc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
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
	// port names the socket. Over TCP the server is reached only where there is a password.
	port     int
	password string
}

// newCluster makes one that is reached through its socket, and with tcp also on a port of 127.0.0.1, by a password.
func newCluster(ctx context.Context, tcp bool) (c cluster, err error) {
	c.port = Port
	if tcp {
		if c.port, err = freePort(); err != nil {
			return c, err
		}
		c.password = rand.Text()
	}
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
	arguments := []string{"-D", c.data(), "-U", User, "-E", "UTF8", "--locale=C", "--auth-local=trust", "--no-sync", "--no-instructions"}
	if c.password == "" {
		arguments = append(arguments, "--auth-host=reject")
	} else {
		file := filepath.Join(c.dir, "password")
		if err := os.WriteFile(file, []byte(c.password), 0o600); err != nil {
			return fmt.Errorf("write password: %w", err)
		}
		defer func() { _ = os.Remove(file) }() // the cluster has it; the directory goes with all the rest
		if c.as != nil {
			if err := os.Chown(file, int(c.as.Uid), int(c.as.Gid)); err != nil {
				return fmt.Errorf("give password away: %w", err)
			}
		}
		arguments = append(arguments, "--auth-host=scram-sha-256", "--pwfile="+file)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), arguments...)
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
	address := ""
	if c.password != "" {
		address = loopback
	}
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir, "-p", fmt.Sprint(c.port),
		"-c", "listen_addresses="+address, "-c", "unix_socket_permissions=0700", "-c", "fsync=on", "-c", "synchronous_commit=on",
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

const loopback = "127.0.0.1"

// freePort is one that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func (c cluster) remove() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove postgres' files: %w", err)
	}
	return nil
}
