package access_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// manyPools is a world with n pools in staging.
func manyPools(t *testing.T, n int) *world {
	w := newWorld(t)
	for i := range n {
		p := access.Pool{Name: grant.Pool{Environment: "staging", Name: fmt.Sprintf("p%03d", i)}}
		w.catalog.have = append(w.catalog.have, p)
	}
	return w
}

// crowd runs n calls at once and counts what they got.
func crowd(n int, call func(i int) error) map[access.Code]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[access.Code]int{}
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			err := call(i)
			mu.Lock()
			defer mu.Unlock()
			codes[code(err)]++
		})
	}
	close(gate)
	wg.Wait()
	return codes
}

const limited = `
version: 1
name: limited
rules:
  - name: staging
    match: {pools: ["staging/*"]}
    who: {groups: [eng], services: [robot]}
    limits: {max_duration: 1h, max_concurrent: 3}
  - name: prod
    match: {pools: ["prod/*"]}
    who: {groups: [eng]}
    limits: {max_duration: 1h, max_concurrent: 1}
    approve: {all_of: [{group: sre}]}
`

func (w *world) open(s grant.Subject) int {
	return len(w.ids(audrey, access.Filter{Subject: string(s), States: []grant.State{grant.Approved, grant.Active}, PageSize: access.MaxPage}))
}

// However many ask at once, nobody has more than the limit; and the limit is had.
func TestMaxConcurrentHoldsUnderConcurrentRequests(t *testing.T) {
	const n = 100
	w := manyPools(t, n)
	w.inForce(limited)
	codes := crowd(n, func(i int) error {
		_, err := w.service.Request(t.Context(), alice, ask("staging", fmt.Sprintf("p%03d", i)), w.key())
		return err
	})
	w.equal("open", w.open(alice.Subject), 3)
	w.equal("given", codes[ok], 3)
	w.equal("others were refused, or told to try again", codes[access.Forbidden]+codes[access.Conflict]+codes[access.TooMany], n-3)
}

// A limit that is reached between the evaluation and the commit counts: the call is judged again.
func TestMaxConcurrentHoldsBetweenEvaluationAndCommit(t *testing.T) {
	w := manyPools(t, 4)
	w.inForce(limited)
	w.request(alice, "staging", "p000")
	w.request(alice, "staging", "p001")
	other := w.elsewhere()
	w.broken.meanwhile("Commit", func() {
		_, err := other.Request(t.Context(), alice, ask("staging", "p002"), w.key())
		w.equal("the third", code(err), ok)
	})
	_, err := w.service.Request(t.Context(), alice, ask("staging", "p003"), w.key())
	w.equal("the fourth", code(err), access.Forbidden)
	w.equal("open", w.open(alice.Subject), 3)
	// A window that waits counts as well as what is active; what has ended does not.
	v := w.window(dave, 1e12)
	w.equal("approved", v.Grant.State, grant.Approved)
	w.request(dave, "staging", "p000")
	w.request(dave, "staging", "p001")
	_, err = w.service.Request(t.Context(), dave, ask("staging", "p002"), w.key())
	w.equal("a fourth with a window", code(err), access.Forbidden)
	w.end(v.Grant.ID)
	w.request(dave, "staging", "p002")
}

// Approvals that come at once open no more than the limit either.
func TestMaxConcurrentHoldsUnderConcurrentApprovals(t *testing.T) {
	w := newWorld(t)
	for i := range 8 {
		w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: "prod", Name: fmt.Sprintf("p%03d", i)}})
	}
	w.inForce(limited)
	var asked []access.View
	for i := range 8 {
		asked = append(asked, w.request(alice, "prod", fmt.Sprintf("p%03d", i)))
	}
	codes := crowd(16, func(i int) error {
		_, err := w.service.Approve(t.Context(), []access.Caller{bob, carol}[i%2], shown(asked[i/2]), w.key())
		return err
	})
	w.equal("codes", codes, map[access.Code]int{ok: 1, access.Conflict: 15})
	w.equal("open", w.open(alice.Subject), 1)
}

// The same made certain: another gateway opens a grant between an approval's evaluation and its commit.
func TestMaxConcurrentHoldsBetweenAnApprovalsEvaluationAndItsCommit(t *testing.T) {
	w := newWorld(t)
	w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: "prod", Name: "app"}})
	w.inForce(limited)
	one, two := w.request(alice, "prod", "db"), w.request(alice, "prod", "app")
	w.broken.meanwhile("Commit", func() {
		_, err := w.elsewhere().Approve(t.Context(), carol, shown(one), w.key())
		w.equal("the other", code(err), ok)
	})
	_, err := w.service.Approve(t.Context(), bob, shown(two), w.key())
	w.names(err, access.Conflict, two.Grant.ID)
	w.equal("open", w.open(alice.Subject), 1)
}

// What another gateway changes of the subject's, and leaves room, is no conflict for the approver.
func TestAnApprovalIsJudgedAgainWhereTheSubjectsOtherGrantsChange(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.broken.meanwhile("Commit", func() {
		_, err := w.elsewhere().Request(t.Context(), alice, ask("staging", "app"), w.key())
		w.equal("the other", code(err), ok)
	})
	w.equal("state", w.approve(v).Grant.State, grant.Active)
}

// Nobody buries the approvers by asking often at once, for one pool or for many.
func TestMaxWaitingHoldsUnderConcurrentRequests(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: "prod", Name: fmt.Sprintf("p%03d", i)}})
	}
	w.insert(access.MaxWaiting-2, func(int) grant.Subject { return alice.Subject })
	crowd(40, func(i int) error {
		_, err := w.service.Request(t.Context(), alice, ask("prod", fmt.Sprintf("p%03d", i)), w.key())
		return err
	})
	waiting := w.ids(audrey, access.Filter{States: []grant.State{grant.Pending}, PageSize: access.MaxPage})
	w.equal("waiting", len(waiting), access.MaxWaiting)
}

// I6: of callers who ask for one pool at the same time one waits, and each call with its key is that one.
func TestOneRequestWaitsForAPoolHoweverManyAskAtOnce(t *testing.T) {
	w := newWorld(t)
	codes := crowd(40, func(i int) error {
		_, err := w.service.Request(t.Context(), alice, ask("prod", "db"), fmt.Sprintf("key-at-once-%d", i/10))
		return err
	})
	w.equal("codes", codes, map[access.Code]int{ok: 10, conflict: 30})
	w.equal("waiting", len(w.ids(audrey, access.Filter{})), 1)
}

// A service that asks for a few pools at once, where nothing limits it, gets all of them.
func TestRequestsOfOneSubjectAtOnceDoNotFailEachOther(t *testing.T) {
	const n = 20
	w := manyPools(t, n)
	codes := crowd(n, func(i int) error {
		_, err := w.service.Request(t.Context(), alice, ask("staging", fmt.Sprintf("p%03d", i)), w.key())
		return err
	})
	w.equal("codes", codes, map[access.Code]int{ok: n})
}
