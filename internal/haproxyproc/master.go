package haproxyproc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// queryTimeout bounds one question to the master; it answers in
	// milliseconds unless it is in the middle of a reload.
	queryTimeout = 2 * time.Second
	pollInterval = 10 * time.Millisecond
)

// ErrReloadFailed is wrapped by WaitReloaded and Process.Reload when HAProxy
// refused the new configuration and goes on with the old one.
var ErrReloadFailed = errors.New("haproxy refused the new configuration, the old one is still running")

// ProcTable is the master's answer to "show proc": pids of one HAProxy.
type ProcTable struct {
	Master int
	// Reloads counts the reloads since the start, failed ones included.
	Reloads int
	// Failed counts the failed reloads since the last good one.
	Failed int
	// Workers holds the current worker (one, or none while it starts).
	Workers []int
	// OldWorkers still serve connections that are older than a reload.
	OldWorkers []int
}

// ShowProc asks the master behind the socket for its processes. It changes
// nothing in HAProxy.
func ShowProc(ctx context.Context, masterSocket string) (ProcTable, error) {
	answer, err := query(ctx, masterSocket, "show proc")
	if err != nil {
		return ProcTable{}, err
	}
	return parseShowProc(answer)
}

func parseShowProc(answer string) (ProcTable, error) {
	var table ProcTable
	var section *[]int
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#<PID>"):
		case fields[0] == "#":
			section = table.section(strings.Join(fields[1:], " "))
		case len(fields) >= 3 && fields[1] == "master":
			if err := table.setMaster(fields); err != nil {
				return ProcTable{}, err
			}
		case section != nil:
			pid, err := strconv.Atoi(fields[0])
			if err != nil {
				return ProcTable{}, fmt.Errorf("parse show proc: line %q", lines.Text())
			}
			*section = append(*section, pid)
		}
	}
	if table.Master == 0 {
		return ProcTable{}, fmt.Errorf("parse show proc: no master in %q", answer)
	}
	return table, nil
}

// section is where the pids under a heading belong; nil for programs, which are
// not HAProxy's own processes.
func (t *ProcTable) section(heading string) *[]int {
	switch heading {
	case "workers":
		return &t.Workers
	case "old workers":
		return &t.OldWorkers
	}
	return nil
}

// setMaster reads a row such as "14370 master 3 [failed: 1] 0d00h00m03s 2.6.12".
func (t *ProcTable) setMaster(fields []string) error {
	var err, err2 error
	t.Master, err = strconv.Atoi(fields[0])
	t.Reloads, err2 = strconv.Atoi(fields[2])
	if err = errors.Join(err, err2); err != nil {
		return fmt.Errorf("parse show proc: %w", err)
	}
	if len(fields) >= 5 && fields[3] == "[failed:" {
		if t.Failed, err = strconv.Atoi(strings.TrimSuffix(fields[4], "]")); err != nil {
			return fmt.Errorf("parse show proc: %w", err)
		}
	}
	return nil
}

// WaitReloaded waits until the reload that was asked for after before was read
// is over: a new worker answers, and every older one has stopped accepting
// connections. It returns ErrReloadFailed if HAProxy kept the old worker, and
// an error when ctx ends first.
func WaitReloaded(ctx context.Context, masterSocket string, before ProcTable) error {
	var last error
	for {
		done, err := reloaded(ctx, masterSocket, before)
		if done {
			return err
		}
		if err != nil {
			last = err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for reload: %w", errors.Join(err, last))
		}
	}
}

// reloaded looks once. An error without done is worth another look: while the
// master replaces itself its socket answers nothing.
func reloaded(ctx context.Context, masterSocket string, before ProcTable) (done bool, err error) {
	now, err := ShowProc(ctx, masterSocket)
	if err != nil || now.Reloads <= before.Reloads {
		return false, err
	}
	if now.Failed > 0 {
		return true, ErrReloadFailed
	}
	if len(now.Workers) == 0 || slices.Contains(before.Workers, now.Workers[0]) {
		return false, nil
	}
	if _, err := showInfo(ctx, masterSocket, now.Workers[0]); err != nil {
		return false, err
	}
	for _, pid := range now.OldWorkers {
		// One that does not answer is on its way out: the next look tells.
		if info, err := showInfo(ctx, masterSocket, pid); err != nil || info["Stopping"] != "1" {
			return false, err
		}
	}
	return true, nil
}

// showInfo asks one worker, through the master, for its "show info".
func showInfo(ctx context.Context, masterSocket string, pid int) (map[string]string, error) {
	answer, err := query(ctx, masterSocket, fmt.Sprintf("@!%d show info", pid))
	if err != nil {
		return nil, err
	}
	info := make(map[string]string)
	for line := range strings.Lines(answer) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			info[key] = strings.TrimSpace(value)
		}
	}
	if info["Pid"] != strconv.Itoa(pid) {
		return nil, fmt.Errorf("ask worker %d: no answer of its own", pid)
	}
	return info, nil
}

// query sends one command and reads the whole answer.
func query(ctx context.Context, socket, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", fmt.Errorf("ask haproxy master: %w", err)
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return "", fmt.Errorf("ask haproxy master: %w", err)
	}
	if _, err := io.WriteString(connection, command+"\n"); err != nil {
		return "", fmt.Errorf("ask haproxy master: %w", err)
	}
	// The master keeps the connection open after its answer and closes it once
	// the asker has nothing more to say.
	if err := connection.(*net.UnixConn).CloseWrite(); err != nil {
		return "", fmt.Errorf("ask haproxy master: %w", err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return "", fmt.Errorf("read haproxy master's answer: %w", err)
	}
	return string(answer), nil
}

// pause waits for one poll interval, or returns ctx's error.
func pause(ctx context.Context) error {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
