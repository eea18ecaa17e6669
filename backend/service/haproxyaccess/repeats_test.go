package haproxyaccess

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func TestTheSameIsSaidOnceAMinuteAndNotTooMuchAtAll(t *testing.T) {
	now := time.Unix(0, 0)
	r := repeats{now: func() time.Time { return now }}
	said := func(what string, want bool) {
		t.Helper()
		if got := !r.again(what); got != want {
			t.Errorf("%s after %s is said: %v", what, now.Sub(time.Unix(0, 0)), got)
		}
	}
	said("a", true)
	said("b", true)
	said("a", false)
	now = now.Add(time.Minute - 1)
	said("a", false)
	now = now.Add(1)
	said("a", true)
	said("a", false)
	for n := range 15 {
		said(fmt.Sprint(n), true)
	}
	said("one more", false)
	now = now.Add(time.Minute)
	said("one more", true)
}

// held is a store that cannot read some rows.
type held struct {
	log
	snapshot *store.Snapshot
}

func (h held) Snapshot(context.Context) (store.Snapshot, error) { return *h.snapshot, nil }

// A grant that cannot be read is not given to the nodes, and is named at the level of an error.
func TestUnreadableGrantsAreInForceNowhereAndLoud(t *testing.T) {
	core, logs := zaptest.New(zap.DebugLevel)
	scope := tally.NewTestScope("", nil)
	o := newObserver(zap.New(core), scope)
	now := time.Unix(0, 0)
	o.snapshots.now = func() time.Time { return now }
	have := &store.Snapshot{Revision: 7, Active: []store.Record{{Grant: grant.Grant{ID: "good"}}}, Unreadable: []string{"bad", "worse"}}
	s := source{held{snapshot: have}, o.unreadable}
	read := func(gauge float64, lines int) {
		t.Helper()
		got, err := s.Snapshot(t.Context())
		if err != nil || got.Revision != 7 || len(got.Active) != 1 || got.Active[0].ID != "good" {
			t.Errorf("%+v, %v", got, err)
		}
		if g := scope.Snapshot().Gauges()["grants_unreadable+"].Value(); g != gauge {
			t.Errorf("the gauge is at %v", g)
		}
		if n := logs.FilterLevelExact(zap.ErrorLevel).Len(); n != lines || n != logs.Len() {
			t.Errorf("%d lines, want %d", n, lines)
		}
	}
	for range 100 {
		read(2, 1)
	}
	names, _ := logs.All()[0].ContextMap()["grants"].([]any)
	if !slices.Equal(names, []any{"bad", "worse"}) {
		t.Errorf("it names %v", names)
	}
	now = now.Add(time.Minute)
	read(2, 2)
	have.Unreadable = nil
	read(0, 2)
}

// What the clock cannot do is counted with each of its passes, and said once a minute.
func TestTheClockDoesNotFillTheLog(t *testing.T) {
	core, logs := zaptest.New(zap.DebugLevel)
	scope := tally.NewTestScope("", nil)
	o := newObserver(zap.New(core), scope)
	for range 100 {
		o.clockFailed(errors.New("grant g1: what is stored cannot be read"))
	}
	if n := scope.Snapshot().Counters()["clock_failed+"].Value(); n != 100 || logs.Len() != 1 {
		t.Errorf("counted %d, said %d times", n, logs.Len())
	}
}
