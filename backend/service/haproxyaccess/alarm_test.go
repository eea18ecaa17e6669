package haproxyaccess

import (
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// What nobody may overlook is a warning and a count, and nothing else is.
func TestEmergenciesAndLocksAreLoud(t *testing.T) {
	g := grant.Grant{ID: "g1", Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "db"}}
	emergency := g
	emergency.BreakGlass, emergency.Notify = true, []string{"security"}
	lock := grant.Lock{ID: "l1", Environment: "prod", Until: time.Unix(1_800_000_000, 0)}
	for name, c := range map[string]struct {
		event grant.Event
		count string
	}{
		"an emergency":      {grant.Event{Verb: grant.Request, Grant: emergency}, "break_glass+"},
		"its end":           {grant.Event{Verb: grant.Expire, Grant: emergency}, ""},
		"an ordinary grant": {grant.Event{Verb: grant.Request, Grant: g}, ""},
		"a review overdue":  {grant.Event{Verb: grant.ReviewOverdue, Grant: emergency}, "review_overdue+"},
		"a review":          {grant.Event{Verb: grant.DoReview, Grant: emergency}, ""},
		"a lock":            {grant.Event{Verb: grant.PutLock, Lock: lock}, "lock+"},
		"another policy":    {grant.Event{Verb: grant.LoadPolicy, Grant: grant.Grant{Policy: "acme"}}, "policy+"},
		"its lifting":       {grant.Event{Verb: grant.LiftLock, Lock: lock}, "unlock+"},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := zaptest.New(zap.DebugLevel)
			scope := tally.NewTestScope("", nil)
			a := alarm{newObserver(zap.New(core), scope)}
			if err := a.Deliver(t.Context(), store.Entry{Revision: 7, Event: c.event}); err != nil {
				t.Fatal(err)
			}
			counters := scope.Snapshot().Counters()
			if c.count == "" {
				if logs.Len() != 0 || len(counters) != 0 {
					t.Errorf("logged %v, counted %v", logs.All(), counters)
				}
				return
			}
			if logs.FilterLevelExact(zap.WarnLevel).Len() != 1 || counters[c.count] == nil || counters[c.count].Value() != 1 {
				t.Errorf("logged %v, counted %v", logs.All(), counters)
			}
		})
	}
}

// Where there was no policy before there is nobody to be warned.
func TestTheFirstPolicyOfAStoreIsNoWarning(t *testing.T) {
	core, logs := zaptest.New(zap.DebugLevel)
	a := alarm{newObserver(zap.New(core), tally.NoopScope)}
	e := grant.Event{Verb: grant.LoadPolicy, Comment: "files: a.yaml", Grant: grant.Grant{Policy: "acme"}}
	for revision, warnings := range []int{0, 0, 1} {
		if revision == 0 {
			continue
		}
		if err := a.Deliver(t.Context(), store.Entry{Revision: int64(revision), Event: e}); err != nil {
			t.Fatal(err)
		}
		if logs.Len() != revision || logs.FilterLevelExact(zap.WarnLevel).Len() != warnings {
			t.Errorf("revision %d: %v", revision, logs.All())
		}
	}
}
