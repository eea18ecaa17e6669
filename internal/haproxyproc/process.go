package haproxyproc

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

const (
	// startTimeout, reloadTimeout and stopTimeout bound each operation where
	// the caller's context does not end earlier.
	startTimeout  = 10 * time.Second
	reloadTimeout = 15 * time.Second
	stopTimeout   = 5 * time.Second
	// drainTimeout is how long output is still read after the master's end.
	drainTimeout = 2 * time.Second
)

// Process is a running HAProxy: a master and its workers. Its methods may be
// called from several goroutines.
type Process struct {
	config resolved
	output *output
	cmd    *exec.Cmd

	reload sync.Mutex
	// exited is closed when the master has been waited for; exitErr is set before.
	exited  chan struct{}
	exitErr error
}

// Start runs HAProxy and waits until its worker answers. ctx bounds the wait
// only: the process runs until Stop, Kill or the end of its parent. The error
// includes what HAProxy printed.
func Start(ctx context.Context, config Config) (*Process, error) {
	paths, err := config.resolve()
	if err != nil {
		return nil, err
	}
	p := &Process{config: paths, output: &output{log: config.Log}, exited: make(chan struct{})}
	p.cmd = exec.Command(paths.binary, "-W", "-S", paths.masterSocket, "-p", paths.pidFile, "-f", paths.configFile)
	p.cmd.Dir = config.WorkDir
	p.cmd.Stdout = p.output
	p.cmd.Stderr = p.output
	p.cmd.WaitDelay = drainTimeout
	p.cmd.SysProcAttr = processAttributes()
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start haproxy: %w", err)
	}
	if err := p.waitUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start haproxy: %w: %s", err, p.output.text()), p.Kill())
	}
	return p, nil
}

// run starts the master and waits for it on one OS thread: Linux sends the
// parent-death signal when the starting thread ends, not the whole process.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.exitErr = p.cmd.Wait()
	// Workers end by themselves without a master; one that hangs must not
	// outlive it. Without a member left the group does not exist (ESRCH).
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

func (p *Process) waitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		pid, err := p.WorkerPID(ctx)
		if err == nil {
			if _, err = showInfo(ctx, p.config.masterSocket, pid); err == nil {
				return nil
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("haproxy ended: %w", p.exitErr)
		default:
		}
		if waitErr := pause(ctx); waitErr != nil {
			return errors.Join(waitErr, err)
		}
	}
}

// Reload makes HAProxy read its configuration again (SIGUSR2) and waits until a
// new worker runs and the old ones accept no new connection. If HAProxy refuses
// the configuration the error wraps ErrReloadFailed and has HAProxy's own text;
// the old worker goes on.
func (p *Process) Reload(ctx context.Context) error {
	p.reload.Lock()
	defer p.reload.Unlock()
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	before, err := ShowProc(ctx, p.config.masterSocket)
	if err != nil {
		return fmt.Errorf("reload haproxy: %w", err)
	}
	p.output.reset()
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return fmt.Errorf("reload haproxy: %w", err)
	}
	if err := WaitReloaded(ctx, p.config.masterSocket, before); err != nil {
		return fmt.Errorf("reload haproxy: %w: %s", err, p.output.text())
	}
	return nil
}

// Stop ends the master and all its workers, old ones too, without waiting for
// their connections, and kills what is left after a bound. It may be called
// twice; it is no error if HAProxy has ended already.
func (p *Process) Stop() error {
	// The master passes SIGTERM on to its workers and waits for them. An error
	// means that it has ended, so that exited is closed at once or soon.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		return p.Kill()
	}
}

// Kill ends the master and all its workers by SIGKILL and waits for the master.
func (p *Process) Kill() error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill haproxy: %w", err)
	}
	<-p.exited
	return nil
}

// MasterPID is the pid of the master; a reload does not change it.
func (p *Process) MasterPID() int { return p.cmd.Process.Pid }

// MasterSocket is the path of the master's command socket.
func (p *Process) MasterSocket() string { return p.config.masterSocket }

// WorkerPID asks the master for the current worker.
func (p *Process) WorkerPID(ctx context.Context) (int, error) {
	table, err := ShowProc(ctx, p.config.masterSocket)
	if err != nil {
		return 0, err
	}
	if len(table.Workers) == 0 {
		return 0, errors.New("ask haproxy master: no current worker")
	}
	return table.Workers[0], nil
}

// OldWorkers asks the master for the workers of earlier configurations that
// still serve connections.
func (p *Process) OldWorkers(ctx context.Context) ([]int, error) {
	table, err := ShowProc(ctx, p.config.masterSocket)
	return table.OldWorkers, err
}
