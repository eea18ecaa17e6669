package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	raceSlots   = 40 // subjects, each with one grant after the other
	raceWorkers = 8  // in each process
)

// Race leads grants on, at random and against others that do the same on the same database, until the log has reached
// the revision until. For each transition that was acknowledged it says "<id> <version> <verb> <revision>" on w. Now and
// then it tries what is not allowed, or what was true a moment ago.
func Race(ctx context.Context, s Store, until int64, w io.Writer) error {
	var mu sync.Mutex
	out := bufio.NewWriter(w)
	say := func(e grant.Event, revision int64) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(out, "%s %d %s %d\n", e.Grant.ID, e.Grant.Version, e.Verb, revision)
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, raceWorkers)
	for i := range errs {
		wg.Go(func() {
			w := racer{store: s, say: say, generation: make([]int, raceSlots)}
			for revision := int64(0); revision < until && errs[i] == nil; {
				revision, errs[i] = w.step(ctx, revision)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, out.Flush())...)
}

type racer struct {
	store      Store
	say        func(grant.Event, int64) error
	generation []int // of each slot, as far as is known
}

// step leads one grant on, or tries to, and answers the newest revision that it knows of.
func (r *racer) step(ctx context.Context, newest int64) (int64, error) {
	slot := rand.N(raceSlots)
	e, err := r.next(ctx, slot)
	if err != nil {
		return newest, err
	}
	legal := isLegal(string(e.From), string(e.Verb), string(e.Grant.State))
	revision, err := r.store.Commit(ctx, store.Change{Events: []grant.Event{e}})
	var live *store.LiveError
	switch {
	case err == nil && !legal:
		return newest, fmt.Errorf("%s -%s-> %s was accepted", e.From, e.Verb, e.Grant.State)
	case err == nil:
		return revision, r.say(e, revision)
	case errors.Is(err, store.ErrConflict), errors.As(err, &live), !legal:
		return newest, nil // another was quicker, or nobody may
	default:
		return newest, err
	}
}

// next is a transition of a slot's grant, or the beginning of its next one.
func (r *racer) next(ctx context.Context, slot int) (grant.Event, error) {
	for {
		id := fmt.Sprintf("s%d-%d", slot, r.generation[slot])
		row, err := r.store.Grant(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return asked(id, subjectOf(slot), billing, noon), nil
		}
		if err != nil {
			return grant.Event{}, err
		}
		var steps [][3]string
		for _, l := range legal {
			if l[0] == string(row.Grant.State) && !row.Grant.State.Final() { // what is said afterwards has no end
				steps = append(steps, l)
			}
		}
		if len(steps) == 0 {
			r.generation[slot]++
			continue
		}
		if rand.N(20) == 0 {
			steps = legal // most of them do not fit
		}
		step := steps[rand.N(len(steps))]
		e := then(row.Grant, grant.Verb(step[1]), grant.State(step[2]), noon)
		e.From = row.Grant.State
		return e, nil
	}
}

// Raced checks what racers have left behind: a log whose chain verifies and whose every grant follows the table without a
// gap, rows that are its outcome, and each acknowledged transition in it exactly once, where it was acknowledged to be. all
// says that nothing else may stand there, since no racer was stopped. acknowledged are the racers' words, line by line.
func Raced(t *testing.T, s Store, acknowledged io.Reader, all bool) {
	t.Helper()
	entries := log(t, s)
	if err := VerifyChain(entries); err != nil {
		t.Fatal(err)
	}
	last := map[string]grant.Grant{}
	for _, e := range entries {
		g, before := e.Event.Grant, last[e.Event.Grant.ID]
		if g.Version != before.Version+1 || e.Event.From != before.State || !isLegal(string(before.State), string(e.Event.Verb), string(g.State)) {
			t.Fatalf("revision %d: %s of %s leads from %q at version %d to %q at version %d",
				e.Revision, e.Event.Verb, g.ID, before.State, before.Version, g.State, g.Version)
		}
		last[g.ID] = g
	}
	for id, want := range last {
		equal(t, "row", record(t, s, id).Grant, want)
	}
	seen := map[int64]bool{}
	for lines := bufio.NewScanner(acknowledged); lines.Scan(); {
		var id, verb string
		var version, revision int64
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %s %d", &id, &version, &verb, &revision); err != nil {
			t.Fatalf("a racer said %q: %v", lines.Text(), err)
		}
		if revision < 1 || revision > int64(len(entries)) || seen[revision] {
			t.Fatalf("%q was acknowledged; there are %d events, and of this one it was said before: %v", lines.Text(), len(entries), seen[revision])
		}
		e := entries[revision-1].Event
		if e.Grant.ID != id || string(e.Verb) != verb || e.Grant.Version != version {
			t.Fatalf("%q was acknowledged, and revision %d is %s of %s at version %d", lines.Text(), revision, e.Verb, e.Grant.ID, e.Grant.Version)
		}
		seen[revision] = true
	}
	if all && len(seen) != len(entries) {
		t.Fatalf("%d events, of which %d were acknowledged", len(entries), len(seen))
	}
	t.Logf("%d transitions of %d grants; %d were acknowledged", len(entries), len(last), len(seen))
}

