package dataplane_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// linesOf makes n entries whose lines, blank and newline included, have a length.
func linesOf(n, length int) []dataplane.Entry {
	entries := make([]dataplane.Entry, n)
	for i := range entries {
		entries[i] = dataplane.Entry{Key: fmt.Sprintf("k%05d", i), Value: strings.Repeat("v", length-8)}
	}
	return entries
}

func TestBulkUpToEightKiBIsRefusedAndNotCalled(t *testing.T) {
	s, c := start(t)
	for name, entries := range map[string][]dataplane.Entry{
		"none": nil, "one": {row}, "8192 bytes": linesOf(32, 256), // 32 * 256
	} {
		err := c.ReplaceMap(ctx(t), grants, entries)
		if !errors.Is(err, dataplane.ErrTooSmall) || len(s.Calls()) != 0 {
			t.Errorf("%s: error %v after %d calls", name, err, len(s.Calls()))
		}
	}
	noError(t, c.ReplaceMap(ctx(t), grants, append(linesOf(32, 256), dataplane.Entry{Key: "a", Value: "b"})))
}

func TestBulkReplacesTheWholeMap(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		memory(s, row)
		want := manyEntries(300)
		noError(t, c.ReplaceMap(ctx(t), grants, want))
		if diff := cmp.Diff(want, s.Memory(grants)); diff != "" {
			t.Fatalf("memory (-want +got):\n%s", diff)
		}
		call := s.Calls()[0]
		if !strings.HasSuffix(call.Path, "/services/haproxy/runtime/maps/grants.map") || call.Method != http.MethodPut || call.Query != "" {
			t.Fatalf("call is %s %s?%s", call.Method, call.Path, call.Query)
		}
	})
}

// The lengths are those of which the real API was seen to lose, double or merely add lines: 8192 is a multiple of 256
// and 64, and 122 lines of 67 bytes fill a chunk with less than a line to spare.
func TestBulkLosesAndDoublesNoLineAtTheEdgeOfAChunk(t *testing.T) {
	filled := linesOf(244, 67) // the last line ends its chunk to the byte
	filled[243].Value += strings.Repeat("w", 8192-122*67)
	var longest []dataplane.Entry
	for i := range 17 {
		longest = append(longest, dataplane.Entry{Key: fmt.Sprintf("%0256d", i), Value: strings.Repeat("v", 256)})
	}
	for name, entries := range map[string][]dataplane.Entry{
		"33 of 256": linesOf(33, 256), "40 of 256": linesOf(40, 256), "63 of 256": linesOf(63, 256),
		"64 of 256": linesOf(64, 256), "65 of 256": linesOf(65, 256), "129 of 64": linesOf(129, 64), "256 of 64": linesOf(256, 64),
		"123 of 67": linesOf(123, 67), "244 of 67": linesOf(244, 67), "245 of 67": linesOf(245, 67), "filled": filled,
		"17 of 514": longest,
	} {
		s, c := start(t)
		memory(s, row)
		noError(t, c.ReplaceMap(ctx(t), grants, entries))
		if got := s.Memory(grants); !slices.Equal(got, entries) {
			t.Errorf("%s: the map holds %d entries", name, len(got))
		}
	}
}

func TestBulkOfAnyLengthsArrivesWhole(t *testing.T) {
	s, c := start(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var entries []dataplane.Entry
		shape := 8 + random.IntN(240)
		spread := 1 + random.IntN(3)*random.IntN(9)
		for size := 0; size <= 8192 || random.IntN(60) > 0; {
			e := dataplane.Entry{Key: fmt.Sprintf("k%06d", len(entries)), Value: strings.Repeat("v", shape+random.IntN(spread))}
			entries = append(entries, e)
			size += len(e.Key) + len(e.Value) + 2
		}
		noError(t, c.ReplaceMap(ctx(t), grants, entries))
		if got := s.Memory(grants); !slices.Equal(got, entries) {
			t.Fatalf("%d entries of %d to %d bytes: the map holds %d", len(entries), shape, shape+spread, len(got))
		}
	}
}

func TestBulkWithADoubleIsRefused(t *testing.T) {
	_, c := start(t)
	wantIs(t, c.ReplaceMap(ctx(t), grants, append(manyEntries(300), manyEntries(1)...)), dataplane.ErrInvalid)
}

func TestBulkMayTakeLongerThanOtherCalls(t *testing.T) {
	s, _ := start(t)
	o := s.Options()
	o.Timeout, o.BulkTimeout = 50*time.Millisecond, 30*time.Second
	c, err := dataplane.New(o)
	noError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Discover(ctx(t))
	noError(t, err)
	s.SetDelay(func(dataplanetest.Call) time.Duration { return 300 * time.Millisecond })
	s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.SlowAnswer })
	noError(t, c.ReplaceMap(ctx(t), grants, manyEntries(300)))
	wantIs(t, c.AddEntry(ctx(t), grants, row), context.DeadlineExceeded)
}
