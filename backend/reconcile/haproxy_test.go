package reconcile_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// process is one worker of the model: what it holds stays as it is once it is an old one.
type process struct {
	pid     int
	started time.Time // by the test's clock
	ends    time.Time // hard-stop-after; zero for the running one
	maps    map[desired.Map][]desired.Row
}

// fault is what goes wrong with one call.
type fault int

const (
	none    fault = iota
	refuse        // an error; not done
	lose          // an error; done
	pretend       // no error; not done
	hang          // no answer until the caller gives up; not done
	late          // no answer until the caller gives up; done after that
)

// haproxy is a model of a node: a running worker, old workers with frozen maps, and files. Its clock is the test's plus
// offset. Methods that are not the node's are for the test.
type haproxy struct {
	mu       sync.Mutex
	running  *process
	old      []*process
	files    map[desired.Map][]byte
	offset   time.Duration
	hardStop time.Duration
	down     bool
	latency  time.Duration
	log      []string
	lateness time.Duration // of late calls
	lateAt   time.Time     // of the last of them

	// meet decides what happens to a call, before it is done; it may change the node. after is told when it was done.
	meet  func(call string) fault
	after func(call string)
}

var allMaps = []desired.Map{desired.Grants, desired.KIDs, desired.Pools, desired.Hosts, desired.Leases}

// newHAProxy has empty maps, and a worker that has run for an hour.
func newHAProxy() *haproxy {
	h := &haproxy{files: map[desired.Map][]byte{}, hardStop: 30 * time.Second}
	for _, m := range allMaps {
		h.files[m] = []byte{}
	}
	h.running = &process{pid: 100, started: time.Now().Add(-time.Hour), maps: map[desired.Map][]desired.Row{}}
	return h
}

var errNode = errors.New("the node did not do it")

// do runs one call through the faults.
func (h *haproxy) do(ctx context.Context, call string, f func() error) error {
	h.mu.Lock()
	h.log = append(h.log, call)
	meet, after, latency := h.meet, h.after, h.latency
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // as the contract of reconcile.Node wants
	defer cancel()
	met := none
	if meet != nil {
		met = meet(call)
	}
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := h.carryOut(ctx, met, f)
	if met == late {
		h.later(call, f)
	}
	if after != nil {
		after(call)
	}
	return err
}

func (h *haproxy) carryOut(ctx context.Context, met fault, f func() error) error {
	if met == hang || met == late {
		<-ctx.Done()
		return ctx.Err()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case met == refuse || h.down:
		return errNode
	case met == pretend:
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	if met == lose {
		return errNode
	}
	return nil
}

// later carries a call out that its caller has given up.
func (h *haproxy) later(call string, f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	time.AfterFunc(h.lateness, func() {
		h.mu.Lock()
		if !h.down {
			h.lateAt = time.Now()
			_ = f()
		}
		after := h.after
		h.mu.Unlock()
		if after != nil {
			after(call)
		}
	})
}

// arrived is when a late call was carried out last.
func (h *haproxy) arrived() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lateAt
}

func (h *haproxy) Worker(ctx context.Context) (w reconcile.Worker, err error) {
	err = h.do(ctx, "worker", func() error {
		w = reconcile.Worker{
			PID: h.running.pid, Version: "2.6.12", Offset: h.offset,
			Uptime: time.Since(h.running.started).Truncate(time.Second),
		}
		return nil
	})
	return w, err
}

func (h *haproxy) Rows(ctx context.Context, m desired.Map) (rows []desired.Row, err error) {
	err = h.do(ctx, "rows "+string(m), func() error {
		if slices.ContainsFunc(h.running.maps[m], func(r desired.Row) bool { return r.Value == "" }) {
			return reconcile.ErrFaultyRow // as the real API does
		}
		rows = slices.Clone(h.running.maps[m])
		return nil
	})
	return rows, err
}

func (h *haproxy) File(ctx context.Context, m desired.Map) (text []byte, err error) {
	err = h.do(ctx, "file "+string(m), func() error {
		text = slices.Clone(h.files[m])
		return nil
	})
	return text, err
}

// RowsUnless is of reconcile.Recognizer. Each worker has its rows elsewhere in its memory.
func (h *haproxy) RowsUnless(ctx context.Context, m desired.Map, known reconcile.Digest) (rows []desired.Row, d reconcile.Digest, err error) {
	err = h.do(ctx, "recognize "+string(m), func() error {
		d = sha256.Sum256(fmt.Appendf(nil, "%p %q", h.running, h.running.maps[m]))
		if d != known {
			h.log = append(h.log, "parse "+string(m))
			rows = append([]desired.Row{}, h.running.maps[m]...)
		}
		return nil
	})
	return rows, d, err
}

func (h *haproxy) FileIs(ctx context.Context, m desired.Map, text []byte) (same bool, err error) {
	err = h.do(ctx, "compare "+string(m), func() error {
		same = bytes.Equal(text, h.files[m])
		return nil
	})
	return same, err
}

