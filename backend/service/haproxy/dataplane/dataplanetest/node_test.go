package dataplanetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const grants = "grants.map"

var row = dataplane.Entry{Key: "a", Value: "1"}

// inBubble runs a test with a node in memory and its client, under the fake clock, in both dialects.
func inBubble(t *testing.T, test func(t *testing.T, n *dataplanetest.Server, c *dataplane.Client)) {
	t.Helper()
	for _, dialect := range []string{"v2", "v3"} {
		t.Run(dialect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := dataplanetest.NewNode(dataplanetest.Settings{Dialect: dialect, Maps: []string{grants}})
				defer n.Close()
				c, err := dataplane.New(n.Options())
				if err != nil {
					t.Fatal(err)
				}
				test(t, n, c)
			})
		})
	}
}

// once meets the next call that is not a read with one fault.
func once(n *dataplanetest.Server, f dataplanetest.Fault) {
	n.SetFault(func(c dataplanetest.Call) dataplanetest.Fault {
		if c.Method == http.MethodGet {
			return dataplanetest.None
		}
		n.SetFault(nil)
		return f
	})
}

func keys(n *dataplanetest.Server) []string {
	var all []string
	for _, e := range n.Memory(grants) {
		all = append(all, e.Key)
	}
	return all
}

// The table says of each fault what the caller is told and what the map holds afterwards.
func TestFaultsDoWhatTheySay(t *testing.T) {
	for f, want := range map[dataplanetest.Fault]struct {
		failed bool
		holds  []string
	}{
		dataplanetest.None:         {false, []string{"a"}},
		dataplanetest.Refuse:       {true, nil},
		dataplanetest.Lose:         {true, []string{"a"}},
		dataplanetest.Hang:         {true, nil},
		dataplanetest.CutBody:      {false, []string{"a"}},
		dataplanetest.TruncateJSON: {false, []string{"a"}},
		dataplanetest.Status500:    {true, nil},
		dataplanetest.Status503:    {true, nil},
		dataplanetest.Status401:    {true, nil},
		dataplanetest.Empty404:     {true, nil},
		dataplanetest.Echo500:      {true, nil},
		dataplanetest.Redirect:     {true, nil},
		dataplanetest.Pretend:      {false, nil},
		dataplanetest.Slow:         {false, []string{"a"}},
		dataplanetest.SlowAnswer:   {false, []string{"a"}},
		dataplanetest.Twice:        {false, []string{"a", "a"}},
		dataplanetest.Down:         {true, nil},
		dataplanetest.Late:         {true, nil},
	} {
		inBubble(t, func(t *testing.T, n *dataplanetest.Server, c *dataplane.Client) {
			once(n, f)
			err := c.AddEntry(t.Context(), grants, row)
			if (err != nil) != want.failed || !slices.Equal(keys(n), want.holds) {
				t.Errorf("fault %d: error %v, the map holds %v", f, err, keys(n))
			}
		})
	}
}

func TestEveryFaultIsListed(t *testing.T) {
	all := dataplanetest.Faults()
	if len(all) < 15 || slices.Contains(all, dataplanetest.None) || all[len(all)-1] != dataplanetest.Down {
		t.Errorf("faults are %v", all)
	}
}

// What a caller gave up on may still happen, after what the caller did next.
func TestSlowCallIsAppliedThoughTheCallerGaveUp(t *testing.T) {
	inBubble(t, func(t *testing.T, n *dataplanetest.Server, c *dataplane.Client) {
		n.SetDelay(func(dataplanetest.Call) time.Duration { return 30 * time.Second })
		once(n, dataplanetest.Slow)
		begun := time.Now()
		err := c.AddEntry(t.Context(), grants, row)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 10*time.Second || len(keys(n)) != 0 {
			t.Errorf("error %v after %v, the map holds %v", err, time.Since(begun), keys(n))
		}
		time.Sleep(20*time.Second - 1)
		synctest.Wait()
		if len(keys(n)) != 0 {
			t.Error("applied too early")
		}
		time.Sleep(1)
		synctest.Wait()
		if !slices.Equal(keys(n), []string{"a"}) {
			t.Errorf("the map holds %v", keys(n))
		}
	})
}

