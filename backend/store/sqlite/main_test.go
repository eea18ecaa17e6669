package sqlite

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// childDatabase names the database of a child process that is there to be killed.
const childDatabase = "HAPROXY_ACCESS_TEST_CHILD_DATABASE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childDatabase); path != "" {
		fmt.Fprintln(os.Stderr, "child:", child(path))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func child(path string) error {
	db, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	return storetest.Acknowledge(db, os.Stdout)
}
