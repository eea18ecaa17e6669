package pgproc

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// User is the server's superuser, and Port the number in its socket's name where it has no TCP port.
const (
	User = "postgres"
	Port = 5432
)

// startTimeout and stopTimeout bound what no context does.
const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

// Server is a running Postgres. Its methods may be called from several goroutines, but for Restart and Stop, which are
// called one after the other.
type Server struct {
	cluster cluster
	janitor *janitor

	mu   sync.Mutex
	live *process
}

// process is one life of the server.
type process struct {
	cmd    *exec.Cmd
	output *output
	exited chan struct{} // closed when it has been waited for
}

// Start makes a new cluster and runs a server on it, until Stop or the end of this process. ctx bounds the start.
func Start(ctx context.Context) (*Server, error) { return launch(ctx, false) }

// StartTCP is as Start; the server also listens on a free port of 127.0.0.1, for clients that know no sockets. There it
// asks for a password.
func StartTCP(ctx context.Context) (*Server, error) { return launch(ctx, true) }

func launch(ctx context.Context, tcp bool) (*Server, error) {
	c, err := newCluster(ctx, tcp)
	if err != nil {
		return nil, err
	}
	j, err := startJanitor(c.dir)
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	s := &Server{cluster: c, janitor: j}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Host is the directory of the server's socket: what host means in a connection string.
func (s *Server) Host() string { return s.cluster.dir }

// TCP is where a server of StartTCP is reached, and the password of User there.
func (s *Server) TCP() (host string, port int, password string) {
	return loopback, s.cluster.port, s.cluster.password
}

// DSN is the connection string for a database, which need not be there.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", s.Host(), s.cluster.port, User, database)
}

// Restart shuts the server down at once, as a crash does: without a checkpoint, every connection is cut. Then it starts it
// again, on what is on disk.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.shutDown(syscall.SIGQUIT); err != nil {
		return err
	}
	return s.start(ctx)
}

// Stop ends the server and removes its files. It may be called twice.
func (s *Server) Stop() error {
	if s.janitor == nil {
		return nil
	}
	err := s.shutDown(syscall.SIGINT)
	err = errors.Join(err, s.cluster.remove(), s.janitor.finish())
	s.janitor = nil
	return err
}

func (s *Server) start(ctx context.Context) error {
	p := &process{cmd: s.cluster.command(), output: newOutput(), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.WaitDelay = time.Second
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.mu.Lock()
	s.live = p
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-p.output.ready:
		return nil
	case <-p.exited:
		return fmt.Errorf("start postgres: it ended: %s", p.output.text())
	case <-ctx.Done():
		return fmt.Errorf("start postgres: %w: %s", ctx.Err(), p.output.text())
	}
}

// run starts the server and waits for it on one OS thread: Linux sends the parent-death signal when the starting thread
// ends, not the whole process.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // what it says of its end is in the output
	}
}

// shutDown sends the signal of one of Postgres' ways to shut down, and kills what does not follow it.
func (s *Server) shutDown(signal syscall.Signal) error {
	s.mu.Lock()
	p := s.live
	s.live = nil
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(signal) // an error means that it has ended
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
	return fmt.Errorf("stop postgres: it did not end on %s: %s", signal, p.output.text())
}
