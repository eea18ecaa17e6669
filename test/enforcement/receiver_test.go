package enforcement

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/accesslog"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// ledger keeps what the receiver reports.
type ledger struct {
	mu     sync.Mutex
	uses   map[string]accesslog.Use // by "<grant>@<node>"
	counts accesslog.Counts
	err    error
}

func (l *ledger) Report(_ context.Context, uses []accesslog.Use) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range uses {
		sum := l.uses[u.GrantID+"@"+u.Node]
		sum.Admitted += u.Admitted
		sum.RefusedAfter += u.RefusedAfter
		if sum.FirstAdmitted.IsZero() {
			sum.FirstAdmitted = u.FirstAdmitted
		}
		if !u.LastAdmitted.IsZero() {
			sum.LastAdmitted = u.LastAdmitted
		}
		if sum.FirstRefusedAfter.IsZero() {
			sum.FirstRefusedAfter = u.FirstRefusedAfter
		}
		l.uses[u.GrantID+"@"+u.Node] = sum
	}
	return nil
}

func (l *ledger) Counted(c accesslog.Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Admitted += c.Admitted
	l.counts.Refused += c.Refused
	l.counts.Unattributed += c.Unattributed
	l.counts.Malformed += c.Malformed
	l.counts.Other += c.Other
}

func (l *ledger) Failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// total waits until so many requests were counted and reported.
func (l *ledger) total(t *testing.T, requests int64) accesslog.Counts {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		c, reported := l.counts, int64(0)
		for _, u := range l.uses {
			reported += u.Admitted + u.RefusedAfter
		}
		l.mu.Unlock()
		if c.Admitted+c.Refused+c.Unattributed >= requests && reported == c.Admitted+c.Refused {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("the counts are %+v", c)
		}
	}
}

// HAProxy's log is where it is known when a grant was used first and last, and that it was refused after its end.
func TestReceiverRecordsTheUseOfAGrant(t *testing.T) {
	for name, listen := range map[string]func(*set) string{
		"udp":  func(*set) string { return "udp:127.0.0.1:0" },
		"unix": func(s *set) string { return "unix:" + filepath.Join(s.dir, "log.sock") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSet(t)
			l := &ledger{uses: map[string]accesslog.Use{}}
			receiver, err := accesslog.New(accesslog.Options{
				Listen: listen(s), Sink: l, Observer: l, Now: time.Now, Interval: 10 * time.Millisecond,
				Known: func(node string) bool { return node == nodeName },
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := receiver.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(receiver.Stop)
			switch address := receiver.Address().(type) {
			case *net.UDPAddr:
				s.input.Standalone.Log = address.String()
			default:
				s.input.Standalone.Log = "unix:" + address.String()
			}
			s.write(t)
			testReceiver(t, s.run(t), l)
		})
	}
}

func testReceiver(t *testing.T, w *world, l *ledger) {
	begin := time.Now().Truncate(time.Millisecond)
	ours, idp := get(host, bearer(w.good())), get(host, bearer(tokencorpus.SignIDP(w.keys, tokencorpus.IDP(w.keys))))
	for _, request := range []string{ours, idp, ours} {
		if _, _, err := w.admitted(request); err != nil {
			t.Fatal(err)
		}
	}
	l.total(t, 3)
	between := time.Now()
	refusedWith := func(row string, requests map[string]string) {
		t.Helper()
		if err := w.changed("grants", grantKey, func(string) string { return row }, func() error {
			for request, why := range requests {
				if err := w.refused(request, why); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	refusedWith("", map[string]string{ours: "no_grant", idp: "no_grant"})
	refusedWith("9999999999:ANOTHER", map[string]string{ours: "other_grant"})
	refusedWith("1700000000:"+tokencorpus.GrantID, map[string]string{ours: "grant_expired", idp: "grant_expired"})
	claims := tokencorpus.Ours(w.keys)
	claims["exp"] = time.Now().Unix() - 1
	late := get(host, bearer(tokencorpus.SignOurs(w.keys, claims)))
	refusedWith("", map[string]string{late: "expired"})
	if err := w.refused(late, "expired"); err != nil { // the row is there: the token alone is late
		t.Error(err)
	}
	if err := w.refused(get(host), "no_token"); err != nil {
		t.Error(err)
	}
	c := l.total(t, 9)
	if c.Admitted != 3 || c.Refused != 5 || c.Unattributed != 1 || c.Malformed != 0 {
		t.Errorf("the counts are %+v", c)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.uses[tokencorpus.GrantID+"@"+nodeName]
	if len(l.uses) != 1 || u.Admitted != 3 || u.RefusedAfter != 5 || l.err != nil {
		t.Errorf("reported: %+v, %v", l.uses, l.err)
	}
	if u.FirstAdmitted.Before(begin) || u.LastAdmitted.Before(u.FirstAdmitted) || u.LastAdmitted.After(between) ||
		u.FirstRefusedAfter.Before(between.Truncate(time.Millisecond)) || u.FirstRefusedAfter.After(time.Now()) {
		t.Errorf("the times are %s, of requests from %s and refusals from %s", fmt.Sprint(u), begin, between)
	}
}
