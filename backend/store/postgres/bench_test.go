package postgres

import (
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// BenchmarkCommit is one gateway; the server waits for the disk at each commit.
func BenchmarkCommit(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) storetest.Store { return opened(b, newDatabase(b)) })
}
