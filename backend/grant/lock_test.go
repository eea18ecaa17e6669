package grant

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func lock() Lock {
	return Lock{ID: "l1", Reason: "incident 9", By: bob, Until: noon.Add(time.Hour)}
}

func TestWhatALockCovers(t *testing.T) {
	all := Lock{}
	person, agent := Lock{Subject: alice}, Lock{Subject: triage}
	environment, pool := Lock{Environment: "prod"}, Lock{Environment: "prod", Pool: "web"}
	both := Lock{Subject: alice, Environment: "prod", Pool: "web"}
	web, api, staging := Pool{"prod", "web"}, Pool{"prod", "api"}, Pool{"staging", "web"}
	tests := []struct {
		name    string
		lock    Lock
		subject Subject
		owner   Subject
		pool    Pool
		want    bool
	}{
		{"everything", all, bob, "", staging, true},
		{"everything, an agent", all, triage, bob, web, true},
		{"a person", person, alice, "", web, true},
		{"a person anywhere", person, alice, "", staging, true},
		{"a person, not another", person, bob, "", web, false},
		{"a person's agent", person, triage, alice, web, true},
		{"another's agent", person, triage, bob, web, false},
		{"a person, in capitals", person, "Alice@example.com", "", web, false},
		{"an agent", agent, triage, alice, web, true},
		{"an agent, not its owner", agent, alice, "", web, false},
		{"an agent, not another of the owner's", agent, "agent:other", alice, web, false},
		{"an environment", environment, bob, "", web, true},
		{"an environment's other pool", environment, bob, "", api, true},
		{"another environment", environment, bob, "", staging, false},
		{"a pool", pool, bob, "", web, true},
		{"another pool", pool, bob, "", api, false},
		{"a pool of the same name elsewhere", pool, bob, "", staging, false},
		{"all fields", both, alice, "", web, true},
		{"all fields, the owner", both, triage, alice, web, true},
		{"all fields, another subject", both, bob, "", web, false},
		{"all fields, another pool", both, alice, "", api, false},
		{"all fields, another environment", both, alice, "", staging, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.lock.Covers(test.subject, test.owner, test.pool); got != test.want {
				t.Errorf("covers %v, want %v", got, test.want)
			}
		})
	}
}

func TestNewLock(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Lock)
		ok     bool
	}{
		{"everything", func(*Lock) {}, true},
		{"a person", func(l *Lock) { l.Subject = alice }, true},
		{"an agent", func(l *Lock) { l.Subject = triage }, true},
		{"an environment", func(l *Lock) { l.Environment = "prod" }, true},
		{"a pool", func(l *Lock) { l.Environment, l.Pool = "prod", "web" }, true},
		{"all of them", func(l *Lock) { l.Subject, l.Environment, l.Pool = alice, "prod", "web" }, true},
		{"for a millisecond", func(l *Lock) { l.Until = noon.Add(time.Millisecond) }, true},
		{"no id", func(l *Lock) { l.ID = "" }, false},
		{"no reason", func(l *Lock) { l.Reason = "" }, false},
		{"by nobody", func(l *Lock) { l.By = "" }, false},
		{"a pool without environment", func(l *Lock) { l.Pool = "web" }, false},
		{"no end", func(l *Lock) { l.Until = time.Time{} }, false},
		{"ends as it begins", func(l *Lock) { l.Until = noon }, false},
		{"ends within the millisecond", func(l *Lock) { l.Until = noon.Add(time.Millisecond - 1) }, false},
		{"has ended", func(l *Lock) { l.Until = noon.Add(-time.Hour) }, false},
		{"lifted by somebody", func(l *Lock) { l.LiftedBy = bob }, false},
		{"lifted at some time", func(l *Lock) { l.LiftedAt = noon }, false},
		{"a subject in capitals", func(l *Lock) { l.Subject = "Alice@example.com" }, false},
		{"no subject", func(l *Lock) { l.Subject = "*" }, false},
		{"no environment", func(l *Lock) { l.Environment = "Prod" }, false},
		{"a pattern", func(l *Lock) { l.Environment, l.Pool = "prod", "*" }, false},
		{"a pool's full name", func(l *Lock) { l.Environment, l.Pool = "prod", "prod/web" }, false},
		{"too long a pool", func(l *Lock) { l.Environment, l.Pool = "prod", strings.Repeat("p", 64) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := lock()
			test.change(&in)
			in.At = noon.Add(-time.Hour) // whatever the caller says
			got, err := NewLock(in, noon.Add(1).In(time.FixedZone("local", 3600)))
			if !test.ok {
				if !errors.Is(err, ErrLock) || got != (Lock{}) {
					t.Fatalf("%+v, error %v, want ErrLock", got, err)
				}
				return
			}
			want := in
			want.At = noon
			if err != nil || got != want {
				t.Fatalf("%+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestALockHoldsUntilItsEndOrUntilItIsLifted(t *testing.T) {
	l, err := NewLock(lock(), noon)
	if err != nil {
		t.Fatal(err)
	}
	end := noon.Add(time.Hour)
	for at, want := range map[time.Time]bool{noon.Add(-time.Hour): true, noon: true, end.Add(-1): true, end: false, end.Add(1): false} {
		if l.Holds(at) != want {
			t.Errorf("at %v it holds: %v", at, !want)
		}
	}
	lifted, err := l.Lift(carol, end.Add(-1).In(time.FixedZone("local", 3600)))
	want := l
	want.LiftedBy, want.LiftedAt = carol, end.Add(-time.Millisecond)
	if err != nil || lifted != want {
		t.Fatalf("lifted to %+v, %v, want %+v", lifted, err, want)
	}
	for _, at := range []time.Time{noon, end.Add(-1), end} {
		if lifted.Holds(at) {
			t.Errorf("lifted, it holds at %v", at)
		}
	}
	for name, try := range map[string]func() (Lock, error){
		"twice":          func() (Lock, error) { return lifted.Lift(bob, noon.Add(time.Minute)) },
		"at its end":     func() (Lock, error) { return l.Lift(bob, end) },
		"after its end":  func() (Lock, error) { return l.Lift(bob, end.Add(time.Hour)) },
		"by nobody":      func() (Lock, error) { return l.Lift("", noon) },
		"without having": func() (Lock, error) { return Lock{}.Lift(bob, noon) },
	} {
		if got, err := try(); !errors.Is(err, ErrLock) || got != (Lock{}) {
			t.Errorf("lifted %s: %+v, %v", name, got, err)
		}
	}
}
