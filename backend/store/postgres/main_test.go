package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
)

// server is the package's Postgres.
var server *pgproc.Server

func TestMain(m *testing.M) {
	if job := os.Getenv(childJob); job != "" {
		os.Exit(child(job))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = pgproc.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// administer runs one statement as a superuser.
func administer(ctx context.Context, database, statement string) error {
	db, err := Open(server.DSN(database))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

// databases are those that no test uses at present: to empty one is quicker than to make one.
var databases struct {
	sync.Mutex
	free []string
	made int
}

// emptyDatabase is a database for a test, without our schema.
func emptyDatabase(t testing.TB) string {
	t.Helper()
	databases.Lock()
	defer databases.Unlock()
	var name string
	if n := len(databases.free); n > 0 {
		name, databases.free = databases.free[n-1], databases.free[:n-1]
	} else {
		databases.made++
		name = fmt.Sprintf("test_%d", databases.made)
		if err := administer(context.Background(), "postgres", "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := administer(context.Background(), name, "DROP SCHEMA IF EXISTS haproxyaccess CASCADE; DROP TABLE IF EXISTS "+versions); err != nil {
			t.Error(err)
		}
		databases.Lock()
		defer databases.Unlock()
		databases.free = append(databases.free, name)
	})
	return server.DSN(name)
}

// newDatabase is a database for a test, with the newest schema.
func newDatabase(t testing.TB) string {
	t.Helper()
	dsn := emptyDatabase(t)
	if err := migrated(t.Context(), dsn, Known); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func migrated(ctx context.Context, dsn string, to int) error {
	db, err := Open(dsn)
	if err != nil {
		return err
	}
	return errors.Join(Migrate(ctx, db, to), db.Close())
}

// owned is a store with connections of its own.
type owned struct {
	*DB
	pool *sql.DB
}

func (o owned) Close() error { return errors.Join(o.DB.Close(), o.pool.Close()) }

func open(ctx context.Context, dsn string) (owned, error) {
	pool, err := Open(dsn)
	if err != nil {
		return owned{}, err
	}
	pool.SetMaxIdleConns(8)
	db, err := New(ctx, pool)
	if err != nil {
		return owned{}, errors.Join(err, pool.Close())
	}
	return owned{db, pool}, nil
}

func opened(t testing.TB, dsn string) owned {
	t.Helper()
	db, err := open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a connection that a test has cut says so once more
	return db
}

// TestStore is the suite, with no more rights than those that the migrations' README names.
func TestStore(t *testing.T) { storetest.Run(t, harness) }

func harness(t testing.TB) func() storetest.Store {
	dsn := newDatabase(t)
	permit(t, dsn)
	return func() storetest.Store { return opened(t, strings.Replace(dsn, "user="+pgproc.User, "user=gateway", 1)) }
}

// permit gives the role gateway what the README names.
func permit(t testing.TB, dsn string) {
	t.Helper()
	text, err := os.ReadFile("migrations/README.md")
	if err != nil {
		t.Fatal(err)
	}
	grants := regexp.MustCompile(`(?s)    GRANT.*?;`).FindAllString(string(text), -1)
	if len(grants) < 4 {
		t.Fatalf("the README has %d grants", len(grants))
	}
	db, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const role = `DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'gateway') THEN CREATE ROLE gateway LOGIN; END IF; END $$;`
	if _, err := db.Exec(role + strings.Join(grants, "")); err != nil {
		t.Fatal(err)
	}
}
