package decisions

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

const (
	bursts = 60 // of a race
	racers = 5  // callers at once
)

// race is some callers at two gateways over one store.
type race struct {
	*testing.T
	gateway  *gateway
	policies []*policy.Policy
	callers  map[string]access.Caller
	log      *chronicle // as of before the burst
	calls    atomic.Int64

	mu      sync.Mutex
	refused []time.Time    // when the log says that a request was
	crowded []string       // calls that were told that there were too many refusals
	acked   map[string]int // by what a call says, which no other call does: how many times it was answered with success
	bulk    map[string]int // how many grants a bulk revocation says that it ended
	told    map[string]int // events by what they say
}

// TestRacingCallersLeaveOneEventForEachCallThatWasAnswered: whatever gets in whose way, the log keeps what it must, each
// call that succeeded is in it once, however often it was repeated, and one that was refused is not.
func TestRacingCallersLeaveOneEventForEachCallThatWasAnswered(t *testing.T) {
	t.Parallel()
	rounds, seed := 4, uint64(20260302)
	if os.Getenv("NIGHTLY") != "" {
		rounds, seed = 200, uint64(time.Now().UnixNano())
	}
	for round := range rounds {
		seed := seed + uint64(round)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := newRace(t)
			random := rand.New(rand.NewPCG(seed, 0))
			for i := 0; i < bursts && !t.Failed(); i++ {
				r.burst(random)
			}
			r.verify()
		})
	}
}

