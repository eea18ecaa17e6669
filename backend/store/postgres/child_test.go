package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// A child process is this test binary with a job: these variables name it and the database.
const (
	childJob      = "HAPROXY_ACCESS_TEST_CHILD_JOB"
	childDatabase = "HAPROXY_ACCESS_TEST_CHILD_DATABASE"
)

// raceTransitions is how many transitions two processes race for.
const raceTransitions = 10_000

func childCommand(job, dsn string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childJob+"="+job, childDatabase+"="+dsn)
	cmd.Stderr = os.Stderr
	return cmd
}

func child(job string) int {
	if err := work(context.Background(), job, os.Getenv(childDatabase)); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

// stand does what stops in its middle until the parent says to go on, and wants it to fail.
func stand(do func(stop func()) error) error {
	err := do(func() {
		fmt.Println("holding")
		var go1 string
		_, _ = fmt.Scanln(&go1)
	})
	if err == nil {
		return errors.New("it was carried out")
	}
	_, err = fmt.Println("lost")
	return err
}

func work(ctx context.Context, job, dsn string) error {
	db, err := open(ctx, dsn)
	if err != nil {
		return err
	}
	switch job {
	case "acknowledge":
		return storetest.Acknowledge(db, os.Stdout)
	case "write":
		return holdName(ctx, db)
	case "stand at the head":
		return stand(func(stop func()) error {
			return db.Write(ctx, func(t batch.Tx) error {
				if _, err := t.Head(); err != nil {
					return err
				}
				stop()
				_, err := t.Read(batch.Question{})
				return err
			})
		})
	case "stand at a row":
		return stand(func(stop func()) error {
			return db.Transact(ctx, func(tx *sql.Tx) error {
				if _, err := tx.ExecContext(ctx, "UPDATE haproxyaccess.positions SET revision = 7 WHERE sink = 's'"); err != nil {
					return err
				}
				stop()
				return nil
			})
		})
	case "race":
		return storetest.Race(ctx, db, raceTransitions, os.Stdout)
	case "once":
		// Open and prepared: what comes over the connection from now on is the commit alone.
		if _, err := fmt.Println("ready"); err != nil {
			return err
		}
		var go1 string
		if _, err := fmt.Scanln(&go1); err != nil {
			return err
		}
		if _, err := db.Commit(ctx, storetest.OneChange(go1)); err != nil {
			return err
		}
		_, err := fmt.Println("acknowledged")
		return err
	default:
		return fmt.Errorf("no job %q", job)
	}
}
