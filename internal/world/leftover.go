package world

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// lockTimeout is how long a start waits for an earlier world that is just ending.
	lockTimeout     = 15 * time.Second
	leftoverTimeout = 5 * time.Second
)

// lock keeps a second world out of the same directory. The system frees it when its holder ends, however that happens.
func lock(ctx context.Context, path string, progress func(string)) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	said := false
	err = poll(ctx, func(context.Context) (bool, error) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !said {
			said = true
			progress("waiting for an earlier one in this directory to end")
		}
		return !errors.Is(err, syscall.EWOULDBLOCK), err
	})
	if err != nil {
		_ = file.Close() // the error is what counts
		return nil, fmt.Errorf("lock %s: one is running in this directory: %w", path, err)
	}
	return file, nil
}

// writePID notes a process so that a later start recognises it: its number, and when it started, since numbers are used
// again.
func writePID(path string, pid int) error {
	started, err := startTime(pid)
	if err != nil {
		return err
	}
	return writeFile(path, fmt.Appendf(nil, "%d %s\n", pid, started), 0o600)
}

// endLeftovers kills what an earlier world in this directory has left running, if it is verifiably one of its programs.
func endLeftovers(ctx context.Context, l layout) error {
	files, err := filepath.Glob(l.pid("*"))
	if err != nil {
		return fmt.Errorf("find leftovers: %w", err)
	}
	var errs []error
	for _, file := range files {
		errs = append(errs, endLeftover(ctx, l.root, file))
	}
	return errors.Join(errs...)
}

func endLeftover(ctx context.Context, root, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	number, started, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
	pid, err := strconv.Atoi(number)
	if err == nil && pid > 1 && isOurs(pid, started, root) {
		if err := killGroup(ctx, pid, started); err != nil {
			return err
		}
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pid file: %w", err)
	}
	return nil
}

// isOurs reports whether the process is the one that was noted, and works in our directory, or below, or names it.
func isOurs(pid int, started, root string) bool {
	if now, err := startTime(pid); err != nil || now != started {
		return false
	}
	if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && strings.HasPrefix(dir+"/", root+"/") {
		return true
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(arguments), root+"/")
}

// killGroup kills the process with what it has started, where it leads a group, and waits for its end.
func killGroup(ctx context.Context, pid int, started string) error {
	if pid <= 1 {
		// 0 and -1 mean groups to kill(2), 1 is init.
		return fmt.Errorf("end leftover: %d is no process of ours", pid)
	}
	target := pid
	if group, err := syscall.Getpgid(pid); err == nil && group == pid {
		target = -pid
	}
	if err := syscall.Kill(target, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end leftover %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, leftoverTimeout)
	defer cancel()
	return poll(ctx, func(context.Context) (bool, error) {
		if gone(pid, started) {
			return true, nil
		}
		return false, fmt.Errorf("end leftover %d: it is still there", pid)
	})
}

// gone reports whether the process has ended. One that nobody has waited for yet has: it holds no port.
func gone(pid int, started string) bool {
	if now, err := startTime(pid); err != nil || now != started {
		return true
	}
	state, err := processState(pid)
	return err != nil || state == stateZombie
}
