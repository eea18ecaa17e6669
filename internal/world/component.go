package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout bounds the wait until a program is ready; on a busy machine the gateway takes seconds.
	startTimeout = 60 * time.Second
	// stopTimeout is how long a program may take to end by itself.
	stopTimeout = 5 * time.Second
	// logTail is how much of a log an error shows, in bytes.
	logTail = 2000
)

// Component is one program of a world, which can be killed and started again. Its methods may be called from several
// goroutines.
type Component struct {
	name string
	// dir is the working directory, by which a leftover is known as ours.
	dir, log, pidFile string
	// argv is the command line, env what is added to our environment.
	argv, env []string
	// ready returns nil when the program does its work.
	ready func(context.Context) error

	mu      sync.Mutex
	current *child
}

// child is one run of the program.
type child struct {
	cmd *exec.Cmd
	// exited is closed when the program has been waited for; err is set before.
	exited chan struct{}
	err    error
}

// Start starts the program and waits until it is ready. It is an error if it runs already. On an error it does not run, and
// the error shows the end of its log.
func (c *Component) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.running() {
		return fmt.Errorf("start %s: it is running", c.name)
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	defer log.Close() // the child has it by then
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()
	current := &child{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go current.run(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.current = current
	err = writePID(c.pidFile, cmd.Process.Pid)
	if err == nil {
		err = c.waitReady(ctx, current)
	}
	if err != nil {
		current.signal(syscall.SIGKILL)
		<-current.exited
		return fmt.Errorf("start %s: %w; the end of %s:\n%s", c.name, err, c.log, tail(c.log))
	}
	return nil
}

// run starts the program and waits for it on one OS thread: Linux sends the parent-death signal when the thread ends that
// started it, not the whole process.
func (c *child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.exited)
	err := c.cmd.Start()
	started <- err
	if err == nil {
		c.err = c.cmd.Wait()
	}
}

func (c *child) running() bool {
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// signal reaches the program and what it has started: it leads a process group of its own.
func (c *child) signal(signal syscall.Signal) {
	if c.running() {
		// It may have ended since; then there is nobody to signal.
		_ = syscall.Kill(-c.cmd.Process.Pid, signal)
	}
}

func (c *Component) waitReady(ctx context.Context, current *child) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return poll(ctx, func(ctx context.Context) (bool, error) {
		if !current.running() {
			return true, fmt.Errorf("it ended: %w", errors.Join(errEnded, current.err))
		}
		err := c.ready(ctx)
		return err == nil, err
	})
}

var errEnded = errors.New("no longer running")

// Kill ends the program by SIGKILL, as a crash does. It is no error if it does not run.
func (c *Component) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.signal(syscall.SIGKILL)
		<-c.current.exited
	}
}

// Suspend stops the program by SIGSTOP, as a long pause of its machine does, and waits until it stands still. Nothing tells
// it; its connections stay open.
func (c *Component) Suspend(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil || !c.current.running() {
		return fmt.Errorf("suspend %s: %w", c.name, errEnded)
	}
	c.current.signal(syscall.SIGSTOP)
	pid := c.current.cmd.Process.Pid
	return poll(ctx, func(context.Context) (bool, error) {
		stopped, err := standsStill(pid)
		return err != nil || stopped, err
	})
}

// Resume lets a suspended program go on, by SIGCONT. It is no error if it was not suspended or does not run.
func (c *Component) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.signal(syscall.SIGCONT)
	}
}

// Stop asks the program to end, and kills it if it does not. It is no error if it does not run.
func (c *Component) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return
	}
	c.current.signal(syscall.SIGTERM)
	c.current.signal(syscall.SIGCONT) // one that is suspended would not hear the other
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-c.current.exited:
	case <-timer.C:
		c.current.signal(syscall.SIGKILL)
		<-c.current.exited
	}
}

// Ready returns nil when the program does its work; an error says why it is not known to.
func (c *Component) Ready(ctx context.Context) error { return c.ready(ctx) }

// Name is what its log is called by.
func (c *Component) Name() string { return c.name }

// PID is the process id of the last start, 0 before the first.
func (c *Component) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return 0
	}
	return c.current.cmd.Process.Pid
}

// Exited is closed when the program of the last start has ended. It is nil before the first start.
func (c *Component) Exited() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return nil
	}
	return c.current.exited
}

// tail is the end of a log.
func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(raw) > logTail {
		raw = raw[len(raw)-logTail:]
	}
	return strings.TrimSpace(string(raw))
}
