package bench

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// measureCold fills an empty node with grants that are there already.
func measureCold(t *testing.T, r *report, size sizes) {
	for _, rows := range size.cold {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			s := newSource()
			grants, revision := s.give(rows)
			n := startNode(t, nil)
			g := newGateway(t, n.config, n.input, s)
			begin := time.Now()
			g.fleet.Start()
			g.settled(revision)
			r.add(fmt.Sprintf("cold start: %d grants on an empty node", rows), time.Since(begin).Seconds(), "s")
			l := dial(t, n.address)
			for _, one := range grants[len(grants)-2:] {
				if status := l.ask(t, requestText(n.token(one))); status != http.StatusOK {
					t.Errorf("after the lease was given the status is %d", status)
				}
			}
		})
	}
}

// measureGroup ends many grants at once.
func measureGroup(t *testing.T, r *report, size sizes) {
	s := newSource()
	grants, revision := s.give(size.from)
	n := startNode(t, nil)
	g := newGateway(t, n.config, n.input, s)
	g.fleet.Start()
	g.settled(revision)
	gone, kept := grants[:size.group], grants[len(grants)-1]
	last := gone[len(gone)-1]
	l := dial(t, n.address)
	request := requestText(n.token(last))
	if status := l.ask(t, request); status != http.StatusOK {
		t.Fatalf("before the end the status is %d", status)
	}
	begin := time.Now()
	revision = s.end(gone...)
	g.fleet.Wake()
	refused := n.await(t, l, request, http.StatusForbidden)
	g.enforced(last, revision, false)
	reported := time.Since(begin)
	what := fmt.Sprintf("a group of %d of %d: ", size.group, size.from)
	r.add(what+"to one's last admitted", ms(refused.Sub(begin)), "ms")
	r.add(what+"to reported as enforced", ms(reported), "ms")
	entries, err := n.client.Entries(t.Context(), "grants.map")
	if err != nil {
		t.Fatal(err)
	}
	if want := size.from - size.group; len(entries) != want {
		t.Errorf("there are %d rows instead of %d", len(entries), want)
	}
	if status := l.ask(t, requestText(n.token(kept))); status != http.StatusOK {
		t.Errorf("who was not in the group has the status %d", status)
	}
}
