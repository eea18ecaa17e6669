package access_test

import (
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// rounds is how often a race is run: each time on a grant of its own.
const rounds = 12

// rival is one side of a race: what it does, and what it leads to if it wins alone.
type rival struct {
	name string
	do   func(w *world, s *access.Service, v access.View) error
}

func approves(c access.Caller) rival {
	return rival{"approve by " + string(c.Subject), func(w *world, s *access.Service, v access.View) error {
		_, err := s.Approve(w.t.Context(), w.fresh(c), shown(v), w.key())
		return err
	}}
}

func denies(c access.Caller) rival {
	return rival{"deny", func(w *world, s *access.Service, v access.View) error {
		_, err := s.Deny(w.t.Context(), c, shown(v), w.key())
		return err
	}}
}

var (
	revokes = rival{"revoke", func(w *world, s *access.Service, v access.View) error {
		_, err := s.Revoke(w.t.Context(), oscar, access.Revocation{GrantID: v.Grant.ID, Reason: "stop"}, w.key())
		return err
	}}
	sweeps  = rival{"sweep", func(w *world, s *access.Service, _ access.View) error { return s.Sweep(w.t.Context()) }}
	extends = rival{"extend", func(w *world, s *access.Service, v access.View) error {
		_, err := s.Extend(w.t.Context(), alice, longer(v, time.Minute), w.key())
		return err
	}}
	withdraws = rival{"withdraw", func(w *world, s *access.Service, v access.View) error {
		_, err := s.Withdraw(w.t.Context(), lead, access.Revocation{GrantID: v.Grant.ID}, w.key())
		return err
	}}
	locks = rival{"lock", func(w *world, s *access.Service, _ access.View) error {
		_, err := s.Lock(w.t.Context(), oscar, access.LockAsk{Everything: true, Reason: "stop", Until: w.now().Add(time.Second)}, w.key())
		return err
	}}
	requests = rival{"request", func(w *world, s *access.Service, _ access.View) error {
		_, err := s.Request(w.t.Context(), alice, ask("staging", "app"), w.key())
		return err
	}}
)

// compete lets two rivals go at once, each through a gateway of its own, and answers what each got.
func (w *world) compete(v access.View, a, b rival) (codes [2]access.Code) {
	w.t.Helper()
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i, r := range []rival{a, b} {
		s := w.elsewhere()
		wg.Go(func() {
			<-gate
			codes[i] = code(r.do(w, s, v))
		})
	}
	close(gate)
	wg.Wait()
	return codes
}

// outcome is what both got and where that left the grant.
type outcome struct {
	first, second access.Code
	state         grant.State
}

// I6: of two transitions that race exactly one wins, or they happen one after the other where both can; never anything else.
func TestI6RacesHaveOneWinner(t *testing.T) {
	pending := func(w *world) access.View { return w.request(alice, "prod", "db") }
	half := func(w *world) access.View { return w.approvedBy(lead, w.request(alice, "prod", "db")) }
	active := func(w *world) access.View { return w.request(alice, "staging", "db") }
	over := func(w *world) access.View {
		v := w.request(alice, "staging", "db")
		w.pass(15 * time.Minute)
		return v
	}
	for name, c := range map[string]struct {
		vote          string
		make          func(w *world) access.View
		first, second rival
		may           []outcome
	}{
		"approve and deny": {`{all_of: [{group: sre}]}`, pending, approves(bob), denies(carol), []outcome{
			{ok, conflict, grant.Active}, {conflict, ok, grant.Denied}}},
		"two last approvals": {`{all_of: [{group: leads}, {group: security}]}`, half, approves(guard), approves(both), []outcome{
			{ok, conflict, grant.Active}, {conflict, ok, grant.Active}}},
		"two first approvals": {`{all_of: [{group: leads}, {group: security}]}`, pending, approves(guard), approves(lead), []outcome{
			{ok, conflict, grant.Pending}, {conflict, ok, grant.Pending}}},
		"the same person twice": {`{all_of: [{group: leads, count: 2}]}`, pending, approves(lead), approves(lead), []outcome{
			{ok, conflict, grant.Pending}, {conflict, ok, grant.Pending}}},
		"withdraw and complete": {`{all_of: [{group: leads}, {group: security}]}`, half, withdraws, approves(guard), []outcome{
			{ok, conflict, grant.Pending}, {conflict, ok, grant.Active}}},
		// The revocation comes before the end or after it: once the clock was faster it is too late.
		"revoke and expire": {`{all_of: [{group: sre}]}`, over, revokes, sweeps, []outcome{
			{ok, ok, grant.Revoked}, {conflict, ok, grant.Expired}}},
		// An extension may come first; the revocation ends the grant in any case.
		"extend and revoke": {`{all_of: [{group: sre}]}`, active, extends, revokes, []outcome{
			{ok, ok, grant.Revoked}, {conflict, ok, grant.Revoked}}},
		"lock and extend": {`{all_of: [{group: sre}]}`, active, locks, extends, []outcome{
			{ok, ok, grant.Revoked}, {ok, conflict, grant.Revoked}, {ok, no, grant.Revoked}}},
		"lock and approve": {`{all_of: [{group: sre}]}`, pending, locks, approves(bob), []outcome{
			{ok, ok, grant.Revoked}, {ok, conflict, grant.Revoked}, {ok, no, grant.Revoked}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.inForce(`{version: 1, name: raced, rules: [
			  {name: prod, match: {pools: ["prod/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h}, approve: ` + c.vote + `},
			  {name: staging, match: {pools: ["staging/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h}}]}`)
			for range rounds {
				v := c.make(w)
				got := w.compete(v, c.first, c.second)
				g := w.stored(v.Grant.ID)
				o := outcome{got[0], got[1], g.State}
				possible := false
				for _, may := range c.may {
					possible = possible || o == may
				}
				if !possible {
					t.Fatalf("%s: %v", g.ID, o)
				}
				w.checkLife(v.Grant.ID)
				if !g.State.Final() {
					w.end(g.ID)
				}
				w.pass(2 * time.Second) // past a lock
			}
		})
	}
}

// checkLife reads the grant's events: versions without gap or double, each from the state that the one before led to.
func (w *world) checkLife(id string) {
	w.t.Helper()
	version, state := int64(0), grant.State("")
	for _, e := range w.allEvents() {
		if e.Grant.ID != id || e.Verb == grant.Refuse { // of an extension, which changes nothing
			continue
		}
		if e.Grant.Version != version+1 || e.From != state {
			w.t.Errorf("%s: %s from %q at version %d after %q at %d", id, e.Verb, e.From, e.Grant.Version, state, version)
		}
		version, state = e.Grant.Version, e.Grant.State
	}
	w.equal("the row is the last event's", w.stored(id).Version, version)
}

func (w *world) allEvents() (all []grant.Event) {
	w.t.Helper()
	for after := int64(0); ; {
		entries, err := w.db.Events(w.t.Context(), after, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		for _, e := range entries {
			all, after = append(all, e.Event), e.Revision
		}
	}
}

// I6: whichever of a lock and a request is first, nothing is open after the lock has answered.
func TestI6NothingIsOpenAfterALockThatRacesRequests(t *testing.T) {
	w := newWorld(t)
	for range rounds {
		got := w.compete(access.View{}, locks, requests)
		if got[0] != ok || got[1] != ok && got[1] != no && got[1] != conflict {
			t.Fatalf("lock %s, request %s", got[0], got[1])
		}
		w.equal("open", w.open(alice.Subject), 0)
		w.pass(2 * time.Second)
	}
}

// I6: twenty gateways' clocks and judges at once do everything once.
func TestI6ManyClocksAndJudgesDoEverythingOnce(t *testing.T) {
	w := newWorld(t)
	v, gone := w.request(alice, "staging", "db"), w.request(dave, "staging", "app")
	window := w.window(bob, 10*time.Minute)
	w.pass(15 * time.Minute)
	w.login(dave)
	w.login(bob)
	var all []*access.Service
	for range 10 {
		all = append(all, w.elsewhere())
	}
	codes := crowd(20, func(i int) error {
		if i%2 == 0 {
			return all[i/2].Judge(t.Context())
		}
		return all[i/2].Sweep(t.Context())
	})
	w.equal("codes", codes, map[access.Code]int{ok: 20})
	for _, v := range []access.View{v, gone, window} {
		w.checkLife(v.Grant.ID)
		if g := w.stored(v.Grant.ID); !g.State.Final() {
			t.Errorf("%s is %s", g.ID, g.State)
		}
	}
}
