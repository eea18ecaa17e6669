package storetest

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Benchmark measures grants a second: a whole one is a request that policy approves at once, with its three events, its
// row and its idempotency key; a plain one is the request alone. They come one after the other, from as many callers at
// once as the name says, or many in one change.
func Benchmark(b *testing.B, open func(*testing.B) Store) {
	for _, kind := range []struct {
		name   string
		events int
	}{{"whole", 3}, {"plain", 1}} {
		for _, callers := range []int{1, 8, 64, 512} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind.name, callers), func(b *testing.B) {
				commitAtOnce(b, open(b), callers, kind.events)
			})
		}
		b.Run(kind.name+"/one change of 1000", func(b *testing.B) { commitTogether(b, open(b), 1000, kind.events) })
	}
}

func commitAtOnce(b *testing.B, s Store, callers, events int) {
	var n atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, err := s.Commit(b.Context(), BenchChange(i, events)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
}

func commitTogether(b *testing.B, s Store, together, events int) {
	b.ResetTimer()
	for done := 0; done < b.N; {
		var c store.Change
		for range min(together, b.N-done) {
			done++
			c.Events = append(c.Events, BenchChange(int64(done), events).Events...)
		}
		c.Replay = &store.Replay{Caller: alice, Method: "RequestAccess", Key: fmt.Sprint("k", done), At: noon}
		if _, err := s.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
}

// BenchmarkVerify measures how long Verify takes for logs of 10,000 and 100,000 events, three of each grant, and how much
// memory is in use at most meanwhile: no more for the longer one.
func BenchmarkVerify(b *testing.B, open func(*testing.B) Store) {
	for _, events := range []int{9_999, 99_999} {
		b.Run(fmt.Sprint("events=", events), func(b *testing.B) {
			s := open(b)
			for n := 0; n < events/3; {
				var c store.Change
				for ; n < events/3 && len(c.Events) < 3000; n++ {
					c.Events = append(c.Events, BenchChange(int64(n), 3).Events...)
				}
				if _, err := s.Commit(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			stop, most := make(chan struct{}), make(chan uint64)
			go func() { most <- mostInUse(stop) }()
			b.ResetTimer()
			for range b.N {
				if mark, err := store.Verify(b.Context(), s, store.Mark{}); err != nil || mark.Revision != int64(events) {
					b.Errorf("good until %d, %v", mark.Revision, err)
				}
			}
			b.StopTimer()
			close(stop)
			b.ReportMetric(float64(<-most)/1e6, "MB-heap")
		})
	}
}

// mostInUse looks at the heap until it is stopped.
func mostInUse(stop <-chan struct{}) (most uint64) {
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-stop:
			tick.Stop()
			return most
		case <-tick.C:
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
		}
	}
}

// BenchChange is the n-th change: a grant with its first events. IDs come in no order, as those of callers do.
func BenchChange(n int64, events int) store.Change {
	id := fmt.Sprintf("%016x", uint64(n)*0x9e3779b97f4a7c15)
	who := grant.Subject("service:" + id)
	all := opened(id, who, billing, noon)
	return store.Change{Events: all[:events], Replay: &store.Replay{Caller: who, Method: "RequestAccess", Key: id, Ref: id, At: noon}}
}
