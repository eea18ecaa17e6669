package decisions

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// racer makes one call of a burst.
type racer struct {
	*race
	*rand.Rand
	at    *access.Service
	focus grant.Grant
}

func (r *racer) call() {
	switch n := r.IntN(100); {
	case n < 40:
		r.decide()
	case n < 55:
		r.takeBack()
	case n < 70:
		r.extend()
	case n < 80:
		r.request()
	case n < 85:
		r.lock()
	case n < 87:
		r.revokeAll()
	case n < 92:
		r.background(r.at.Sweep(r.Context()))
		// Between a change of policy and its record in the log a judge holds still, and says so.
		if err := r.at.Judge(r.Context()); err != nil && !strings.Contains(err.Error(), "the log names last") {
			r.Errorf("judge: %v", err)
		}
	case n < 97:
		r.time()
	default:
		r.gateway.policy.Set(r.policies[r.IntN(len(r.policies))])
		r.background(r.at.PolicyInForce(r.Context()))
	}
}

// rush is for one of the pools of which alice may have one only.
func (r *racer) rush() {
	p := []access.Ask{{Environment: "lab", Pool: "box"}, {Environment: "staging", Pool: "web"}}[r.IntN(2)]
	text, key := r.text()
	p.Duration, p.Reason = time.Minute, text
	_, err := r.at.Request(r.Context(), r.callers[alice], p, key)
	r.note(text, err)
}

func (r *racer) one(of ...string) access.Caller { return r.callers[of[r.IntN(len(of))]] }

// twice makes a call, or, now and then, the same one with the same key at both gateways at once.
func (r *racer) twice(text string, do func(*access.Service) (access.View, error)) {
	services := []*access.Service{r.at}
	if r.IntN(4) == 0 {
		services = r.gateway.replicas
	}
	var wg sync.WaitGroup
	for _, s := range services {
		wg.Go(func() {
			_, err := do(s)
			r.note(text, err)
		})
	}
	wg.Wait()
}

// decide approves or denies the grant as it is by now, unless somebody is faster.
func (r *racer) decide() {
	record, err := r.gateway.db.Grant(r.Context(), r.focus.ID)
	if err != nil {
		return // there is none
	}
	c := r.one(bob, carol, audrey)
	text, key := r.text()
	d := access.Decision{GrantID: r.focus.ID, Etag: fmt.Sprintf("v%d", record.Grant.Version), Comment: text}
	do := (*access.Service).Approve
	if r.IntN(12) == 0 {
		do = (*access.Service).Deny
	}
	r.twice(text, func(s *access.Service) (access.View, error) { return do(s, r.Context(), c, d, key) })
}

// takeBack takes an approval back, an extension, or, less often, the grant.
func (r *racer) takeBack() {
	do, c := ended((*access.Service).Withdraw), r.one(bob, carol, audrey)
	switch r.IntN(8) {
	case 0:
		do = (*access.Service).Revoke
	case 1, 2:
		do, c = (*access.Service).CancelExtension, r.callers[string(r.focus.Subject)]
	}
	text, key := r.text()
	what := access.Revocation{GrantID: r.focus.ID, Reason: text}
	r.twice(text, func(s *access.Service) (access.View, error) { return do(s, r.Context(), c, what, key) })
}

func (r *racer) extend() {
	c := r.callers[string(r.focus.Subject)]
	text, key := r.text()
	l := access.Longer{GrantID: r.focus.ID, By: time.Minute, Reason: text}
	r.twice(text, func(s *access.Service) (access.View, error) { return s.Extend(r.Context(), c, l, key) })
}

// request asks for the same pool, or for another of which somebody may have one only.
func (r *racer) request() {
	c := r.one(alice, bob)
	text, key := r.text()
	ask := access.Ask{Environment: r.focus.Pool.Environment, Pool: r.focus.Pool.Name, Duration: time.Minute, Reason: text}
	if r.IntN(2) == 0 {
		ask.Environment, ask.Pool = "lab", "box"
	}
	r.twice(text, func(s *access.Service) (access.View, error) { return s.Request(r.Context(), c, ask, key) })
}

// lock closes the grant's pool, or opens what is closed.
func (r *racer) lock() {
	text, key := r.text()
	for id, l := range r.log.locks {
		if r.log.holds(l, r.gateway.clock.Now()) {
			_, err := r.at.Unlock(r.Context(), r.callers[audrey], id, text, key)
			r.note(text, err)
			return
		}
	}
	ask := access.LockAsk{Environment: r.focus.Pool.Environment, Pool: r.focus.Pool.Name, Reason: text, Until: r.gateway.clock.Now().Add(20 * time.Second)}
	v, err := r.at.Lock(r.Context(), r.callers[audrey], ask, key)
	if r.note(text, err); err == nil && v.Failed > 0 {
		r.Errorf("lock %s: %d grants were not ended", v.Lock.ID, v.Failed)
	}
}

func (r *racer) revokeAll() {
	text, key := r.text()
	b := access.Bulk{Environment: r.focus.Pool.Environment, Pool: r.focus.Pool.Name, Reason: text}
	done, err := r.at.RevokeAll(r.Context(), r.callers[audrey], b, key)
	if err != nil || done.Failed > 0 {
		r.Errorf("bulk revocation: %d were not ended: %v", done.Failed, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bulk[text] = len(done.Grants)
}

// time comes to the end of the grant, or passes a little.
func (r *racer) time() {
	pass := time.Duration(r.IntN(20)) * time.Second
	if left := r.focus.ExpiresAt.Sub(r.gateway.clock.Now()); left > 0 && r.IntN(3) == 0 {
		pass = left
	}
	r.gateway.clock.pass(pass)
	r.background(r.at.Sweep(r.Context()))
}
