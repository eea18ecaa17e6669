package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func testReports(t *testing.T, h Harness) {
	open := h(t)
	s := open()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	var none time.Time
	steps := []struct {
		name      string
		put, want store.GrantReport
	}{
		{
			"written", store.GrantReport{Revision: 3, WrittenAt: at(10), VerifiedAt: at(12)},
			store.GrantReport{Revision: 3, WrittenAt: at(10), VerifiedAt: at(12)},
		},
		{
			"written again, in the same revision", store.GrantReport{Revision: 3, WrittenAt: at(20), VerifiedAt: at(22)},
			store.GrantReport{Revision: 3, WrittenAt: at(10), VerifiedAt: at(12)},
		},
		{
			"told late what was earlier", store.GrantReport{Revision: 3, WrittenAt: at(9), VerifiedAt: at(11)},
			store.GrantReport{Revision: 3, WrittenAt: at(9), VerifiedAt: at(11)},
		},
		{
			"used", store.GrantReport{FirstAdmitted: at(30), LastAdmitted: at(40), Admitted: 5},
			store.GrantReport{
				Revision: 3, WrittenAt: at(9), VerifiedAt: at(11), FirstAdmitted: at(30), LastAdmitted: at(40), Admitted: 5,
			},
		},
		{
			"an older report of use", store.GrantReport{FirstAdmitted: at(25), LastAdmitted: at(35), Admitted: 2},
			store.GrantReport{
				Revision: 3, WrittenAt: at(9), VerifiedAt: at(11), FirstAdmitted: at(25), LastAdmitted: at(40), Admitted: 7,
			},
		},
		{
			"extended", store.GrantReport{Revision: 8, WrittenAt: at(50), VerifiedAt: at(52)},
			store.GrantReport{
				Revision: 8, WrittenAt: at(50), VerifiedAt: at(52), FirstAdmitted: at(25), LastAdmitted: at(40), Admitted: 7,
			},
		},
		{
			"an older revision changes nothing", store.GrantReport{Revision: 3, WrittenAt: at(1), VerifiedAt: at(2)},
			store.GrantReport{
				Revision: 8, WrittenAt: at(50), VerifiedAt: at(52), FirstAdmitted: at(25), LastAdmitted: at(40), Admitted: 7,
			},
		},
		{
			"removed, and refused", store.GrantReport{Revision: 9, RemovedAt: at(60), FirstRefused: at(61), Refused: 1},
			store.GrantReport{
				Revision: 9, WrittenAt: at(50), VerifiedAt: at(52), RemovedAt: at(60), FirstAdmitted: at(25), LastAdmitted: at(40),
				Admitted: 7, FirstRefused: at(61), Refused: 1,
			},
		},
		{
			"removed again, refused again", store.GrantReport{Revision: 9, RemovedAt: at(70), FirstRefused: at(75), Refused: 2},
			store.GrantReport{
				Revision: 9, WrittenAt: at(50), VerifiedAt: at(52), RemovedAt: at(70), FirstAdmitted: at(25), LastAdmitted: at(40),
				Admitted: 7, FirstRefused: at(61), Refused: 3,
			},
		},
		{
			"nothing", store.GrantReport{RemovedAt: none},
			store.GrantReport{
				Revision: 9, WrittenAt: at(50), VerifiedAt: at(52), RemovedAt: at(70), FirstAdmitted: at(25), LastAdmitted: at(40),
				Admitted: 7, FirstRefused: at(61), Refused: 3,
			},
		},
	}
	for _, step := range steps {
		step.put.GrantID, step.put.Node, step.want.GrantID, step.want.Node = "g1", "edge-2", "g1", "edge-2"
		if err := s.PutReports(t.Context(), []store.GrantReport{step.put}); err != nil {
			t.Fatal(err)
		}
		equal(t, step.name, reports(t, s, "g1"), []store.GrantReport{step.want})
	}
	// Another node's are apart, and all is there after a restart.
	other := store.GrantReport{GrantID: "g1", Node: "edge-1", Revision: 3, WrittenAt: at(1), VerifiedAt: at(2)}
	foreign := store.GrantReport{GrantID: "g2", Node: "edge-1", Revision: 4, WrittenAt: at(1), VerifiedAt: at(2)}
	if err := s.PutReports(t.Context(), []store.GrantReport{other, foreign}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	last := steps[len(steps)-1].want
	last.GrantID, last.Node = "g1", "edge-2"
	s = open()
	equal(t, "reports", reports(t, s, "g1"), []store.GrantReport{other, last})
	equal(t, "reports of a grant without any", reports(t, s, "g3"), []store.GrantReport(nil))
}

func reports(t *testing.T, s Store, id string) []store.GrantReport {
	t.Helper()
	all, err := s.GrantReports(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testReportRace(t *testing.T, h Harness) {
	s := h(t)()
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			at := noon.Add(time.Duration(n*7%20) * time.Millisecond)
			err := s.PutReports(t.Context(), []store.GrantReport{
				{GrantID: "g1", Node: "a", FirstAdmitted: at, LastAdmitted: at, Admitted: 1},
				{GrantID: "g2", Node: "a", FirstAdmitted: at, LastAdmitted: at, Admitted: int64(n)},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first, last := noon, noon.Add(19*time.Millisecond)
	for id, count := range map[string]int64{"g1": 20, "g2": 190} {
		equal(t, "reports", reports(t, s, id), []store.GrantReport{
			{GrantID: id, Node: "a", FirstAdmitted: first, LastAdmitted: last, Admitted: count},
		})
	}
}

func testNodeStatus(t *testing.T, h Harness) {
	s := h(t)()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	put := func(node string, n int) {
		t.Helper()
		status := store.NodeStatus{Node: node, Writer: fmt.Sprint("gateway-", n), At: at(n), Doc: []byte(fmt.Sprint(n))}
		if err := s.PutNodeStatus(t.Context(), status); err != nil {
			t.Fatal(err)
		}
	}
	has := func(want ...store.NodeStatus) {
		t.Helper()
		got, err := s.NodeStatuses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "statuses", got, want)
	}
	has()
	put("edge-2", 5)
	put("edge-1", 6)
	put("edge-2", 4) // a writer that was passed over, and wakes
	one := store.NodeStatus{Node: "edge-1", Writer: "gateway-6", At: at(6), Doc: []byte("6")}
	has(one, store.NodeStatus{Node: "edge-2", Writer: "gateway-5", At: at(5), Doc: []byte("5")})
	put("edge-2", 7)
	has(one, store.NodeStatus{Node: "edge-2", Writer: "gateway-7", At: at(7), Doc: []byte("7")})
	for range 2 { // a second time is no error
		if err := s.ForgetNode(t.Context(), "edge-2"); err != nil {
			t.Fatal(err)
		}
		has(one)
	}
}

func testEnvironments(t *testing.T, h Harness) {
	s := h(t)()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	has := func(since time.Time, want ...store.Environment) {
		t.Helper()
		got, err := s.Environments(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "environments", got, want)
	}
	has(time.Time{})
	second := store.Environment{Name: "pr-2", Template: "pr-*", By: bob, At: at(2)}
	first := store.Environment{Name: "pr-1", Template: "pr-*", By: alice, At: at(1)}
	for _, e := range []store.Environment{second, first} {
		if err := s.RegisterEnvironment(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	has(time.Time{}, first, second)
	wantError(t, s.RegisterEnvironment(t.Context(), store.Environment{Name: "pr-1", Template: "*", By: bob, At: at(3)}), store.ErrConflict)
	wantError(t, s.RemoveEnvironment(t.Context(), "pr-3", bob, at(3)), store.ErrNotFound)
	if err := s.RemoveEnvironment(t.Context(), "pr-1", bob, at(4)); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.RemoveEnvironment(t.Context(), "pr-1", carol, at(5)), store.ErrNotFound)
	gone := first
	gone.RemovedAt, gone.RemovedBy = at(4), bob
	has(time.Time{}, gone, second)
	has(at(4), gone, second)
	has(at(4).Add(1), second)
	// It comes back as a new one.
	again := store.Environment{Name: "pr-1", Template: "pr-*", By: carol, At: at(6)}
	if err := s.RegisterEnvironment(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	has(at(9), again, second)
	// Of those that register the same at once, one does.
	var wg sync.WaitGroup
	won := make(chan int, 10)
	for n := range 10 {
		wg.Go(func() {
			if s.RegisterEnvironment(t.Context(), store.Environment{Name: "pr-9", Template: "pr-*", By: alice, At: at(n)}) == nil {
				won <- n
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d have registered pr-9", len(won))
	}
}
