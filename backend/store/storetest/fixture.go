package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	alice = grant.Subject("alice@example.com")
	bob   = grant.Subject("bob@example.com")
	carol = grant.Subject("carol@example.com")
)

var (
	noon    = time.Date(2030, 5, 6, 12, 0, 0, int(7*time.Millisecond), time.UTC)
	billing = grant.Pool{Environment: "prod", Name: "billing"}
	search  = grant.Pool{Environment: "prod", Name: "search"}
	staging = grant.Pool{Environment: "staging", Name: "billing"}
)

// asked is the event of a new request, with every field that a request has.
func asked(id string, s grant.Subject, p grant.Pool, at time.Time) grant.Event {
	g := grant.Grant{
		ID: id, Subject: s, Pool: p, State: grant.Pending, Reason: "look <at> \"it\" \u2028 \u00e9", Duration: 15 * time.Minute,
		Groups: []string{"eng", "oncall"}, GroupsSource: "login", GroupsAt: at.Add(-time.Minute), Inputs: map[string]string{"ticket": "INC1"},
		Steps: steps(2, "sre", "leads"), Rule: "rule", Policy: "policy", PolicyHash: "abc", Explanation: "two of sre must say yes",
		RequestedAt: at, LapsesAt: at.Add(time.Hour), Version: 1,
	}
	return grant.Event{Grant: g, Verb: grant.Request, Actor: s, Comment: g.Reason, At: at}
}

// steps is a vote of one step: count people out of groups.
func steps(count int, groups ...string) []grant.Step {
	return []grant.Step{{AnyOf: []grant.Quorum{{Groups: groups, Count: count}}}}
}

// then is the event that leads a grant on. It checks nothing: illegal ones are wanted as well.
func then(g grant.Grant, verb grant.Verb, to grant.State, at time.Time) grant.Event {
	from := g.State
	g.State = to
	g.Version++
	switch to {
	case grant.Active:
		g.ActivatedAt, g.ExpiresAt = at, at.Add(g.Duration).Truncate(time.Second)
	case grant.Denied, grant.Cancelled, grant.Lapsed, grant.Expired, grant.Revoked:
		g.EndedAt, g.EndedBy, g.Comment = at, bob, "ended"
	}
	if verb == grant.Revoke {
		g.Cause = grant.CauseOperator
	}
	return grant.Event{Grant: g, From: from, Verb: verb, Actor: bob, Comment: "because", At: at}
}

// approved and active are the usual ways on from a request.
func approved(e grant.Event) grant.Event {
	e.Grant.Approvals = append([]grant.Approval(nil), grant.Approval{By: bob, At: e.At, Comment: "yes", Groups: []string{"sre"}})
	return then(e.Grant, grant.Complete, grant.Approved, e.At)
}

func active(e grant.Event) grant.Event { return then(e.Grant, grant.Activate, grant.Active, e.At) }

// opened is a whole way from a request to an active grant.
func opened(id string, s grant.Subject, p grant.Pool, at time.Time) []grant.Event {
	request := asked(id, s, p, at)
	yes := approved(request)
	return []grant.Event{request, yes, active(yes)}
}

func commit(t testing.TB, s Store, events ...grant.Event) int64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), store.Change{Events: events})
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return revision
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

const pageSize = 97

// everything reads the whole log, in pages of an odd size.
func everything(ctx context.Context, s store.Reader) ([]store.Entry, error) {
	var all []store.Entry
	for after := int64(0); ; after = all[len(all)-1].Revision {
		page, err := s.Events(ctx, after, pageSize)
		if err != nil {
			return nil, err
		}
		if len(page) > pageSize {
			return nil, fmt.Errorf("%d events, %d were asked for", len(page), pageSize)
		}
		all = append(all, page...)
		if len(page) == 0 {
			return all, nil
		}
	}
}

func log(t testing.TB, s store.Reader) []store.Entry {
	t.Helper()
	all, err := everything(t.Context(), s)
	if err != nil {
		t.Fatalf("read the log: %v", err)
	}
	return all
}

// unchanged runs do and fails if it changed the log, whose last hash is over all of it, the active grants or the locks.
func unchanged(t testing.TB, s Store, do func()) {
	t.Helper()
	before, snapshot, locks := lastMark(t, s), snap(t, s), allLocks(t, s)
	do()
	equal(t, "log", lastMark(t, s), before)
	equal(t, "snapshot", snap(t, s), snapshot)
	equal(t, "locks", allLocks(t, s), locks)
}

func snap(t testing.TB, s store.Reader) store.Snapshot {
	t.Helper()
	have, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return have
}

func record(t testing.TB, s store.Grants, id string) store.Record {
	t.Helper()
	r, err := s.Grant(t.Context(), id)
	if err != nil {
		t.Fatalf("read grant %s: %v", id, err)
	}
	return r
}

// readable are the records of a page in which every row can be read.
func readable(p store.Page, err error) ([]store.Record, error) {
	if err == nil && len(p.Unreadable) > 0 {
		err = p.Unreadable[0].Err
	}
	return p.Records, err
}

func ids(records []store.Record) []string {
	names := []string{}
	for _, r := range records {
		names = append(names, r.Grant.ID)
	}
	return names
}
