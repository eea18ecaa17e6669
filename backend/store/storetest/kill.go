package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Acknowledge commits whole lives of grants, several events a change, and says so on w after each: "<id> <revision>".
// It goes on until the process is killed, or for ever.
func Acknowledge(s Store, w io.Writer) error {
	ctx := context.Background()
	first, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	for n := first.Revision; ; n++ {
		id := fmt.Sprintf("k%d", n)
		revision, err := s.Commit(ctx, store.Change{Events: opened(id, grant.Subject("service:"+id), billing, noon)})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s %d\n", id, revision); err != nil {
			return err
		}
	}
}

// Kill runs child, which calls Acknowledge on its standard output, kills it with SIGKILL at a random moment after its
// first words, and checks what open then finds: all that was acknowledged, no half change, and a chain that verifies.
// It does so rounds times on the same data.
func Kill(t *testing.T, child func() *exec.Cmd, open func() Store, rounds int) {
	acknowledged := map[string]int64{}
	for range rounds {
		for id, revision := range runAndKill(t, child()) {
			acknowledged[id] = revision
		}
		s := open()
		commit(t, s) // waits for its turn: a server may still be at what the killed process has asked for
		entries := log(t, s)
		if err := VerifyChain(entries); err != nil {
			t.Fatal(err)
		}
		if len(entries)%3 != 0 {
			t.Fatalf("%d events: a change of three was cut in two", len(entries))
		}
		for id, revision := range acknowledged {
			if r := record(t, s, id); r.Revision != revision || r.Grant.State != grant.Active {
				t.Fatalf("%s was acknowledged at revision %d, and is %s at %d", id, revision, r.Grant.State, r.Revision)
			}
		}
		if err := checkSnapshot(snap(t, s), entries); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d changes were acknowledged in %d lives", len(acknowledged), rounds)
}

func runAndKill(t *testing.T, cmd *exec.Cmd) map[string]int64 {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A child that hangs or says nothing is killed as well, and the empty answer fails below.
	hang := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	said := map[string]int64{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, number, found := strings.Cut(lines.Text(), " ")
		revision, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil {
			t.Errorf("the child said %q", lines.Text())
			continue
		}
		if len(said) == 0 { // a random moment from now on; the loop reads what is said until then
			time.AfterFunc(rand.N(200*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
		said[id] = revision
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	if len(said) == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return said
}

// OneChange is a whole way to an active grant of that name, with its idempotency key.
func OneChange(id string) store.Change {
	who := grant.Subject("service:" + id)
	return store.Change{Events: opened(id, who, billing, noon), Replay: &store.Replay{Caller: who, Method: "m", Key: id, Ref: id, At: noon}}
}

// Whole reports whether OneChange was written, and fails where it was in part.
func Whole(t *testing.T, s Store, id string) bool {
	t.Helper()
	r, err := s.Grant(t.Context(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	written := err == nil
	_, err = s.Replayed(t.Context(), grant.Subject("service:"+id), "m", id)
	if written != (err == nil) || err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("%s: its row is there: %v; its key: %v", id, written, err)
	}
	events, err := s.History(t.Context(), store.EventQuery{GrantID: id, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[bool]int{true: 3}[written]; len(events) != want || written && r.Grant.State != grant.Active {
		t.Fatalf("%s: its row is there: %v, as %q; it has %d events", id, written, r.Grant.State, len(events))
	}
	return written
}
