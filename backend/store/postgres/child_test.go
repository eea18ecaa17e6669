package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"

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
