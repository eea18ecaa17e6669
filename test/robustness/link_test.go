package robustness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// callTime is the deadline of each call, as the contract of reconcile.Node wants.
const callTime = 5 * time.Second

// weather is what is wrong between gateways and a node.
type weather struct {
	down    bool // the API refuses connections
	slow    bool // 1 to 30 s a call
	faulty  bool // of the calls, one in four meets a fault
	adds    bool // adding rows alone fails
	master  bool // the master socket does not answer
	runtime bool // nor does the runtime socket
}

func (w weather) any() bool { return w != weather{} }

// trouble reports whether the judge may expect less: failing additions are no excuse for removals that are late.
func (w weather) trouble() bool { w.adds = false; return w.any() }

// fault is what meets one call.
type fault int

const (
	none    fault = iota
	refuse        // 500, 503, 401, refused: an error; not done
	lose          // cut in the body, truncated JSON: an error; done
	pretend       // 200 and not done
	half          // 200 and half of it done: of a file, or of a bulk
	double        // done twice
	late          // done when the caller has given up
	reset         // the connection is closed at once, and it is done later
	faults
)

var (
	errRefused = errors.New("the node refuses")
	errCut     = errors.New("the answer is cut off")
	errHAProxy = errors.New("haproxy does not answer: status 404")
)

// link is a node as one gateway reaches it.
type link struct {
	sim     *sim
	gateway *gateway
	node    *node
	rand    *rand.Rand // of this link alone, so that a seed leads to the same faults again
	// api is what the real client speaks to; nil: the link itself is the node. Most faults are then its own.
	api *dataplanetest.Server
}

// call carries a call through pause, weather and faults. do is told whether to do half of it; it runs with the node's
// lock.
func (l *link) call(ctx context.Context, word string, writes bool, do func(half bool) error) error {
	deadline := time.Now().Add(callTime)
	if err := l.gateway.pass(ctx); err != nil {
		return err
	}
	if !time.Now().Before(deadline) { // it was stopped meanwhile
		return fmt.Errorf("no answer: %w", context.DeadlineExceeded)
	}
	n := l.node
	n.mu.Lock()
	w := n.weather
	n.mu.Unlock()
	if w.down {
		return errRefused
	}
	met := none
	switch {
	case w.adds && word == "add":
		met = refuse
	case w.faulty && l.rand.IntN(4) == 0:
		met = fault(l.rand.IntN(int(faults)))
	}
	inner := dataplanetest.None
	if l.api != nil && met != none && met != refuse && met != late && met != reset {
		met, inner = none, apiFaults[l.rand.IntN(len(apiFaults))]
	}
	if !writes && met != none && met != refuse && met != late {
		met = lose // an answer to a question does not lie: nobody could notice that
	}
	delay := time.Duration(0)
	switch {
	case w.slow:
		delay = time.Duration(1000+l.rand.IntN(29000)) * time.Millisecond
		if l.rand.IntN(3) > 0 {
			delay = time.Duration(200+l.rand.IntN(2000)) * time.Millisecond
		}
	case l.rand.IntN(8) == 0:
		delay = time.Duration(l.rand.IntN(20)) * time.Millisecond
	}
	switch met {
	case late:
		delay = callTime + time.Duration(l.rand.IntN(25000))*time.Millisecond
	case reset:
		delay = time.Duration(l.rand.IntN(25000)) * time.Millisecond
	}
	if writes {
		l.sim.judge.writes(l, time.Now())
	}
	if inner != dataplanetest.None {
		do = l.meeting(inner, do)
	}
	if met == reset {
		l.afterwards(time.Now(), delay, none, do)
		return fmt.Errorf("%w (%w)", errCut, reconcile.ErrUnsettled)
	}
	if delay > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return l.carry(ctx, met, delay, writes, do)
}

// afterwards does what nobody waits for any more: at any time while the caller is the node's writer, and else within the
// call's deadline, which is what the take-over relies on.
func (l *link) afterwards(sent time.Time, delay time.Duration, met fault, do func(half bool) error) {
	l.sim.later(time.Until(sent.Add(delay)), func() {
		if l.writer() || delay <= callTime {
			_ = l.apply(met, func(half bool) error {
				l.node.lateCall, l.node.lateAt = true, time.Now()
				defer func() { l.node.lateCall = false }()
				return do(half)
			})
		}
	})
}

