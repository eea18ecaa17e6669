package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// HAProxy is a node's HAProxy, in master-worker mode. Its methods may be called from several goroutines.
type HAProxy struct {
	config       haproxyproc.Config
	log, pidFile string

	mu      sync.Mutex
	process *haproxyproc.Process
	file    *os.File
}

// Start starts it and waits until its worker answers. It is an error if it runs already.
func (h *HAProxy) Start(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != nil {
		return errors.New("start haproxy: it is running")
	}
	file, err := os.OpenFile(h.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start haproxy: %w", err)
	}
	config := h.config
	config.Log = file
	process, err := haproxyproc.Start(ctx, config)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if err := writePID(h.pidFile, process.MasterPID()); err != nil {
		return errors.Join(err, process.Kill(), file.Close())
	}
	h.process, h.file = process, file
	return nil
}

// Kill ends master and workers by SIGKILL. It is no error if it does not run.
func (h *HAProxy) Kill() error { return h.end((*haproxyproc.Process).Kill) }

// Stop ends master and workers. It is no error if it does not run.
func (h *HAProxy) Stop() error { return h.end((*haproxyproc.Process).Stop) }

func (h *HAProxy) end(how func(*haproxyproc.Process) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == nil {
		return nil
	}
	if err := how(h.process); err != nil {
		return err
	}
	err := h.file.Close()
	h.process, h.file = nil, nil
	return err
}

// Reload makes it read its configuration again and returns when the new worker answers. It is an error if it does not run.
func (h *HAProxy) Reload(ctx context.Context) error {
	process := h.Process()
	if process == nil {
		return errors.New("reload haproxy: it does not run")
	}
	return process.Reload(ctx)
}

// Process is the running HAProxy, for reloads and for looking at its workers; nil if it does not run.
func (h *HAProxy) Process() *haproxyproc.Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.process
}