func newRace(t *testing.T) *race {
	t.Helper()
	g, err := newGateway(t.Context(), monday, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	r := &race{T: t, gateway: g, log: newChronicle(), acked: map[string]int{}, bulk: map[string]int{}, told: map[string]int{}}
	for _, p := range places {
		g.catalog.set(p, nil, true)
	}
	for _, rules := range [][]oracle.Rule{contested(by("sre"), by("leads")), contested(by("sre"))} {
		p, text, err := compile(rules)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		r.policies = append(r.policies, p)
	}
	g.policy.Set(r.policies[0])
	return r
}

// contested is a policy under which all kinds of calls get in each other's way: prod needs two people, and of lab and
// staging somebody may have one at a time.
func contested(steps ...oracle.Step) []oracle.Rule {
	return []oracle.Rule{
		{Name: "prod", Pools: []string{"prod/*"}, Groups: []string{"eng"}, MaxDuration: 2 * time.Hour, DefaultDuration: time.Hour,
			PendingFor: 10 * time.Minute, StartWithin: time.Hour, Steps: steps},
		{Name: "one", Environments: []string{"lab", "staging"}, Groups: []string{"eng"}, MaxDuration: time.Hour, DefaultDuration: time.Hour,
			MaxConcurrent: 1, PendingFor: time.Hour, StartWithin: time.Hour},
	}
}

func by(group string) oracle.Step {
	return oracle.Step{AnyOf: []oracle.Quorum{{Groups: []string{group}, Count: 1}}}
}

// burst lets some callers loose at the same time, mostly on the same grant.
func (r *race) burst(random *rand.Rand) {
	r.crowded = nil
	began := r.gateway.clock.Now()
	r.signIn()
	focus := r.focus(random)
	do := (*racer).call
	if random.IntN(4) == 0 {
		r.makeRoom()
		do = (*racer).rush
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		c := &racer{race: r, Rand: rand.New(rand.NewPCG(random.Uint64(), uint64(i))), at: r.gateway.replicas[i%2], focus: focus}
		wg.Go(func() {
			<-start
			do(c)
		})
	}
	close(start)
	wg.Wait()
	r.read()
	r.tooMany(began)
	if err := r.log.quiet(r.gateway.clock.Now()); err != nil {
		r.Error(err)
	}
}

func (r *race) signIn() {
	r.callers = map[string]access.Caller{}
	for who, groups := range map[string][]string{alice: {"eng"}, bob: {"eng", "sre"}, carol: {"leads", "sre"}, audrey: {"leads", "operators"}} {
		l := access.Login{Subject: grant.Subject(who), Groups: groups, At: r.gateway.clock.Now()}
		c, err := r.gateway.replicas[0].Identify(r.Context(), l)
		if err != nil {
			r.Fatalf("sign in: %v", err)
		}
		r.callers[who] = c
	}
}

// focus is an open grant, a new one if there are few.
func (r *race) focus(random *rand.Rand) grant.Grant {
	open := r.open()
	if len(open) > 2 || len(open) > 0 && random.IntN(2) == 0 {
		return open[random.IntN(len(open))]
	}
	who, p := []string{alice, bob}[random.IntN(2)], places[random.IntN(len(places))]
	text, key := r.text()
	ask := access.Ask{Environment: p.Environment, Pool: p.Pool, Duration: time.Duration(1+random.IntN(30)) * time.Minute, Reason: text}
	v, err := r.gateway.replicas[0].Request(r.Context(), r.callers[who], ask, key)
	if r.note(text, err); err == nil {
		return v.Grant
	}
	return grant.Grant{ID: "id9999", Pool: grant.Pool{Environment: p.Environment, Name: p.Pool}}
}

// makeRoom gives back what alice has of the pools of which somebody may have one.
func (r *race) makeRoom() {
	r.read() // what the focus was
	for _, g := range r.open() {
		if g.Subject == alice && g.Pool.Environment != "prod" {
			text, key := r.text()
			_, err := r.gateway.replicas[0].Revoke(r.Context(), r.callers[alice], access.Revocation{GrantID: g.ID, Reason: text}, key)
			r.note(text, err)
		}
	}
}

func (r *race) open() []grant.Grant {
	var open []grant.Grant
	for _, g := range r.log.grants {
		if g.State == grant.Pending || up(g) {
			open = append(open, g)
		}
	}
	slices.SortFunc(open, func(a, b grant.Grant) int { return strings.Compare(a.ID, b.ID) })
	return open
}

// text is what a call says, and its key.
func (r *race) text() (text, key string) {
	n := r.calls.Add(1)
	return fmt.Sprintf("call %d", n), fmt.Sprintf("key-%06d", n)
}

// note remembers what came of a call. Whoever loses a race is told so by a code, and by nothing else.
func (r *race) note(text string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch code := codeOf(err); code {
	case oracle.OK, oracle.Invalid, oracle.Forbidden, oracle.NotFound, oracle.Conflict:
	case oracle.Code(access.TooMany):
		r.crowded = append(r.crowded, text)
	default:
		r.Errorf("%s: %s", text, code)
	}
	if r.acked[text] += 0; err == nil {
		r.acked[text]++
	}
}

// tooMany: who wins the races decides how often somebody is refused, and so whether the bound is met. It must not be before
// there were as many refusals, within a minute, as it allows.
func (r *race) tooMany(began time.Time) {
	n := 0
	for _, at := range r.refused {
		if at.After(began.Add(-time.Minute)) {
			n++
		}
	}
	if len(r.crowded) > 0 && n < access.MaxRefused {
		r.Errorf("%v were told of too many refusals, and there were %d", r.crowded, n)
	}
}

func (r *race) background(err error) {
	if err != nil {
		r.Errorf("in the background: %v", err)
	}
}

// read takes in what is new in the log.
func (r *race) read() {
	r.Helper()
	entries, err := r.gateway.events(r.Context(), r.log.revision)
	if err != nil {
		r.Fatalf("read the log: %v", err)
	}
	for _, e := range entries {
		if err := r.log.add(e); err != nil {
			r.Fatalf("the log at revision %d, %s of %s: %v", e.Revision, e.Event.Verb, e.Event.Grant.ID, err)
		}
		if e.Event.Verb == grant.Refuse {
			r.refused = append(r.refused, e.Event.At)
		} else {
			r.told[e.Event.Comment]++
		}
		r.limited(e.Event)
	}
}

// limited: of lab and staging a subject has one at a time.
func (r *race) limited(e grant.Event) {
	if e.Verb != grant.Complete || e.Grant.Pool.Environment == "prod" {
		return
	}
	for _, g := range r.log.grants {
		if g.ID != e.Grant.ID && g.Subject == e.Grant.Subject && g.Pool.Environment != "prod" && g.Live(e.At) {
			r.Errorf("%s was given beside %s: one at a time is allowed", e.Grant.ID, g.ID)
		}
	}
}

// verify: what was answered is what the log says, and so are the rows.
func (r *race) verify() {
	succeeded := 0
	for text, n := range r.acked {
		if r.told[text] != min(n, 1) {
			r.Errorf("%s was answered with success %d times and has %d events", text, n, r.told[text])
		}
		succeeded += min(n, 1)
	}
	for text, n := range r.bulk {
		if r.told[text] != n {
			r.Errorf("bulk revocation %s says that it ended %d, and has %d events", text, n, r.told[text])
		}
	}
	grants, err := r.gateway.grants(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	rows := map[string]grant.Grant{}
	for _, g := range grants {
		rows[g.ID] = g
	}
	if diff := cmp.Diff(r.log.grants, rows, sameValue); diff != "" {
		r.Errorf("the rows are not what the log says (-log +rows):\n%s", diff)
	}
	if r.Logf("%d grants, %d events, %d calls, %d of them with success", len(rows), r.log.revision, len(r.acked), succeeded); succeeded < bursts {
		r.Errorf("only %d calls succeeded: nothing was contested", succeeded)
	}
}
