package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// allowed is what one caller gets from each use case on a grant of alice.
type allowed struct{ get, approve, deny, revoke, token access.Code }

const (
	no       = access.Forbidden
	unknown  = access.NotFound
	conflict = access.Conflict
	invalid  = access.Invalid
)

// Who sees and does what, written by hand: own grants the subject; pending ones also their possible approvers, who are
// persons; all of them auditors (read) and operators (revoke). A token goes to the subject alone.
func TestWhoMaySeeAndDoWhat(t *testing.T) {
	callers := map[string]access.Caller{
		"the subject": alice, "the subject as an approver": aliceSRE, "an approver": bob, "another approver": carol,
		"another user": dave, "a user without groups": nobody, "an auditor": audrey, "an operator": oscar,
		"a service account in the approvers' group": robot, "nobody at all": {Groups: []string{"sre"}},
	}
	for name, c := range map[string]struct {
		make func(w *world) access.View
		want map[string]allowed
	}{
		"pending in prod": {
			func(w *world) access.View { return w.request(alice, "prod", "db") },
			map[string]allowed{
				"the subject":                {ok, no, no, ok, conflict},
				"the subject as an approver": {ok, no, no, ok, conflict},
				"an approver":                {ok, ok, ok, ok, no},
				"another approver":           {ok, ok, ok, ok, no},
				"another user":               {unknown, unknown, unknown, unknown, unknown},
				"a user without groups":      {unknown, unknown, unknown, unknown, unknown},
				"an auditor":                 {ok, no, no, no, no},
				"an operator":                {ok, no, no, ok, no},
				"a service account in the approvers' group": {unknown, unknown, unknown, unknown, unknown},
				"nobody at all": {unknown, invalid, invalid, invalid, unknown},
			},
		},
		"active in prod, approved by an approver": {
			func(w *world) access.View { return w.approve(w.request(alice, "prod", "db")) },
			map[string]allowed{
				"the subject":                {ok, no, no, ok, ok},
				"the subject as an approver": {ok, no, no, ok, ok},
				"an approver":                {ok, conflict, conflict, ok, no},
				"another approver":           {unknown, conflict, conflict, ok, unknown},
				"another user":               {unknown, unknown, unknown, unknown, unknown},
				"a user without groups":      {unknown, unknown, unknown, unknown, unknown},
				"an auditor":                 {ok, no, no, no, no},
				"an operator":                {ok, no, no, ok, no},
				"a service account in the approvers' group": {unknown, unknown, unknown, unknown, unknown},
				"nobody at all": {unknown, invalid, invalid, invalid, unknown},
			},
		},
		"active in staging, where nobody approves": {
			func(w *world) access.View { return w.request(alice, "staging", "db") },
			map[string]allowed{
				"the subject":                {ok, no, no, ok, ok},
				"the subject as an approver": {ok, no, no, ok, ok},
				"an approver":                {unknown, unknown, unknown, unknown, unknown},
				"another approver":           {unknown, unknown, unknown, unknown, unknown},
				"another user":               {unknown, unknown, unknown, unknown, unknown},
				"a user without groups":      {unknown, unknown, unknown, unknown, unknown},
				"an auditor":                 {ok, no, no, no, no},
				"an operator":                {ok, no, no, ok, no},
				"a service account in the approvers' group": {unknown, unknown, unknown, unknown, unknown},
				"nobody at all": {unknown, invalid, invalid, invalid, unknown},
			},
		},
		"denied by an approver": {
			func(w *world) access.View {
				v := w.request(alice, "prod", "db")
				v, err := w.service.Deny(w.t.Context(), bob, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}, w.key())
				if err != nil {
					w.t.Fatal(err)
				}
				return v
			},
			map[string]allowed{
				"the subject":           {ok, no, no, conflict, conflict},
				"an approver":           {ok, conflict, conflict, conflict, no},
				"another approver":      {unknown, conflict, conflict, conflict, unknown},
				"another user":          {unknown, unknown, unknown, unknown, unknown},
				"an auditor":            {ok, no, no, no, no},
				"an operator":           {ok, no, no, conflict, no},
				"a user without groups": {unknown, unknown, unknown, unknown, unknown},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			fresh := func() access.View {
				open := []grant.State{grant.Pending, grant.Approved, grant.Active}
				for _, id := range w.ids(oscar, access.Filter{Subject: string(alice.Subject), States: open}) {
					w.end(id)
				}
				return c.make(w)
			}
			for who, want := range c.want {
				caller := callers[who]
				v := fresh()
				_, err := w.service.Get(t.Context(), caller, v.Grant.ID)
				got := allowed{get: code(err)}
				_, _, err = w.service.IssueToken(t.Context(), caller, v.Grant.ID)
				got.token = code(err)
				decision := access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}
				_, err = w.service.Approve(t.Context(), caller, decision, w.key())
				got.approve = code(err)
				v = fresh()
				_, err = w.service.Deny(t.Context(), caller, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}, w.key())
				got.deny = code(err)
				v = fresh()
				_, err = w.service.Revoke(t.Context(), caller, access.Revocation{GrantID: v.Grant.ID, Reason: "over"}, w.key())
				got.revoke = code(err)
				if got != want {
					t.Errorf("%s: got %v, want %v", who, got, want)
				}
			}
		})
	}
}

