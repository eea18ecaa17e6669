package storetest

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// The kinds of answers that a commit may have.
const (
	fine     = "ok"
	conflict = "conflict"
	live     = "live"
	replayed = "replay"
	refused  = "refused" // by the table; which error it is, is the driver's matter
)

// model is what a store must hold, in a few maps, of the grants whose names begin with its prefix: all rounds use one
// database.
type model struct {
	prefix  string
	base    store.Mark // the log's end before the round
	rows    map[string]store.Record
	log     []grant.Event
	replays map[string]bool
}

func (m *model) clone() *model {
	n := &model{prefix: m.prefix, base: m.base, rows: map[string]store.Record{}, log: append([]grant.Event{}, m.log...), replays: map[string]bool{}}
	for k, v := range m.rows {
		n.rows[k] = v
	}
	for k := range m.replays {
		n.replays[k] = true
	}
	return n
}

// commit answers what each of the rules says; several may apply, and then any of their errors is right.
func (m *model) commit(c store.Change) (*model, map[string]bool) {
	n := m.clone()
	if c.Replay != nil {
		if n.replays[c.Replay.Key] {
			return m, map[string]bool{replayed: true}
		}
		n.replays[c.Replay.Key] = true
	}
	wrong := map[string]bool{}
	for _, e := range c.Events {
		n.log = append(n.log, e)
		maps.Copy(wrong, n.apply(e))
	}
	if len(wrong) > 0 {
		return m, wrong
	}
	return n, map[string]bool{fine: true}
}

func (m *model) apply(e grant.Event) map[string]bool {
	wrong := map[string]bool{}
	if !rowed(e) {
		return nil
	}
	g := e.Grant
	row, exists := m.rows[g.ID]
	if g.Version == 1 && exists || g.Version != 1 && (!exists || row.Grant.Version != g.Version-1 || row.Grant.State != e.From) {
		wrong[conflict] = true
	}
	if !isLegal(string(row.Grant.State), string(e.Verb), string(g.State)) {
		wrong[refused] = true
	}
	if open(g) {
		for id, other := range m.rows {
			if id != g.ID && open(other.Grant) && other.Grant.Subject == g.Subject && other.Grant.Pool == g.Pool {
				wrong[live] = true
			}
		}
	}
	m.rows[g.ID] = store.Record{Grant: g, Revision: m.base.Revision + int64(len(m.log))}
	return wrong
}

func open(g grant.Grant) bool { return g.State == "approved" || g.State == "active" }

func kindOf(err error) string {
	var l *store.LiveError
	switch {
	case err == nil:
		return fine
	case errors.Is(err, store.ErrConflict):
		return conflict
	case errors.Is(err, store.ErrReplay):
		return replayed
	case errors.As(err, &l):
		return live
	default:
		return refused
	}
}

// testRandomChanges commits random changes, legal and not, of few grants, so that they meet.
func testRandomChanges(t *testing.T, h Harness) {
	s := h(t)()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &model{prefix: fmt.Sprintf("r%d-", round), base: lastMark(t, s), rows: map[string]store.Record{}, replays: map[string]bool{}}
		for range rapid.IntRange(1, 25).Draw(rt, "changes") {
			change := drawChange(rt, m)
			next, allowed := m.commit(change)
			revision, err := s.Commit(t.Context(), change)
			if kind := kindOf(err); !allowed[kind] {
				rt.Fatalf("the store says %v, the model %v, to %+v", err, allowed, change)
			}
			if err == nil && revision != m.base.Revision+int64(len(next.log)) {
				rt.Fatalf("revision %d, want %d", revision, m.base.Revision+int64(len(next.log)))
			}
			m = next
		}
		compare(t, rt, s, m)
	})
	entries := log(t, s)
	if err := VerifyChain(entries); err != nil {
		t.Fatal(err)
	}
	if err := checkSnapshot(snap(t, s), entries); err != nil {
		t.Fatal(err)
	}
}

func lastMark(t testing.TB, s Store) store.Mark {
	t.Helper()
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if head == 0 {
		return store.Mark{}
	}
	entries, err := s.Events(t.Context(), head-1, 1)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the last event: %v, %v", entries, err)
	}
	return store.Mark{Revision: head, Hash: entries[0].Hash}
}

