package accesslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a Sink and an Observer that remembers. down, if set, is asked before a report is taken.
type memory struct {
	mu      sync.Mutex
	kept    map[key]Use
	reports int
	failed  int
	counts  Counts
	down    func(ctx context.Context, uses []Use) error
}

func newMemory() *memory { return &memory{kept: map[key]Use{}} }

func (m *memory) Report(ctx context.Context, uses []Use) error {
	m.mu.Lock()
	down := m.down
	m.mu.Unlock()
	if down != nil {
		if err := down(ctx, uses); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports++
	for _, u := range uses {
		k := key{u.GrantID, u.Node}
		// The oracle's own arithmetic, in milliseconds, so that it shares nothing with Use.add.
		old, there := m.kept[k]
		if !there {
			m.kept[k] = u
			continue
		}
		u.Admitted, u.RefusedAfter = u.Admitted+old.Admitted, u.RefusedAfter+old.RefusedAfter
		u.FirstAdmitted = pick(slices.MinFunc, old.FirstAdmitted, u.FirstAdmitted)
		u.FirstRefusedAfter = pick(slices.MinFunc, old.FirstRefusedAfter, u.FirstRefusedAfter)
		u.LastAdmitted = pick(slices.MaxFunc, old.LastAdmitted, u.LastAdmitted)
		m.kept[k] = u
	}
	return nil
}

func pick(choose func([]time.Time, func(a, b time.Time) int) time.Time, times ...time.Time) time.Time {
	times = slices.DeleteFunc(times, time.Time.IsZero)
	if len(times) == 0 {
		return time.Time{}
	}
	return choose(times, time.Time.Compare)
}

func (m *memory) Counted(c Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.add(c)
}

func (m *memory) Failed(error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed++
}

func (m *memory) setDown(down func(context.Context, []Use) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *memory) total() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

func (m *memory) use(grant, node string) Use {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[key{grant, node}]
}

func (m *memory) failures() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// sum is how many datagrams were accounted for.
func (c Counts) sum() int64 {
	return c.Admitted + c.Refused + c.Other + c.Unattributed + c.Malformed + c.UnknownNode + c.Sender + c.Oversize + c.Overflow + c.Kernel
}

func start(t *testing.T, m *memory, change func(*Options)) *Receiver {
	t.Helper()
	o := Options{Listen: "udp:127.0.0.1:0", Sink: m, Observer: m, Now: func() time.Time { return now }, Interval: 20 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func dial(t *testing.T, r *Receiver) net.Conn {
	t.Helper()
	address := r.Address()
	connection, err := net.Dial(address.Network(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func send(t *testing.T, c net.Conn, datagrams ...string) {
	t.Helper()
	for _, d := range datagrams {
		if _, err := c.Write([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
}

// at is an admitted request some milliseconds after the line's own.
func at(grant, node string, ms int) string {
	return bsd + line(`"grant":"G1"`, `"grant":"`+grant+`"`, "edge-1", node, "1795533778123", fmt.Sprint(1795533778123+ms))
}

// denied is a request that was refused since the row was gone.
func denied(grant string, ms int) string {
	return bsd + line(pass, deny+"no_grant", `"T1"`, `"`+grant+`"`, "1795533778123", fmt.Sprint(1795533778123+ms))
}

func millis(ms int) time.Time { return time.UnixMilli(int64(1795533778123 + ms)) }

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func wantUse(t *testing.T, got, want Use) {
	t.Helper()
	if !got.FirstAdmitted.Equal(want.FirstAdmitted) || !got.LastAdmitted.Equal(want.LastAdmitted) || !got.FirstRefusedAfter.Equal(want.FirstRefusedAfter) ||
		got.Admitted != want.Admitted || got.RefusedAfter != want.RefusedAfter {
		t.Errorf("the use is %+v, want %+v", got, want)
	}
}

var errDown = errors.New("the store is down")

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "al")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "log.sock")
}

func networks(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for text := range slices.Values(texts) {
		all = append(all, netip.MustParsePrefix(strings.TrimSpace(text)))
	}
	return all
}
