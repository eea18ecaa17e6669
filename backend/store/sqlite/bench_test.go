package sqlite

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// BenchmarkCommit is the main path of a request that policy approves: three events and an idempotency key in one change.
// It ends on disk, so it is the disk that is measured, mostly.
func BenchmarkCommit(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.db")
	db, err := Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	var n atomic.Int64
	one := func(b *testing.B) {
		if _, err := db.Commit(b.Context(), atOnce(n.Add(1))); err != nil {
			b.Error(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			one(b)
		}
	})
	b.Run("many at once", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one(b)
			}
		})
	})
}

// atOnce is the n-th change: a subject's request, approved and activated.
func atOnce(n int64) store.Change {
	id := fmt.Sprintf("b%d", n)
	e := request(id).Events[0]
	e.Grant.Subject = grant.Subject("service:" + id)
	events := []grant.Event{e}
	for verb, to := grant.Complete, grant.Approved; len(events) < 3; verb, to = grant.Activate, grant.Active {
		from := e.Grant.State
		e.Grant.State, e.Grant.Version = to, e.Grant.Version+1
		e.From, e.Verb = from, verb
		events = append(events, e)
	}
	return store.Change{Events: events, Replay: &store.Replay{
		Caller: e.Grant.Subject, Method: "RequestAccess", Key: id, Ref: id, At: time.Unix(1000, 0),
	}}
}