func compare(t testing.TB, rt *rapid.T, s Store, m *model) {
	entries, err := s.Events(t.Context(), m.base.Revision, 1000)
	if err != nil {
		rt.Fatal(err)
	}
	var events []grant.Event
	for _, e := range entries {
		events = append(events, e.Event)
	}
	if diff := cmp.Diff(m.log, events, equateEmpty); diff != "" {
		rt.Fatalf("log (-model +store):\n%s", diff)
	}
	for _, id := range everyID {
		r, err := s.Grant(t.Context(), m.prefix+id)
		want, there := m.rows[m.prefix+id]
		if there == errors.Is(err, store.ErrNotFound) || !cmp.Equal(want, r) {
			rt.Fatalf("row %s, %v (-model +store):\n%s", id, err, cmp.Diff(want, r))
		}
	}
	compareLive(t, rt, s, m)
	for _, key := range everyKey {
		_, err := s.Replayed(t.Context(), alice, "m", m.prefix+key)
		if m.replays[m.prefix+key] != (err == nil) || err != nil && !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("%s: the store says %v, the model %v", key, err, m.replays[m.prefix+key])
		}
	}
}

func compareLive(t testing.TB, rt *rapid.T, s Store, m *model) {
	for _, who := range m.people() {
		for _, pool := range []grant.Pool{billing, search} {
			want := "" // at most one: the model holds that
			for id, r := range m.rows {
				if open(r.Grant) && r.Grant.Subject == who && r.Grant.Pool == pool {
					want = id
				}
			}
			r, err := s.LiveGrant(t.Context(), who, pool)
			if r.Grant.ID != want || (want == "") != errors.Is(err, store.ErrNotFound) {
				rt.Fatalf("the live grant of %s for %s is %q, %v; the model says %q", who, pool, r.Grant.ID, err, want)
			}
		}
	}
}

var equateEmpty = cmp.Transformer("empty", func(e []grant.Event) string {
	if len(e) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: %+v", len(e), e)
})

var everyID = []string{"g1", "g2", "g3", "g4", "g5"}

// people are two of the round alone.
func (m *model) people() []grant.Subject {
	return []grant.Subject{grant.Subject("service:" + m.prefix + "a"), grant.Subject("service:" + m.prefix + "b")}
}

var everyKey = []string{"key-1", "key-2", "key-3", "key-4", "key-5", "key-6"}

func drawChange(rt *rapid.T, m *model) store.Change {
	var c store.Change
	// What a change's own events have done, its later ones must build on.
	ahead := m.clone()
	for range rapid.IntRange(0, 3).Draw(rt, "events") {
		e := drawEvent(rt, ahead)
		ahead.log = append(ahead.log, e)
		ahead.apply(e)
		c.Events = append(c.Events, e)
	}
	if rapid.Bool().Draw(rt, "with key") {
		key := rapid.SampledFrom(everyKey).Draw(rt, "key")
		c.Replay = &store.Replay{Caller: alice, Method: "m", Key: m.prefix + key, At: noon}
	}
	return c
}

func drawEvent(rt *rapid.T, m *model) grant.Event {
	id := m.prefix + rapid.SampledFrom(everyID).Draw(rt, "id")
	row, exists := m.rows[id]
	if rapid.IntRange(0, 19).Draw(rt, "refusal") == 0 {
		return grant.Event{Grant: grant.Grant{Subject: alice, Pool: billing}, Verb: grant.Refuse, Actor: alice, At: noon}
	}
	if !exists || rapid.IntRange(0, 19).Draw(rt, "again") == 0 {
		who := rapid.SampledFrom(m.people()).Draw(rt, "subject")
		return asked(id, who, rapid.SampledFrom([]grant.Pool{billing, search}).Draw(rt, "pool"), noon)
	}
	g := row.Grant
	var steps [][3]string
	for _, l := range legal {
		if l[0] == string(g.State) {
			steps = append(steps, l)
		}
	}
	if len(steps) == 0 || rapid.IntRange(0, 9).Draw(rt, "illegal") == 0 {
		steps = [][3]string{{"", rapid.SampledFrom(everyVerb).Draw(rt, "verb"), rapid.SampledFrom(everyState).Draw(rt, "to")}}
	}
	step := rapid.SampledFrom(steps).Draw(rt, "step")
	e := then(g, grant.Verb(step[1]), grant.State(step[2]), noon)
	if rapid.IntRange(0, 9).Draw(rt, "stale") == 0 {
		e.Grant.Version += int64(rapid.SampledFrom([]int{-1, 1, 2}).Draw(rt, "by"))
	}
	return e
}