// writer reports whether the gateway is the node's writer, and well.
func (l *link) writer() bool {
	holder, _ := l.sim.locks.holder(l.node.name)
	return l.gateway.fine() && (!l.sim.several || holder == l.gateway)
}

// carry does it, now or after the delay. What the caller does not wait for is done all the same, if it writes.
func (l *link) carry(ctx context.Context, met fault, delay time.Duration, writes bool, do func(half bool) error) error {
	sent := time.Now()
	if delay > 0 {
		early := l.rand.IntN(2) == 0 && met != late // done at once, and answered late
		var err error
		if early {
			err = l.apply(met, do)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
			if early {
				return l.answer(met, err)
			}
		case <-ctx.Done():
			timer.Stop()
			if writes && !early {
				l.afterwards(sent, delay, met, do)
			}
			return fmt.Errorf("no answer: %w", ctx.Err())
		}
	}
	return l.answer(met, l.apply(met, do))
}

func (l *link) answer(met fault, err error) error {
	if met == lose && err == nil {
		return errCut
	}
	return err
}

func (l *link) apply(met fault, do func(half bool) error) error {
	n := l.node
	n.mu.Lock()
	defer n.mu.Unlock()
	switch met {
	case refuse:
		return errRefused
	case pretend:
		return nil
	}
	err := do(met == half)
	if met == double && err == nil {
		_ = do(false)
	}
	return err
}

// runtime is do for calls that HAProxy itself must answer.
func (n *node) runtime(do func()) error {
	if n.dead {
		return errHAProxy
	}
	do()
	return nil
}

func (l *link) Worker(ctx context.Context) (w reconcile.Worker, err error) {
	sent := time.Now()
	err = l.call(ctx, "worker", false, func(bool) error {
		return l.node.runtime(func() {
			now := time.Now()
			date := now.Add(l.node.offset).Truncate(time.Second)
			w = reconcile.Worker{PID: l.node.running.pid, Version: "2.6.12", Uptime: now.Sub(l.node.running.loaded).Truncate(time.Second)}
			switch {
			case date.Add(time.Second).Before(sent):
				w.Offset = date.Add(time.Second).Sub(sent)
			case date.After(now):
				w.Offset = date.Sub(now)
			}
		})
	})
	return w, err
}

func (l *link) Rows(ctx context.Context, m desired.Map) (rows []desired.Row, err error) {
	l.own(m)
	began := time.Now()
	err = l.call(ctx, "rows", false, func(bool) error {
		listed := error(nil)
		down := l.node.runtime(func() {
			rows, listed = l.node.running.list(m)
			if m == desired.Grants && listed == nil {
				l.node.looked[l.gateway.name] = began
			}
		})
		return errors.Join(down, listed)
	})
	return rows, err
}

func (l *link) RowsUnless(ctx context.Context, m desired.Map, known reconcile.Digest) ([]desired.Row, reconcile.Digest, error) {
	rows, err := l.Rows(ctx, m)
	digest := reconcile.Digest(sha256.Sum256(fmt.Appendf(nil, "%q", rows)))
	if err != nil || digest == known {
		return nil, digest, err
	}
	return append([]desired.Row{}, rows...), digest, nil
}

func (l *link) FileIs(ctx context.Context, m desired.Map, text []byte) (bool, error) {
	file, err := l.File(ctx, m)
	return err == nil && bytes.Equal(file, text), err
}

func (l *link) Row(ctx context.Context, m desired.Map, key string) (value string, there bool, err error) {
	l.own(m)
	err = l.call(ctx, "row", false, func(bool) error {
		return l.node.runtime(func() {
			value = l.node.running.value(m, key)
			there = value != ""
		})
	})
	return value, there, err
}

func (l *link) File(ctx context.Context, m desired.Map) (text []byte, err error) {
	l.own(m)
	err = l.call(ctx, "file", false, func(bool) error {
		text = []byte(l.node.files[m])
		return nil
	})
	return text, err
}

func (l *link) Remove(ctx context.Context, m desired.Map, key string) error {
	l.own(m)
	return l.call(ctx, "remove", true, func(bool) error {
		return l.node.runtime(func() { l.node.running.remove(m, key) })
	})
}

