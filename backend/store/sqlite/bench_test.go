package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// BenchmarkCommit ends on disk each time: full sync.
func BenchmarkCommit(b *testing.B) {
	storetest.Benchmark(b, opens)
}

func BenchmarkVerify(b *testing.B) { storetest.BenchmarkVerify(b, opens) }

func opens(b *testing.B) storetest.Store {
	db, err := Open(b.Context(), filepath.Join(b.TempDir(), "s.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}
