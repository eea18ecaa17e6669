package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/google/renameio"
	"github.com/haproxytech/client-native/v5/runtime"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// errReload is wrapped by every error of a reload.
var errReload = errors.New("Reload failed") //nolint:staticcheck // the real program's words

const pollInterval = 10 * time.Millisecond

// reloader runs one reload at a time and remembers the outcomes. A reload that
// is scheduled while another waits joins it.
type reloader struct {
	config  Config
	runtime runtime.Runtime
	log     *log.Logger
	history history

	// running is held over a reload; good is the last configuration that ran.
	running sync.Mutex
	good    []byte

	wake   chan struct{}
	cancel context.CancelFunc
	ctx    context.Context
	ended  chan struct{}
}

func newReloader(config Config, rt runtime.Runtime, logger *log.Logger) (*reloader, error) {
	good, err := os.ReadFile(config.HAProxyConfig)
	if err != nil {
		return nil, fmt.Errorf("read haproxy configuration: %w", err)
	}
	r := &reloader{
		config: config, runtime: rt, log: logger, good: good,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go r.loop()
	return r, nil
}

func (r *reloader) close() {
	r.cancel()
	<-r.ended
}

// loop runs scheduled reloads, each after the delay in which others may join.
func (r *reloader) loop() {
	defer close(r.ended)
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		}
		if wait(r.ctx, r.config.ReloadDelay) != nil {
			return
		}
		// Its outcome is in the history, and in the log.
		_ = r.run(false)
	}
}

// schedule returns the id of a reload to come.
func (r *reloader) schedule() string {
	id := r.history.schedule(time.Now())
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return id
}

// force reloads now and returns when HAProxy has; a scheduled reload is done
// with it.
func (r *reloader) force() error { return r.run(true) }

// run reloads for what is scheduled; with nothing scheduled only if forced.
func (r *reloader) run(forced bool) error {
	r.running.Lock()
	defer r.running.Unlock()
	id := r.history.begin()
	if id == "" && !forced {
		return nil
	}
	response, err := r.reload()
	r.history.finish(id, response, err, time.Now())
	if err != nil {
		r.log.Printf("reload %s: %v", id, err)
		return fmt.Errorf("%w: %w, %s", errReload, err, response)
	}
	return nil
}

// reload runs the command and waits for the new worker. After a failure the
// last good configuration file is put back; as with the real program what the
// API remembers is not, and its next commit writes the change again.
func (r *reloader) reload() (response string, err error) {
	wanted, err := os.ReadFile(r.config.HAProxyConfig)
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	response, err = r.command()
	if err != nil {
		if restoreErr := renameio.WriteFile(r.config.HAProxyConfig, r.good, 0o644); restoreErr != nil {
			err = errors.Join(err, fmt.Errorf("put the last good configuration back: %w", restoreErr))
		}
		return response, err
	}
	r.good = wanted
	return response, nil
}

// command runs the reload command and waits until the new worker answers on the
// runtime socket, which this server uses itself.
func (r *reloader) command() (string, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.config.ReloadTimeout)
	defer cancel()
	old := workerPID(r.runtime)
	var before haproxyproc.ProcTable
	if r.config.MasterSocket != "" {
		var err error
		if before, err = haproxyproc.ShowProc(ctx, r.config.MasterSocket); err != nil {
			return "", err
		}
	}
	command := exec.CommandContext(ctx, "sh", "-c", r.config.ReloadCommand)
	// A grandchild that keeps the pipe open must not block the reload for ever.
	command.WaitDelay = time.Second
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return output.String(), fmt.Errorf("run reload command: %w", err)
	}
	if r.config.MasterSocket != "" {
		if err := haproxyproc.WaitReloaded(ctx, r.config.MasterSocket, before); err != nil {
			return output.String(), err
		}
	}
	return output.String(), r.awaitOtherWorker(ctx, old)
}

func (r *reloader) awaitOtherWorker(ctx context.Context, old int64) error {
	for {
		if pid := workerPID(r.runtime); pid != 0 && pid != old {
			return nil
		}
		if err := wait(ctx, pollInterval); err != nil {
			return fmt.Errorf("wait for the new worker: %w", err)
		}
	}
}

// workerPID is the process that answers on the runtime socket, 0 for none.
func workerPID(rt runtime.Runtime) int64 {
	infos, err := rt.GetInfo()
	if err != nil || len(infos) == 0 || infos[0].Info == nil || infos[0].Info.Pid == nil {
		return 0
	}
	return *infos[0].Info.Pid
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
