package batch

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var (
	noon    = time.UnixMilli(1_900_000_000_000).UTC()
	billing = grant.Pool{Environment: "prod", Name: "billing"}
)

const alice = grant.Subject("alice@example.com")

// step is an event of alice's grant that leads to a state.
func step(id string, version int64, from, to grant.State, verb grant.Verb, at time.Time) grant.Event {
	g := grant.Grant{ID: id, Subject: alice, Pool: billing, State: to, RequestedAt: noon, Version: version}
	return grant.Event{Grant: g, From: from, Verb: verb, At: at}
}

func begun(id string) grant.Event { return step(id, 1, "", grant.Pending, grant.Request, noon) }

func completed(id string) grant.Event {
	return step(id, 2, grant.Pending, grant.Approved, grant.Complete, noon)
}

// judged judges changes one after the other, as those of one batch over what is known.
func judged(t *testing.T, known Answer, changes ...store.Change) (*ledger, []error) {
	t.Helper()
	l := newLedger(store.Mark{}, known)
	var errs []error
	for _, c := range changes {
		j, err := newJob(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.judge(j)
		errs = append(errs, err)
	}
	return l, errs
}

func of(events ...grant.Event) store.Change { return store.Change{Events: events} }

// What the changes of a batch are refused for, and what a refused one leaves behind: nothing, its place, key and revision
// included.
func TestARefusedChangeLeavesNothingToTheNextOfItsBatch(t *testing.T) {
	key := &store.Replay{Caller: alice, Method: "m", Key: "k"}
	bad := step("g1", 4, grant.Approved, grant.Active, grant.Activate, noon) // leaves out a version
	failing := of(begun("g1"), completed("g1"), bad)
	failing.Replay = key
	lock := grant.Event{Verb: grant.PutLock, At: noon, Lock: grant.Lock{ID: "l1", Environment: "prod", Until: noon.Add(time.Hour)}}
	locking := of(lock, bad)

	again := of(begun("g1"))
	again.Replay = key
	counted := of(begun("g2"), completed("g2"))
	counted.Unless = &store.Since{Subject: alice, Revision: 1} // the revision of the one before it, in the batch
	l, errs := judged(t, Answer{}, failing, locking, again, counted)
	for i, want := range []error{store.ErrConflict, store.ErrConflict, nil, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("change %d: error %v, want %v", i, errs[i], want)
		}
	}
	rows := l.rows()
	var revisions []int64
	for _, e := range rows.Events {
		revisions = append(revisions, e.Mark.Revision)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, revisions); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	if len(rows.Grants) != 2 || len(rows.Locks) != 0 || len(rows.Replays) != 1 {
		t.Errorf("rows %+v", rows)
	}
	if want := store.Chain([32]byte{}, 1, rows.Events[0].Doc); rows.Events[0].Mark.Hash != want {
		t.Error("the chain goes on from what was refused")
	}
}