func (w *world) end(id string) {
	w.t.Helper()
	if _, err := w.service.Revoke(w.t.Context(), oscar, access.Revocation{GrantID: id, Reason: "tidy"}, w.key()); err != nil {
		w.t.Fatal(err)
	}
}

// I11: the requester never counts as an approver, whatever their groups and whatever the etag; nothing is written.
func TestI11NobodyApprovesTheirOwnRequest(t *testing.T) {
	w := newWorld(t)
	v := w.request(aliceSRE, "prod", "db")
	for _, etag := range []string{v.Etag, "", "v2"} {
		d := access.Decision{GrantID: v.Grant.ID, Etag: etag}
		for name, decide := range w.decisions() {
			if _, err := decide(aliceSRE, d); code(err) != access.Forbidden {
				t.Errorf("%s with the etag %q: %v", name, etag, err)
			}
		}
	}
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
	w.equal("events", w.verbs(), []grant.Verb{grant.Request})
}

func (w *world) decisions() map[string]func(access.Caller, access.Decision) (access.View, error) {
	return map[string]func(access.Caller, access.Decision) (access.View, error){
		"approve": func(c access.Caller, d access.Decision) (access.View, error) {
			return w.service.Approve(w.t.Context(), c, d, w.key())
		},
		"deny": func(c access.Caller, d access.Decision) (access.View, error) {
			return w.service.Deny(w.t.Context(), c, d, w.key())
		},
	}
}

// A list shows what each may see, and no more.
func TestListsShowWhatOneMaySee(t *testing.T) {
	w := newWorld(t)
	pending := w.request(alice, "prod", "db").Grant.ID
	w.pass(time.Second)
	staging := w.request(alice, "staging", "db").Grant.ID
	w.pass(time.Second)
	daves := w.request(dave, "staging", "app").Grant.ID
	w.pass(time.Second)
	bobs := w.request(bob, "prod", "db").Grant.ID
	all := []string{bobs, daves, staging, pending}
	for name, c := range map[string]struct {
		caller   access.Caller
		all      []string
		awaiting []string
	}{
		"alice":  {alice, []string{staging, pending}, nil},
		"bob":    {bob, []string{bobs, pending}, []string{pending}},
		"carol":  {carol, []string{bobs, pending}, []string{bobs, pending}},
		"dave":   {dave, []string{daves}, nil},
		"nobody": {nobody, nil, nil},
		"audrey": {audrey, all, nil},
		"oscar":  {oscar, all, nil},
		"robot":  {robot, nil, nil}, // decides nothing, whatever its groups
	} {
		t.Run(name, func(t *testing.T) {
			w.equal("all", w.ids(c.caller, access.Filter{}), c.all)
			w.equal("awaiting", w.ids(c.caller, access.Filter{AwaitingMe: true}), c.awaiting)
		})
	}
	w.equal("by subject", w.ids(audrey, access.Filter{Subject: "dave@example.com"}), []string{daves})
	w.equal("by another's subject", w.ids(alice, access.Filter{Subject: "dave@example.com"}), []string(nil))
	w.equal("by environment", w.ids(audrey, access.Filter{Environment: "prod"}), []string{bobs, pending})
	w.equal("by pool", w.ids(audrey, access.Filter{Pool: "app"}), []string{daves})
	w.equal("by state", w.ids(audrey, access.Filter{States: []grant.State{grant.Active}}), []string{daves, staging})
}

func (w *world) ids(c access.Caller, f access.Filter) []string {
	w.t.Helper()
	page, err := w.service.List(w.t.Context(), c, f)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, v := range page.Grants {
		ids = append(ids, v.Grant.ID)
	}
	return ids
}

func TestOnlyAuditorsAndOperatorsSeeNodesAndOnlyOperatorsChangeServers(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		caller       access.Caller
		read, change access.Code
	}{
		"alice": {alice, no, no}, "bob": {bob, no, no}, "audrey": {audrey, ok, no}, "oscar": {oscar, ok, ok},
		"robot": {robot, no, no}, "nobody": {nobody, no, no},
	} {
		_, err := w.service.Nodes(t.Context(), c.caller, "")
		w.equal(name+": nodes", code(err), c.read)
		_, err = w.service.Servers(t.Context(), c.caller, "prod", "db")
		w.equal(name+": servers", code(err), c.read)
		_, err = w.service.AddServer(t.Context(), c.caller, "prod", "db", access.Server{Name: "s2"}, w.key())
		w.equal(name+": add", code(err), c.change)
		_, err = w.service.RemoveServer(t.Context(), c.caller, "prod", "db", "s2", w.key())
		w.equal(name+": remove", code(err), c.change)
	}
	w.equal("calls", w.fleet.calls, []string{"add prod/db s2", "remove prod/db s2"})
}
