package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func TestDueAt(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	asked := grant.Extension{By: time.Hour, LapsesAt: at(40)}
	for name, test := range map[string]struct {
		grant grant.Grant
		want  int64
	}{
		"pending":                       {grant.Grant{State: grant.Pending, LapsesAt: at(10), StartsAt: at(5), ExpiresAt: at(1)}, 10},
		"approved, its window is first": {grant.Grant{State: grant.Approved, LapsesAt: at(10), StartsAt: at(5)}, 5},
		"approved, it lapses before":    {grant.Grant{State: grant.Approved, LapsesAt: at(10), StartsAt: at(20)}, 10},
		"approved, at once":             {grant.Grant{State: grant.Approved, LapsesAt: at(10)}, 0},
		"active":                        {grant.Grant{State: grant.Active, ExpiresAt: at(50), LapsesAt: at(1)}, 50},
		"active, an extension waits":    {grant.Grant{State: grant.Active, ExpiresAt: at(50), Extension: asked}, 40},
		"active, and ends before":       {grant.Grant{State: grant.Active, ExpiresAt: at(30), Extension: asked}, 30},
		"over":                          {grant.Grant{State: grant.Expired, ExpiresAt: at(50), LapsesAt: at(10)}, 0},
		"active, none is asked for":     {grant.Grant{State: grant.Active, ExpiresAt: at(50), Extension: grant.Extension{LapsesAt: at(2)}}, 50},
	} {
		if got := dueAt(test.grant); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestReviewers(t *testing.T) {
	review := grant.Review{Groups: []string{"security"}}
	done := review
	done.By = "dave@example.com"
	now := time.UnixMilli(1)
	for name, test := range map[string]struct {
		grant grant.Grant
		want  []string
	}{
		"before there was access": {grant.Grant{Review: review}, nil},
		"while there is":          {grant.Grant{Review: review, ActivatedAt: now, State: grant.Active}, []string{"security"}},
		"after it has ended":      {grant.Grant{Review: review, ActivatedAt: now, State: grant.Revoked}, []string{"security"}},
		"once it was done":        {grant.Grant{Review: done, ActivatedAt: now}, nil},
		"none":                    {grant.Grant{ActivatedAt: now}, nil},
	} {
		if diff := cmp.Diff(test.want, reviewers(test.grant)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What the columns say of a wait is what the document says, but for what a program of the version before leaves out.
func TestWaitsAreHeldToTheDocument(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	waits := grant.Grant{
		State: grant.Active, ActivatedAt: at(1), ExpiresAt: at(50), Review: grant.Review{Groups: []string{"security", "leads"}, DueAt: at(70)},
	}
	vote := grant.Grant{State: grant.Pending, LapsesAt: at(10), Steps: []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"sre", "leads"}, Count: 1}}}}}
	both := []string{"security", "leads"}
	for name, test := range map[string]struct {
		columns Waits
		grant   grant.Grant
		want    string // empty: they agree
	}{
		"as they are":                    {Waits{DueAt: 50, Review: both, ReviewDue: 70}, waits, ""},
		"in another order, and twice":    {Waits{DueAt: 50, Review: []string{"leads", "security", "leads"}, ReviewDue: 70}, waits, ""},
		"another time":                   {Waits{DueAt: 51, Review: both, ReviewDue: 70}, waits, "another time at"},
		"a group less":                   {Waits{DueAt: 50, Review: both[:1], ReviewDue: 70}, waits, "another review"},
		"a review later":                 {Waits{DueAt: 50, Review: both, ReviewDue: 71}, waits, "another time by which"},
		"a review never":                 {Waits{DueAt: 50, Review: both}, waits, "its row does not"},
		"not written":                    {Waits{DueAt: 50, Review: both, ReviewDue: -1}, waits, ""},
		"a vote":                         {Waits{DueAt: 10, Waiting: []string{"leads", "sre"}}, vote, ""},
		"a vote of others":               {Waits{DueAt: 10, Waiting: []string{"leads", "ops"}}, vote, "another vote"},
		"a review that is not asked for": {Waits{DueAt: 10, Waiting: []string{"leads", "sre"}, Review: both}, vote, "another review"},
		"its time, without one":          {Waits{DueAt: 10, Waiting: []string{"leads", "sre"}, ReviewDue: 9}, vote, ""},
	} {
		err := test.columns.Disagree(test.grant)
		if (err == nil) != (test.want == "") || err != nil && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// When a review will be overdue is kept before there is access as well: who makes that active may not know of it.
func TestReviewDue(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	waits := grant.Review{Groups: []string{"security"}, DueAt: at(70)}
	done, said := waits, waits
	done.By = "carol@example.com"
	said.OverdueAt = at(80)
	for name, test := range map[string]struct {
		grant grant.Grant
		want  int64
	}{
		"before there was access": {grant.Grant{Review: waits}, 70},
		"while there is":          {grant.Grant{Review: waits, ActivatedAt: at(1), State: grant.Active}, 70},
		"after it has ended":      {grant.Grant{Review: waits, ActivatedAt: at(1), State: grant.Expired}, 70},
		"once it was done":        {grant.Grant{Review: done, ActivatedAt: at(1)}, 0},
		"once that was said":      {grant.Grant{Review: said, ActivatedAt: at(1)}, 0},
		"none":                    {grant.Grant{ActivatedAt: at(1), Review: grant.Review{DueAt: at(70)}}, 0},
	} {
		if got := reviewDue(test.grant); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