// Two checks what is only of interest where a database can be opened more than once at the same time.
func Two(t *testing.T, h Harness) {
	open := h(t)
	one, two := open(), open()
	t.Run("both see what either has written", func(t *testing.T) {
		commit(t, one, asked("a1", alice, billing, noon))
		if got := commit(t, two, asked("a2", alice, search, noon)); got != 2 {
			t.Fatalf("revision %d", got)
		}
		equal(t, "row", record(t, one, "a2"), record(t, two, "a2"))
		equal(t, "log", log(t, one), log(t, two))
	})
	t.Run("I6 of racing transitions one wins", func(t *testing.T) {
		for round := range 10 {
			request := asked(fmt.Sprintf("b%d", round), subjectOf(round), billing, noon)
			commit(t, one, request)
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i, s := range []Store{one, two} {
				verb, to := grant.Deny, grant.Denied
				if i == 1 {
					verb, to = grant.Cancel, grant.Cancelled
				}
				wg.Go(func() {
					_, errs[i] = s.Commit(t.Context(), store.Change{Events: []grant.Event{then(request.Grant, verb, to, noon)}})
				})
			}
			wg.Wait()
			loser := slices.IndexFunc(errs, func(err error) bool { return err != nil })
			if loser < 0 || errs[1-loser] != nil {
				t.Fatalf("errors %v: want one of two", errs)
			}
			wantError(t, errs[loser], store.ErrConflict)
		}
	})
	t.Run("a lock of the one stops the other", func(t *testing.T) {
		put := locked(grant.Lock{ID: "l1", Environment: "prod", Until: noon.Add(time.Hour)})
		commit(t, one, put)
		wantLocked(t, two, "l1", asked("c1", bob, billing, noon))
		commit(t, two, lift(put))
		commit(t, one, asked("c1", bob, billing, noon))
	})
	t.Run("a key of the one counts for the other", func(t *testing.T) {
		key := &store.Replay{Caller: alice, Method: "m", Key: "k", At: noon}
		if _, err := one.Commit(t.Context(), store.Change{Replay: key}); err != nil {
			t.Fatal(err)
		}
		_, err := two.Commit(t.Context(), store.Change{Replay: key})
		wantError(t, err, store.ErrReplay)
	})
	t.Run("a login that the one keeps is not overwritten by an older one of the other", func(t *testing.T) {
		raceLogins(t, "erin@example.com", one, two)
	})
	t.Run("I7 a reader of the one sees no earlier event of the other later", func(t *testing.T) { readWhileBothWrite(t, one, two) })
}

// readWhileBothWrite follows the log through one while both write.
func readWhileBothWrite(t *testing.T, one, two Store) {
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	failed := make([]error, 4)
	for i, s := range []Store{one, two} {
		writers.Go(func() {
			for n := range 40 {
				id := fmt.Sprintf("w%d-%d", i, n)
				if _, err := s.Commit(ctx, store.Change{Events: opened(id, grant.Subject("service:"+id), billing, noon)}); err != nil {
					failed[i] = err
					return
				}
			}
		})
		readers.Go(func() {
			position, err := s.Head(ctx)
			for err == nil {
				var page []store.Entry
				page, err = s.Events(ctx, position, 5)
				for _, e := range page {
					if e.Revision != position+1 {
						failed[2+i] = fmt.Errorf("revision %d was read after %d", e.Revision, position)
						return
					}
					position = e.Revision
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	if err := VerifyChain(log(t, one)); err != nil {
		t.Fatal(err)
	}
}
