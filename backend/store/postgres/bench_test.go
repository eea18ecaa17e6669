package postgres

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// BenchmarkCommit is one gateway; the server waits for the disk at each commit.
func BenchmarkCommit(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) storetest.Store { return opened(b, newDatabase(b)) })
}

func BenchmarkVerify(b *testing.B) {
	storetest.BenchmarkVerify(b, func(b *testing.B) storetest.Store { return opened(b, newDatabase(b)) })
}

// BenchmarkGateways is eight gateways, each with one change after the other: nobody shares a transaction, and all wait for
// the one lock.
func BenchmarkGateways(b *testing.B) {
	dsn := newDatabase(b)
	var gateways []owned
	for range 8 {
		gateways = append(gateways, opened(b, dsn))
	}
	var n atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for _, db := range gateways {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, err := db.Commit(b.Context(), storetest.BenchChange(i, 3)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
}
