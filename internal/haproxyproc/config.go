package haproxyproc

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// maxSocketPath is what fits into sun_path on every supported system, less the
// suffix that HAProxy adds while it binds.
const maxSocketPath = 90

// Config says which HAProxy to run. ConfigFile and Dir are required.
type Config struct {
	// Binary is a path, or a name to look up; empty means Find.
	Binary string
	// ConfigFile is the path of haproxy.cfg.
	ConfigFile string
	// Dir holds the pid file and the master socket; it is created with mode
	// 0700 if it is missing. Its path must be short enough for a unix socket.
	Dir string
	// WorkDir is the working directory of the master and its workers, also
	// after reloads; empty is the caller's.
	WorkDir string
	// Log gets all that HAProxy prints; nil discards it. It is written to by
	// one goroutine at a time.
	Log io.Writer
}

// resolved is a Config whose paths are absolute and checked.
type resolved struct {
	binary, configFile, pidFile, masterSocket string
}

func (c Config) resolve() (resolved, error) {
	if c.ConfigFile == "" || c.Dir == "" {
		return resolved{}, errors.New("start haproxy: ConfigFile and Dir are required")
	}
	binary, err := lookUp(c.Binary)
	if err != nil {
		return resolved{}, err
	}
	configFile, err := filepath.Abs(c.ConfigFile)
	if err != nil {
		return resolved{}, fmt.Errorf("resolve configuration path: %w", err)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return resolved{}, fmt.Errorf("resolve runtime directory: %w", err)
	}
	socket := filepath.Join(dir, "master.sock")
	if len(socket) > maxSocketPath {
		return resolved{}, fmt.Errorf("start haproxy: socket path %q is longer than %d bytes", socket, maxSocketPath)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return resolved{}, fmt.Errorf("create runtime directory: %w", err)
	}
	return resolved{
		binary:       binary,
		configFile:   configFile,
		pidFile:      filepath.Join(dir, "haproxy.pid"),
		masterSocket: socket,
	}, nil
}

func lookUp(binary string) (string, error) {
	if binary == "" {
		return Find()
	}
	path, err := exec.LookPath(binary)
	if err != nil {
		return "", fmt.Errorf("find haproxy: %w", err)
	}
	return path, nil
}

// Find returns the path of the haproxy program: the one in PATH, else the one
// in /usr/sbin, which is not in an ordinary user's PATH on Debian.
func Find() (string, error) {
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("find haproxy: not in PATH and not at /usr/sbin/haproxy")
}

const (
	// firstPort and lastPort bound where free ports are looked for: below those
	// that systems give to outgoing connections, of which any may come between
	// the call and the use.
	firstPort, lastPort = 10000, 32767
	// portTries is how many taken ports are passed over.
	portTries = 1000
)

// FreePorts returns n distinct TCP ports that are free on 127.0.0.1 at the time
// of the call. Nothing reserves them: bind them soon.
func FreePorts(n int) (ports []int, err error) {
	for try := 0; len(ports) < n; try++ {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			if try >= portTries {
				return nil, fmt.Errorf("find free port: %w", err)
			}
			continue
		}
		// All stay open until the last is found: that makes them distinct.
		defer listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}
