package postgres

import (
	"context"
	"testing"
	"time"
)

// life is 200,000 grants of a size as they have it, most of them over, as the version before wrote them.
const life = `ALTER TABLE haproxyaccess.grants DISABLE TRIGGER USER;
	INSERT INTO haproxyaccess.grants (id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at, lapses_at,
		expires_at, due_at, waiting, review, doc)
	SELECT md5(i::text), 'service:s' || i, '', 'prod', 'billing', CASE WHEN i % 100 = 0 THEN 'active' ELSE 'expired' END, 3, i, i, 0, i,
		i, i, '{}', (CASE WHEN i % 50 = 0 THEN '{sre}' ELSE '{}' END)::text[],
		(SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 40) AS j) FROM generate_series(1, 200000) AS i;
	ALTER TABLE haproxyaccess.grants ENABLE TRIGGER USER`

// BenchmarkMigration says how long version 2 keeps a gateway waiting that reads or writes a grant, with 200,000 of them.
func BenchmarkMigration(b *testing.B) {
	var longest time.Duration
	for range b.N {
		b.StopTimer()
		dsn := emptyDatabase(b)
		if err := migrated(b.Context(), dsn, 1); err != nil {
			b.Fatal(err)
		}
		db, err := Open(dsn)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := db.Exec(life); err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		waited := make(chan time.Duration)
		go func() {
			var most time.Duration
			for ctx.Err() == nil {
				begin := time.Now()
				_, _ = db.ExecContext(ctx, "SELECT FROM haproxyaccess.grants WHERE id = 'x' FOR UPDATE") // an error is the end
				most = max(most, time.Since(begin))
			}
			waited <- most
		}()
		b.StartTimer()
		if err := migrated(b.Context(), dsn, Known); err != nil {
			b.Error(err)
		}
		b.StopTimer()
		stop()
		longest = max(longest, <-waited)
		_ = db.Close() // it may say that the last question was cut off
	}
	b.ReportMetric(float64(longest.Milliseconds()), "ms-waited")
}
