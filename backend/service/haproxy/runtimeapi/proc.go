package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// noWorkerText is what the master says of a pid that it does not know (any more), without an empty line behind it.
const noWorkerText = "Can't find the target PID"

var errNoWorker = errors.New("there is no such worker")

var pidWord = regexp.MustCompile(`\A[1-9][0-9]{0,9}\z`)

// processes is the master's answer to "show proc". HAProxy 2.6 and 3.0 write it in the same way: a row a process, "<pid>
// <type> <reloads> ...", under a heading for each kind.
type processes struct{ running, old []int }

func (c *Client) processes(ctx context.Context) (processes, error) {
	var p processes
	section, master := "", false
	err := c.master.ask(ctx, func(_ int, line string) error {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#<PID>"):
		case strings.HasPrefix(line, "# "):
			section = line
		case len(fields) < 3 || !pidWord.MatchString(fields[0]):
			return unexpected("show proc", line)
		case fields[1] == "master":
			master = true
		case fields[1] == "worker":
			return p.add(section, fields[0])
		}
		return nil
	}, command{"show", "proc"})
	if err == nil && !master {
		err = errors.New("read show proc: it has no master")
	}
	if err == nil && len(p.running) == 0 {
		// A reload is under way: which workers are old is not known yet.
		err = errors.New("read show proc: it has no running worker")
	}
	if err != nil {
		return processes{}, err
	}
	return p, nil
}

func (p *processes) add(section, word string) error {
	pid, err := strconv.Atoi(word)
	if err != nil {
		return fmt.Errorf("read show proc: %w", err)
	}
	switch section {
	case "# workers":
		p.running = append(p.running, pid)
	case "# old workers":
		p.old = append(p.old, pid)
	default:
		return unexpected("show proc", section)
	}
	return nil
}

// worker is the worker of that pid, through the master.
func (c *Client) worker(pid int) worker {
	return worker{*c.master, command{"@!" + strconv.Itoa(pid)}}
}

// eachOld runs f for every older worker and returns how many there were. A worker that ends meanwhile is no error; the
// error of one does not keep f from the others.
func (c *Client) eachOld(ctx context.Context, f func(w worker) error) (int, error) {
	p, err := c.processes(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, pid := range p.old {
		err := f(c.worker(pid))
		if err == nil || c.ended(ctx, pid) {
			continue
		}
		errs = append(errs, fmt.Errorf("older worker %d: %w", pid, err))
	}
	return len(p.old), errors.Join(errs...)
}

// ended reports whether the master has no such worker any more; false where that cannot be known.
func (c *Client) ended(ctx context.Context, pid int) bool {
	p, err := c.processes(ctx)
	return err == nil && !slices.Contains(p.old, pid) && !slices.Contains(p.running, pid)
}
