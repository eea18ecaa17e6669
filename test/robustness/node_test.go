package robustness

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

var allMaps = []desired.Map{desired.Grants, desired.KIDs, desired.Pools, desired.Hosts, desired.Leases}

// worker is one process of HAProxy. What it holds stays as it is once it is an old one.
type worker struct {
	pid    int
	loaded time.Time // when it read the files
	took   time.Time // when it took over
	ends   time.Time // hard-stop-after; zero while it is the running one
	maps   map[desired.Map][]desired.Row
	// tainted are environments whose lease somebody else wrote.
	tainted map[string]bool
	streams []*stream
}

// stream is a download or a WebSocket that goes on.
type stream struct{ key, id string }

func (w *worker) alive(now time.Time) bool { return w.ends.IsZero() || now.Before(w.ends) }

// list is what the Data Plane API answers: over a row without a value it fails.
func (w *worker) list(m desired.Map) ([]desired.Row, error) {
	if slices.ContainsFunc(w.maps[m], func(r desired.Row) bool { return r.Value == "" }) {
		return nil, reconcile.ErrFaultyRow
	}
	return slices.Clone(w.maps[m]), nil
}

func (w *worker) value(m desired.Map, key string) string {
	for _, r := range w.maps[m] {
		if r.Key == key {
			return r.Value // the first counts
		}
	}
	return ""
}

func (w *worker) remove(m desired.Map, key string) {
	w.maps[m] = slices.DeleteFunc(w.maps[m], func(r desired.Row) bool { return r.Key == key })
}

// node is a machine with HAProxy: a running worker, old ones with frozen maps, and files. Its clock is the true one plus
// offset.
type node struct {
	name string

	mu       sync.Mutex
	running  *worker
	old      []*worker
	loading  bool
	dead     bool // HAProxy does not run
	files    map[desired.Map]string
	backup   map[desired.Map]string // of some time before
	offset   time.Duration
	skewed   time.Time // since when its clock is behind by more than the bound; zero: it is not
	hardStop time.Duration
	joined   time.Time

	weather weather
	bare    bool                  // rows without a value may come: its map can be emptied
	api     *dataplanetest.Server // what the real client speaks to; nil: none does
	// What the judge is told.
	disturbed  time.Time            // somebody else has last written to memory or files, or has started HAProxy with other files
	troubled   time.Time            // a fault was last in force
	lateAt     time.Time            // such a call was last carried out
	weathered  time.Time            // anything was last wrong with its calls
	leaseGiven time.Time            // a gateway has last written a lease
	looked     map[string]time.Time // by gateway: the newest reading of grants began then
	left       time.Time            // it was taken out of the fleet; zero: it was not
	lateCall   bool                 // the call that is carried out now was given up long ago
}

func newNode(name string, hardStop time.Duration) *node {
	n := &node{
		name: name, files: map[desired.Map]string{}, backup: map[desired.Map]string{}, hardStop: hardStop, joined: time.Now(),
		looked: map[string]time.Time{},
	}
	for _, m := range allMaps {
		n.files[m] = ""
	}
	n.running = n.load(100)
	n.running.loaded = time.Now().Add(-time.Hour)
	return n
}

// load starts a worker with the files.
func (n *node) load(pid int) *worker {
	now := time.Now()
	w := &worker{pid: pid, loaded: now, took: now, maps: map[desired.Map][]desired.Row{}, tainted: map[string]bool{}}
	for _, m := range allMaps {
		for line := range strings.Lines(n.files[m]) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if key != "" && key != "#" && (value != "" || n.bare) {
				w.maps[m] = append(w.maps[m], desired.Row{Key: key, Value: value})
			}
		}
	}
	return w
}

// reload begins a reload: the new worker reads the files now and takes over later.
func (n *node) reload(after time.Duration) {
	n.mu.Lock()
	if n.loading || n.dead {
		n.mu.Unlock()
		return
	}
	n.loading = true
	next := n.load(n.running.pid + 1)
	n.mu.Unlock()
	time.AfterFunc(after, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.loading {
			return // it was restarted meanwhile
		}
		n.loading = false
		now := time.Now()
		n.running.ends = now.Add(n.hardStop)
		n.old = append(slices.DeleteFunc(n.old, func(w *worker) bool { return !w.alive(now) }), n.running)
		next.took = now
		n.running = next
	})
}

// kill ends all of HAProxy; start begins it with the files that are there.
func (n *node) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead, n.loading, n.old = true, false, nil
	n.troubled = time.Now()
}

