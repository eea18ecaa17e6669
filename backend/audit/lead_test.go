package audit

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// election is one lock for each name among the gateways of a test.
type election struct {
	mu     sync.Mutex
	holder map[string]*candidate
}

// candidate is one gateway.
type candidate struct {
	election *election
	lost     bool // its session is over without its knowing
}

func newElection() *election { return &election{holder: map[string]*candidate{}} }

func (e *election) gateway() *candidate { return &candidate{election: e} }

// alone is an election with one gateway.
func alone() *candidate { return newElection().gateway() }

func (c *candidate) Claim(_ context.Context, name string) (store.Tenure, error) {
	c.election.mu.Lock()
	defer c.election.mu.Unlock()
	if h := c.election.holder[name]; h != nil && h != c {
		return nil, store.ErrHeld
	}
	c.election.holder[name], c.lost = c, false
	return tenure{c, name}, nil
}

// lose ends the candidate's session: others get its names.
func (c *candidate) lose() {
	c.election.mu.Lock()
	defer c.election.mu.Unlock()
	c.lost = true
	clear(c.election.holder)
}

type tenure struct {
	c    *candidate
	name string
}

func (t tenure) Since() time.Time { return time.Time{} } // the outbox does not ask

func (t tenure) Check(context.Context) error {
	t.c.election.mu.Lock()
	defer t.c.election.mu.Unlock()
	if t.c.lost || t.c.election.holder[t.name] != t.c {
		return errFault
	}
	return nil
}

func (t tenure) Release() {
	t.c.election.mu.Lock()
	defer t.c.election.mu.Unlock()
	if t.c.election.holder[t.name] == t.c {
		delete(t.c.election.holder, t.name)
	}
}

func TestI7OneOfSeveralGatewaysTellsASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := newLog(5), newElection()
		first, second := newSink("audit"), newSink("audit")
		one := New(log, []Sink{first}, e.gateway(), &fakeObserver{}, Timing{})
		other := New(log, []Sink{second}, e.gateway(), &fakeObserver{}, Timing{})
		one.Start()
		synctest.Wait()
		other.Start()
		log.grow(5)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := first.heard(); len(got) != 10 || len(second.heard()) != 0 {
			t.Fatalf("the first told of %v, the second of %v", got, second.heard())
		}
		// It goes: the other tells the rest, and only that.
		one.Stop()
		log.grow(5)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := second.heard(); len(got) != 5 || got[0] != 11 {
			t.Errorf("the second told of %v", got)
		}
		other.Stop()
	})
}

// Who was passed over while it slept tells nothing more, and comes in again when the other goes.
func TestI7AGatewayThatWasPassedOverTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, e := newLog(5), newElection()
		first, second := newSink("audit"), newSink("audit")
		sleeper := e.gateway()
		one := New(log, []Sink{first}, sleeper, &fakeObserver{}, Timing{})
		one.Start()
		synctest.Wait()
		sleeper.lose()
		other := New(log, []Sink{second}, e.gateway(), &fakeObserver{}, Timing{})
		other.Start()
		synctest.Wait()
		log.grow(5)
		one.Poke()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(first.heard()) != 5 || len(second.heard()) != 5 {
			t.Fatalf("the first told of %v, the second of %v", first.heard(), second.heard())
		}
		other.Stop()
		log.grow(5)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := first.heard(); len(got) != 10 || got[5] != 11 {
			t.Errorf("the first told of %v", got)
		}
		one.Stop()
	})
}