// A change is judged by those of its batch that were accepted before it, as if they were in the database.
func TestAChangeIsJudgedByThoseBeforeItInItsBatch(t *testing.T) {
	keyed := func(c store.Change) store.Change {
		c.Replay = &store.Replay{Caller: alice, Method: "m", Key: "k"}
		return c
	}
	since := func(c store.Change, revision int64) store.Change {
		c.Unless = &store.Since{Subject: alice, Revision: revision}
		return c
	}
	lock := grant.Event{Verb: grant.PutLock, At: noon, Lock: grant.Lock{ID: "l1", Subject: alice, Until: noon.Add(time.Hour)}}
	lift := lock
	lift.Verb, lift.Lock.LiftedAt = grant.LiftLock, noon
	end := step("g1", 3, grant.Approved, grant.Revoked, grant.Revoke, noon)
	var locked *store.LockedError
	var live *store.LiveError
	for name, test := range map[string]struct {
		changes []store.Change
		want    func(error) bool // of the last
	}{
		"the same key":              {[]store.Change{keyed(of(begun("g1"))), keyed(of(begun("g2")))}, is(store.ErrReplay)},
		"the same version":          {[]store.Change{of(begun("g1")), of(begun("g1"))}, is(store.ErrConflict)},
		"what was counted changed":  {[]store.Change{since(of(begun("g1")), 0), since(of(begun("g2")), 0)}, is(store.ErrConflict)},
		"what was counted did not":  {[]store.Change{since(of(begun("g1")), 0), since(of(begun("g2")), 1)}, is(nil)},
		"a place that is taken":     {[]store.Change{of(begun("g1"), completed("g1")), of(begun("g2"), completed("g2"))}, func(err error) bool { return errors.As(err, &live) && live.ID == "g1" }},
		"a place that became free":  {[]store.Change{of(begun("g1"), completed("g1")), of(end), of(begun("g2"), completed("g2"))}, is(nil)},
		"a lock":                    {[]store.Change{of(lock), of(begun("g1"))}, func(err error) bool { return errors.As(err, &locked) }},
		"a lock that was lifted":    {[]store.Change{of(lock), of(lift), of(begun("g1"))}, is(nil)},
		"a lock that is there":      {[]store.Change{of(lock), of(lock)}, is(store.ErrConflict)},
		"a lock that is lifted":     {[]store.Change{of(lock), of(lift), of(lift)}, is(store.ErrConflict)},
		"a lock of another subject": {[]store.Change{of(renamed(lock, "bob@example.com")), of(begun("g1"))}, is(nil)},
	} {
		_, errs := judged(t, Answer{}, test.changes...)
		last := len(errs) - 1
		for i, err := range errs[:last] {
			if err != nil {
				t.Errorf("%s: change %d: %v", name, i, err)
			}
		}
		if !test.want(errs[last]) {
			t.Errorf("%s: error %v", name, errs[last])
		}
	}
}

func is(want error) func(error) bool {
	return func(err error) bool { return errors.Is(err, want) }
}

func renamed(e grant.Event, who grant.Subject) grant.Event {
	e.Lock.Subject = who
	return e
}

// What the request has fixed is refused here, before the schema would refuse the whole batch for it.
func TestWhatARequestFixedIsRefusedByItself(t *testing.T) {
	known := func() Answer {
		return Answer{Grants: map[string]Row{"g1": {Version: 1, State: grant.Pending, Subject: alice, Pool: billing, RequestedAt: noon.UnixMilli()}}}
	}
	for name, change := range map[string]func(*grant.Grant){
		"subject":     func(g *grant.Grant) { g.Subject = "bob@example.com" },
		"owner":       func(g *grant.Grant) { g.Owner = "bob@example.com" },
		"pool":        func(g *grant.Grant) { g.Pool.Name = "search" },
		"environment": func(g *grant.Grant) { g.Pool.Environment = "staging" },
		"time":        func(g *grant.Grant) { g.RequestedAt = noon.Add(time.Millisecond) },
	} {
		e := completed("g1")
		change(&e.Grant)
		if _, errs := judged(t, known(), of(e)); !errors.Is(errs[0], errFixed) {
			t.Errorf("another %s: error %v", name, errs[0])
		}
	}
	if _, errs := judged(t, known(), of(completed("g1"))); errs[0] != nil {
		t.Errorf("as it was: error %v", errs[0])
	}
}

// All that a batch is judged by is asked for, nothing twice: locks as of the earliest event that one could stop.
func TestABatchAsksForAllThatItIsJudgedBy(t *testing.T) {
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	var jobs []*job
	for _, c := range []store.Change{
		of(step("g1", 2, grant.Pending, grant.Approved, grant.Complete, at(5))),
		of(step("g1", 3, grant.Approved, grant.Active, grant.Activate, at(3))),
		of(step("g2", 2, grant.Pending, grant.Denied, grant.Deny, at(1))), // no lock stops it
		of(step("g3", 1, "", grant.Pending, grant.Request, at(4))),
		{Replay: &store.Replay{Caller: alice, Method: "m", Key: "k"}, Unless: &store.Since{Subject: alice}},
		{Events: []grant.Event{{Verb: grant.LiftLock, Lock: grant.Lock{ID: "l1"}}}, Unless: &store.Since{Subject: alice}},
	} {
		jobs = append(jobs, &job{change: c})
	}
	want := Question{
		Grants: []string{"g1", "g2", "g3"}, Openers: []grant.Subject{alice}, Counted: []grant.Subject{alice},
		Replays: []ReplayKey{{alice, "m", "k"}}, Locks: []string{"l1"}, LocksAt: at(3), AskLocks: true,
	}
	if diff := cmp.Diff(want, ask(jobs)); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
}