func (n *node) start(stale bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if stale && len(n.backup) > 0 {
		for m, text := range n.backup {
			n.files[m] = text
		}
		n.disturbed = time.Now()
	}
	n.dead, n.loading, n.old = false, false, nil
	n.running = n.load(n.running.pid + 1)
	n.troubled = time.Now()
}

func (n *node) save() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for m, text := range n.files {
		n.backup[m] = text
	}
}

// edit is a foreign hand.
func (n *node) edit(kind int, m desired.Map, ended string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disturbed = time.Now()
	rows := n.running.maps[m]
	value := "9999999999:foreign"
	switch {
	case m == desired.Leases:
		for _, r := range rows {
			n.running.tainted[r.Key] = true
		}
		value = desired.LeaseOff
	case ended != "":
		value = ended
	case n.bare && len(rows)%2 == 0:
		value = "" // a row that keeps the map from being listed
	}
	switch {
	case kind == 0:
		n.running.maps[m] = append(rows, desired.Row{Key: "mallory@example.com|prod/p0", Value: value})
	case kind == 1:
		n.files[m] = "mallory@example.com|prod/p0 " + value + "\n# x\n" + n.files[m]
	case len(rows) == 0:
	case kind == 2:
		n.running.maps[m] = slices.Clone(rows[1:])
	case kind == 3:
		rows[0].Value = value
	case kind == 4:
		n.running.maps[m] = append(rows, desired.Row{Key: rows[0].Key, Value: value})
	case kind == 5:
		n.files[m] = n.files[m][:len(n.files[m])/2]
	}
}

// setClock sets the node's clock off.
func (n *node) setClock(offset time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offset = offset
	n.troubled = time.Now()
	switch {
	case offset >= -clockBound-1100*time.Millisecond:
		n.skewed = time.Time{}
	case n.skewed.IsZero():
		n.skewed = time.Now()
	}
}

// browse begins streams for rows that are admitted, and ends some.
func (n *node) browse(draw func(int) int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		return
	}
	now := time.Now()
	for _, w := range append([]*worker{n.running}, n.old...) {
		for _, a := range n.admits(w, now) {
			if w.alive(now) && len(w.streams) < 4 && draw(10) == 0 {
				w.streams = append(w.streams, &stream{a.key, a.id})
			}
		}
		if len(w.streams) > 0 && draw(20) == 0 {
			w.streams = w.streams[1:]
		}
	}
}

// admission is a row by which a worker lets requests pass.
type admission struct{ environment, key, id string }

// admits lists what a worker admits: the lease of the row's environment and the row itself are in the future, by the node's
// clock. It reads the maps as HAProxy does and knows nothing of the code under test.
func (n *node) admits(w *worker, now time.Time) []admission {
	if n.dead || !w.alive(now) {
		return nil
	}
	clock := now.Add(n.offset).Unix()
	leases := map[string]int64{}
	for _, r := range w.maps[desired.Leases] {
		if _, there := leases[r.Key]; !there {
			leases[r.Key] = tenDigits(r.Value)
		}
	}
	seen := map[string]bool{}
	var all []admission
	for _, r := range w.maps[desired.Grants] {
		if seen[r.Key] {
			continue
		}
		seen[r.Key] = true
		expiry, id, ok := strings.Cut(r.Value, ":")
		_, pool, _ := strings.Cut(r.Key, "|")
		environment, _, _ := strings.Cut(pool, "/")
		if ok && clock < leases[environment] && clock < tenDigits(expiry) {
			all = append(all, admission{environment, r.Key, id})
		}
	}
	return all
}

func tenDigits(s string) int64 {
	if len(s) != 10 {
		return 0
	}
	n := int64(0)
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

func (n *node) describe() string {
	text := fmt.Sprintf("%s offset %s dead %v weather %+v disturbed %s troubled %s\n", n.name, n.offset, n.dead, n.weather,
		stamp(n.disturbed), stamp(n.troubled))
	for _, w := range append([]*worker{n.running}, n.old...) {
		text += fmt.Sprintf("  worker %d loaded %s took %s ends %s leases %v grants %v\n", w.pid, stamp(w.loaded), stamp(w.took),
			stamp(w.ends), w.maps[desired.Leases], w.maps[desired.Grants])
	}
	return text + fmt.Sprintf("  file %q\n", n.files[desired.Grants])
}

// stamp is a time in seconds since the simulation began.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.2f", t.Sub(begin).Seconds())
}