func (h *haproxy) Remove(ctx context.Context, m desired.Map, key string) error {
	return h.do(ctx, "remove "+string(m)+" "+key, func() error {
		h.running.remove(m, key)
		return nil
	})
}

func (h *haproxy) Set(ctx context.Context, m desired.Map, r desired.Row) error {
	return h.do(ctx, "set "+string(m)+" "+r.Key, func() error {
		found := false
		for i, have := range h.running.maps[m] {
			if have.Key == r.Key {
				h.running.maps[m][i].Value, found = r.Value, true
			}
		}
		if !found {
			return errors.New("entry not found")
		}
		return nil
	})
}

// Add adds a row at the end: HAProxy does not look whether the key is there.
func (h *haproxy) Add(ctx context.Context, m desired.Map, r desired.Row) error {
	return h.do(ctx, "add "+string(m)+" "+r.Key, func() error {
		h.running.maps[m] = append(h.running.maps[m], r)
		return nil
	})
}

func (h *haproxy) WriteFile(ctx context.Context, m desired.Map, text []byte) error {
	return h.do(ctx, "write "+string(m), func() error {
		h.files[m] = slices.Clone(text)
		return nil
	})
}

func (p *process) remove(m desired.Map, key string) {
	p.maps[m] = slices.DeleteFunc(p.maps[m], func(r desired.Row) bool { return r.Key == key })
}

func (p *process) value(m desired.Map, key string) (string, bool) {
	for _, r := range p.maps[m] {
		if r.Key == key {
			return r.Value, true // the first counts
		}
	}
	return "", false
}

// reload starts a worker with the files; the running one becomes an old one that ends after hard-stop-after.
func (h *haproxy) reload() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retire()
	h.start(h.running.pid + 1)
}

// retire makes the running worker an old one.
func (h *haproxy) retire() {
	h.running.ends = time.Now().Add(h.hardStop)
	h.old = append(h.old, h.running)
}

// restart starts a worker with the files, after all others have ended.
func (h *haproxy) restart() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.old = nil
	h.start(h.running.pid)
}

// takeOver is a reload whose worker has read the files as they were earlier.
func (h *haproxy) takeOver(earlier map[desired.Map][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retire()
	h.running = load(h.running.pid+1, earlier)
}

func (h *haproxy) start(pid int) { h.running = load(pid, h.files) }

func load(pid int, files map[desired.Map][]byte) *process {
	p := &process{pid: pid, started: time.Now(), maps: map[desired.Map][]desired.Row{}}
	for _, m := range allMaps {
		for line := range strings.Lines(string(files[m])) {
			if key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); key != "" && key != "#" {
				p.maps[m] = append(p.maps[m], desired.Row{Key: key, Value: value})
			}
		}
	}
	return p
}

// edit changes the node as somebody else would.
func (h *haproxy) edit(change func(running *process, files map[desired.Map][]byte)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h.running, h.files)
}

func (h *haproxy) configure(change func(h *haproxy)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// rows are a running map's as "key value" lines.
func (h *haproxy) rows(m desired.Map) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := []string{}
	for _, r := range h.running.maps[m] {
		lines = append(lines, r.Key+" "+r.Value)
	}
	return lines
}

func (h *haproxy) file(m desired.Map) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.files[m])
}

// takeLog returns the calls since the last one.
func (h *haproxy) takeLog() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	log := h.log
	h.log = nil
	return log
}

// changing leaves those calls of a log that change something.
func changing(log []string) []string {
	changes := []string{}
	for _, call := range log {
		if word, _, _ := strings.Cut(call, " "); slices.Contains([]string{"remove", "set", "add", "write", "clear", "replace"}, word) {
			changes = append(changes, call)
		}
	}
	return changes
}

var rowPattern = regexp.MustCompile(`\A([0-9]{10}):([A-Za-z0-9._-]{1,64})\z`)

// admitted says by which grants any worker, old ones included, admits the key at this moment: a request passes if the
// environment's lease is in the future, the row is there, and its expiry is in the future. It knows nothing of the code
// under test.
func (h *haproxy) admitted(environment, key string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now().Add(h.offset).Unix()
	var ids []string
	for _, p := range append([]*process{h.running}, h.old...) {
		if !p.ends.IsZero() && !time.Now().Before(p.ends) {
			continue
		}
		lease, _ := p.value(desired.Leases, environment)
		if until, err := strconv.ParseInt(lease, 10, 64); err != nil || now >= until {
			continue
		}
		value, _ := p.value(desired.Grants, key)
		row := rowPattern.FindStringSubmatch(value)
		if row == nil {
			continue
		}
		if expiry, err := strconv.ParseInt(row[1], 10, 64); err == nil && now < expiry {
			ids = append(ids, row[2])
		}
	}
	return ids
}

func (h *haproxy) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("running %d %v, files %q, %d old", h.running.pid, h.running.maps, h.files, len(h.old))
}