func TestClosedNodeAppliesNothingMore(t *testing.T) {
	inBubble(t, func(t *testing.T, n *dataplanetest.Server, c *dataplane.Client) {
		n.SetDelay(func(dataplanetest.Call) time.Duration { return time.Hour })
		once(n, dataplanetest.Slow)
		_ = c.AddEntry(t.Context(), grants, row)
		n.Close()
		if time.Sleep(2 * time.Hour); len(keys(n)) != 0 {
			t.Errorf("the map holds %v", keys(n))
		}
	})
}

func TestLateCallComesAfterTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, n *dataplanetest.Server, c *dataplane.Client) {
		once(n, dataplanetest.Late)
		if err := c.AddEntry(t.Context(), grants, row); err == nil {
			t.Error("no error")
		}
		if err := c.AddEntry(t.Context(), grants, dataplane.Entry{Key: "b", Value: "1"}); err != nil {
			t.Error(err)
		}
		if !slices.Equal(keys(n), []string{"b", "a"}) {
			t.Errorf("the map holds %v", keys(n))
		}
	})
}

func TestHalfOfABulkIsApplied(t *testing.T) {
	inBubble(t, func(t *testing.T, n *dataplanetest.Server, c *dataplane.Client) {
		var all []dataplane.Entry
		for i := range 1000 {
			all = append(all, dataplane.Entry{Key: fmt.Sprintf("key%06d", i), Value: "1"})
		}
		once(n, dataplanetest.Half)
		if err := c.ReplaceMap(t.Context(), grants, all); err != nil || len(keys(n)) != 500 {
			t.Errorf("error %v, %d entries", err, len(keys(n)))
		}
		once(n, dataplanetest.Half)
		if err := c.PutMapFile(t.Context(), grants, []byte("a 1\nb 1\n")); err != nil || n.File(grants) != "a 1\n" {
			t.Errorf("error %v, file %q", err, n.File(grants))
		}
	})
}

func TestReloadHandsOutWhatTheOldWorkerHad(t *testing.T) {
	var old map[string][]dataplanetest.Entry
	n := dataplanetest.NewNode(dataplanetest.Settings{
		Maps: []string{grants}, OnReload: func(had map[string][]dataplanetest.Entry) { old = had },
	})
	defer n.Close()
	n.EditMemory(grants, func([]dataplanetest.Entry) []dataplanetest.Entry { return []dataplanetest.Entry{row} })
	n.EditFile(grants, "b 2\n")
	n.Reload()
	if !slices.Equal(old[grants], []dataplanetest.Entry{row}) || !slices.Equal(keys(n), []string{"b"}) {
		t.Errorf("the old worker had %v, the new one has %v", old, keys(n))
	}
}

func TestClockAndWaitCanBeOnesOwn(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var waited time.Duration
	n := dataplanetest.NewNode(dataplanetest.Settings{
		Maps: []string{grants}, Now: func() time.Time { return at },
		Wait: func(_ context.Context, d time.Duration) error { waited = d; return nil },
	})
	defer n.Close()
	n.Skew(3 * time.Second)
	n.SetDelay(func(dataplanetest.Call) time.Duration { return time.Hour })
	n.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.SlowAnswer })
	c, err := dataplane.New(n.Options())
	if err != nil {
		t.Fatal(err)
	}
	_, clock, err := c.Worker(t.Context())
	if err != nil || !clock.Date.Equal(at.Add(3*time.Second)) || !clock.Sent.Equal(at) || waited != time.Hour {
		t.Errorf("error %v, clock %+v, waited %v", err, clock, waited)
	}
}

// A bubble does not move its clock while a goroutine waits for a lock, so nothing may wait for time with one held.
func TestManyNodesRunUnderOneFakeClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 120 {
			n := dataplanetest.NewNode(dataplanetest.Settings{Maps: []string{grants}})
			defer n.Close()
			n.SetDelay(func(dataplanetest.Call) time.Duration { return time.Duration(i) * 200 * time.Millisecond })
			n.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.Slow })
			c, err := dataplane.New(n.Options())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				all.Go(func() { _, _ = c.Entries(t.Context(), grants) })
			}
		}
		all.Wait()
	})
}
