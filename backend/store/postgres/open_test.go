package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	migratepg "github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// set changes what the version's table says, or a setting of the database.
func set(t *testing.T, dsn, statement string) {
	t.Helper()
	db, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func name(dsn string) string { return regexp.MustCompile(`dbname=(\S+)`).FindStringSubmatch(dsn)[1] }

func TestNewRefusesAnotherSchema(t *testing.T) {
	empty := emptyDatabase(t)
	if _, err := open(t.Context(), empty); err == nil || !strings.Contains(err.Error(), "migrate it") {
		t.Errorf("an empty database: %v", err)
	}
	dsn := newDatabase(t)
	for change, want := range map[string]string{
		"version = 0": "migrate it", "version = version + 2": fmt.Sprint("only knows up to ", Known), "dirty = true": "dirty",
		"version = version + 1, dirty = true": "dirty",
	} {
		set(t, dsn, fmt.Sprint("UPDATE "+versions+" SET dirty = false, version = ", Known))
		set(t, dsn, "UPDATE "+versions+" SET "+change)
		if _, err := open(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change, err)
		}
	}
	// Migrated for the next program, while this one runs on.
	set(t, dsn, fmt.Sprint("UPDATE "+versions+" SET dirty = false, version = ", Known+1))
	if _, err := opened(t, dsn).Commit(t.Context(), storetest.OneChange("g1")); err != nil {
		t.Fatal(err)
	}
}

// I5: a server that may lose what it has acknowledged is none.
func TestNewRefusesAServerThatForgets(t *testing.T) {
	dsn := newDatabase(t)
	set(t, dsn, "ALTER DATABASE "+name(dsn)+" SET synchronous_commit = off")
	defer set(t, dsn, "ALTER DATABASE "+name(dsn)+" RESET synchronous_commit")
	if _, err := open(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Fatalf("error %v", err)
	}
}

// Where transactions are stricter by default, a writer that has waited for its turn would see the past, and fail.
func TestAnotherDefaultIsolationIsNoMatter(t *testing.T) {
	for _, level := range []string{"repeatable read", "serializable"} {
		dsn := newDatabase(t)
		set(t, dsn, "ALTER DATABASE "+name(dsn)+" SET default_transaction_isolation = '"+level+"'")
		defer set(t, dsn, "ALTER DATABASE "+name(dsn)+" RESET default_transaction_isolation")
		one, two := opened(t, dsn), opened(t, dsn)
		var wg sync.WaitGroup
		for i, db := range []owned{one, two} {
			for n := range 20 {
				wg.Go(func() {
					if _, err := db.Commit(t.Context(), storetest.OneChange(fmt.Sprintf("g%d-%d", i, n))); err != nil {
						t.Errorf("%s: %v", level, err)
					}
				})
			}
		}
		wg.Wait()
	}
}

// A migration that is cut at whatever point is done or not, and never half: the next one goes on.
func TestAMigrationIsNeverHalf(t *testing.T) {
	dsn := emptyDatabase(t)
	p := newProxy(t)
	through := strings.Replace(dsn, "host="+server.Host(), "host="+p.host, 1)
	most := 0
	for n := 1; ; n++ {
		for _, answered := range []bool{false, true} {
			set(t, dsn, "DROP SCHEMA IF EXISTS haproxyaccess CASCADE; DROP TABLE IF EXISTS "+versions)
			p.arm(n, answered, func() {})
			err := migrated(t.Context(), through, Known)
			p.disarm()
			if !p.acted() {
				if err != nil {
					t.Fatal(err)
				}
				most = n - 1
				break
			}
			checkNotHalf(t, dsn, fmt.Sprintf("question %d, answered %v (%v)", n, answered, err))
		}
		if most > 0 {
			break
		}
	}
	if most < 8 {
		t.Errorf("a migration has %d questions only", most)
	}
}

func checkNotHalf(t *testing.T, dsn, what string) {
	t.Helper()
	db, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	v, err := SchemaVersion(t.Context(), db)
	var steps int // that show: the tables of the first, an index of the second, a table of the third
	countErr := db.QueryRow(`SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'haproxyaccess' AND tablename = 'audit')
		+ (SELECT count(*) FROM pg_indexes WHERE schemaname = 'haproxyaccess' AND indexname = 'grants_open')
		+ (SELECT count(*) FROM pg_tables WHERE schemaname = 'haproxyaccess' AND tablename = 'reports')`).Scan(&steps)
	if err := errors.Join(err, countErr); err != nil {
		t.Fatal(err)
	}
	if v.Dirty || v.Number != steps {
		t.Errorf("%s: version %+v, and %d steps show", what, v, steps)
	}
	if err := Migrate(t.Context(), db, Known); err != nil {
		t.Errorf("%s: afterwards: %v", what, err)
	}
}

func TestManyThatMigrateAtOnce(t *testing.T) {
	dsn := emptyDatabase(t)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := migrated(t.Context(), dsn, Known); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	opened(t, dsn)
}

// One that waited for its turn while another did all steps goes back none.
func TestMigratingGoesOnFromWhereOthersHaveCome(t *testing.T) {
	dsn := emptyDatabase(t)
	db, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	first, err := begin(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	script, err := Script(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), first); err != nil { // it has the lock
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- migrated(t.Context(), dsn, Known) }()
	for waiting, deadline := 0, time.Now().Add(time.Minute); waiting == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other does not wait")
		}
		err := db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.ExecContext(t.Context(), script); err != nil { // which ends in COMMIT
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if v, err := SchemaVersion(t.Context(), db); err != nil || v.Number != Known || v.Dirty {
		t.Errorf("version %+v, %v", v, err)
	}
}

// Clutch's migration tool is golang-migrate with the table that -namespace haproxyaccess names: either tool goes on where
// the other has been.
func TestClutchsToolDoesTheSame(t *testing.T) {
	up := func(t *testing.T, dsn string) {
		t.Helper()
		db, err := Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		target, err := migratepg.WithInstance(db, &migratepg.Config{MigrationsTable: "schema_migrations_haproxyaccess"})
		if err != nil {
			t.Fatal(err)
		}
		source, err := iofs.New(migrations, "migrations")
		if err != nil {
			t.Fatal(err)
		}
		m, err := migrate.NewWithInstance("iofs", source, "postgres", target)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			t.Fatal(err)
		}
		if a, b := m.Close(); a != nil || b != nil {
			t.Fatal(a, b)
		}
	}
	first := emptyDatabase(t)
	up(t, first)
	if err := migrated(t.Context(), first, Known); err != nil {
		t.Fatal(err)
	}
	opened(t, first)
	second := newDatabase(t)
	up(t, second)
	opened(t, second)
}