func (l *link) Set(ctx context.Context, m desired.Map, r desired.Row) error {
	l.own(m)
	return l.call(ctx, "set", true, func(bool) error {
		found := false
		err := l.node.runtime(func() {
			for i, have := range l.node.running.maps[m] {
				if have.Key == r.Key && !found {
					l.node.running.maps[m][i].Value, found = r.Value, true
				}
			}
			l.leased(m, r)
		})
		if err == nil && !found {
			return errors.New("entry not found")
		}
		return err
	})
}

func (l *link) Add(ctx context.Context, m desired.Map, r desired.Row) error {
	l.own(m)
	return l.call(ctx, "add", true, func(bool) error {
		return l.node.runtime(func() {
			l.node.running.maps[m] = append(l.node.running.maps[m], r) // HAProxy does not look whether it is there
			l.leased(m, r)
		})
	})
}

// Replace is the bulk call: what it does of a small table is to add.
func (l *link) Replace(ctx context.Context, m desired.Map, t desired.Table) error {
	l.own(m)
	return l.call(ctx, "replace", true, func(half bool) error {
		return l.node.runtime(func() {
			rows := t.Rows()
			if half {
				rows = rows[:len(rows)/2]
			}
			if len(t.Text()) <= 8<<10 {
				rows = append(l.node.running.maps[m], rows...)
			}
			l.node.running.maps[m] = rows
		})
	})
}

func (l *link) WriteFile(ctx context.Context, m desired.Map, text []byte) error {
	l.own(m)
	return l.call(ctx, "write", true, func(half bool) error {
		l.node.files[m] = string(text)
		if half {
			l.node.files[m] = string(text[:len(text)/2])
		}
		if m == desired.Leases {
			l.node.leaseGiven = time.Now()
		}
		return nil
	})
}

func (l *link) Clear(ctx context.Context, m desired.Map) error {
	l.own(m)
	return l.call(ctx, "clear", true, func(bool) error {
		return l.node.runtime(func() { l.node.running.maps[m] = nil })
	})
}

// leased tells the judge that a lease is written.
func (l *link) leased(m desired.Map, r desired.Row) {
	if m == desired.Leases {
		l.node.leaseGiven = time.Now()
		delete(l.node.running.tainted, r.Key)
		l.sim.judge.leased(l, r)
	}
}

// own sees that nothing is touched that is not ours (I13).
func (l *link) own(m desired.Map) {
	if !slices.Contains(allMaps, m) {
		l.sim.fail("I13: %s was touched", m)
	}
}

// elders is a node's master socket.
type elders struct{ *link }

func (e elders) Purge(ctx context.Context, keep map[desired.Map]desired.Table) (int, error) {
	if err := e.gateway.pass(ctx); err != nil {
		return 0, err
	}
	n := e.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead || n.weather.master {
		return 0, errRefused
	}
	count := 0
	for _, w := range n.old {
		if !w.alive(time.Now()) {
			continue
		}
		count++
		for m, t := range keep {
			w.maps[m] = slices.DeleteFunc(w.maps[m], func(r desired.Row) bool { return t[r.Key] != r.Value })
		}
	}
	return count, nil
}

// streams is a node's runtime socket.
type streams struct {
	*link
	old bool // older workers are reached too
}

func (s streams) Cut(ctx context.Context, live func(key string) bool) (int, error) {
	if err := s.gateway.pass(ctx); err != nil {
		return 0, err
	}
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead || n.weather.runtime {
		return 0, errRefused
	}
	count := 0
	for _, w := range append([]*worker{n.running}, n.old...) {
		if w != n.running && (!s.old || n.weather.master) {
			continue
		}
		before := len(w.streams)
		w.streams = slices.DeleteFunc(w.streams, func(st *stream) bool { return !live(st.key) })
		count += before - len(w.streams)
	}
	if n.weather.master && s.old {
		return count, errRefused
	}
	return count, nil
}

// environmentOf is the environment in the key of a row.
func environmentOf(key string) string {
	_, pool, _ := strings.Cut(key, "|")
	environment, _, _ := strings.Cut(pool, "/")
	return environment
}
