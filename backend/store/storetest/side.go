package storetest

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func testAuditRows(t *testing.T, h Harness) {
	s := h(t)()
	write := func(at time.Time, request []byte) int64 {
		t.Helper()
		id, err := s.WriteAudit(t.Context(), at, request)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first, second, third := write(noon, []byte{0, 1, 255}), write(noon, nil), write(noon.Add(-time.Hour), []byte("x"))
	if !(0 < first && first < second && second < third) {
		t.Fatalf("IDs %d, %d, %d do not go up", first, second, third)
	}
	wantError(t, s.FinishAudit(t.Context(), third+1, []byte("r")), store.ErrNotFound)
	wantError(t, s.FinishAudit(t.Context(), 0, []byte("r")), store.ErrNotFound)
	for id, response := range map[int64][]byte{first: {7, 0}, second: nil} {
		if err := s.FinishAudit(t.Context(), id, response); err != nil {
			t.Fatal(err)
		}
		wantError(t, s.FinishAudit(t.Context(), id, []byte("again")), store.ErrConflict)
	}
	rows, err := s.ReadAudit(t.Context(), noon.Add(-time.Hour), noon.Add(time.Hour), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	equal(t, "row", rows[0], store.AuditRow{ID: first, At: noon, Request: []byte{0, 1, 255}, Response: []byte{7, 0}})
	if rows[1].Response == nil || len(rows[1].Response) != 0 || len(rows[1].Request) != 0 {
		t.Errorf("an answer without content is read as %#v", rows[1])
	}
	if rows[2].Response != nil || !bytes.Equal(rows[2].Request, []byte("x")) || !rows[2].At.Equal(noon.Add(-time.Hour)) {
		t.Errorf("a row without an answer is read as %#v", rows[2])
	}
}

func testAuditReading(t *testing.T, h Harness) {
	s := h(t)()
	var all []int64
	for n := range 7 {
		id, err := s.WriteAudit(t.Context(), noon.Add(time.Duration(n)*time.Second), []byte{byte(n)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	second := func(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }
	tests := []struct {
		name       string
		start, end time.Time
		after      int64
		limit      int
		want       []int64
	}{
		{"all", second(0), second(100), 0, 100, all},
		{"start is in, end is not", second(2), second(4), 0, 100, all[2:4]},
		{"a nanosecond after the start", second(2).Add(1), second(4), 0, 100, all[3:4]},
		{"a nanosecond after the end", second(2), second(4).Add(1), 0, 100, all[2:5]},
		{"nothing between", second(2.1), second(2.9), 0, 100, nil},
		{"an empty time", second(3), second(3), 0, 100, nil},
		{"from ever to ever", time.Time{}, second(1e6), 0, 100, all},
		{"to the end of all times", second(0), time.UnixMilli(math.MaxInt64), 0, 100, all},
		{"limit", second(0), second(100), 0, 3, all[:3]},
		{"the page after", second(0), second(100), all[2], 3, all[3:6]},
		{"the last page", second(0), second(100), all[5], 3, all[6:]},
		{"after the last", second(0), second(100), all[6], 3, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows, err := s.ReadAudit(t.Context(), test.start, test.end, test.after, test.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range rows {
				got = append(got, r.ID)
			}
			equal(t, "rows", got, test.want)
		})
	}
}

func testPositions(t *testing.T, h Harness) {
	s := h(t)()
	expect := func(sink string, want int64) {
		t.Helper()
		got, err := s.Position(t.Context(), sink)
		if err != nil || got != want {
			t.Fatalf("%s is at %d, %v; want %d", sink, got, err, want)
		}
	}
	set := func(sink string, to int64) {
		t.Helper()
		if err := s.SetPosition(t.Context(), sink, to); err != nil {
			t.Fatal(err)
		}
	}
	expect("one", 0)
	set("one", 5)
	expect("one", 5)
	expect("two", 0)
	set("two", 1<<40)
	set("one", 6)
	expect("one", 6)
	expect("two", 1<<40)
	set("one", 2) // a person may have a sink told again
	expect("one", 2)
}

func testKeys(t *testing.T, h Harness) {
	s := h(t)()
	list := func() []store.Key {
		t.Helper()
		keys, err := s.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if len(list()) != 0 {
		t.Fatal("a new store has keys")
	}
	newer := store.Key{KID: "a", Alg: "RS256", Public: []byte("pem"), Sealed: []byte{0, 1, 2}, State: "next", Created: noon.Add(time.Hour)}
	older := store.Key{KID: "b", Alg: "RS256", Public: []byte("pem2"), Sealed: []byte{3}, State: "signing", Created: noon}
	for _, k := range []store.Key{newer, older} {
		if err := s.AddKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "keys, oldest first", list(), []store.Key{older, newer})

	forged := older
	forged.Public, forged.State = []byte("other"), "next"
	wantError(t, s.AddKey(t.Context(), forged), store.ErrConflict)
	wantError(t, s.SetKeyState(t.Context(), "b", "next", "retired"), store.ErrConflict)
	wantError(t, s.SetKeyState(t.Context(), "c", "next", "retired"), store.ErrConflict)
	equal(t, "keys after what was refused", list(), []store.Key{older, newer})

	if err := s.SetKeyState(t.Context(), "b", "signing", "retired"); err != nil {
		t.Fatal(err)
	}
	older.State = "retired"
	equal(t, "keys", list(), []store.Key{older, newer})
}

func testReopeningKeepsAll(t *testing.T, h Harness) {
	open := h(t)
	s := open()
	population(t, s)
	key := store.Replay{Caller: alice, Method: "m", Key: "k", Body: [32]byte{1}, At: noon}
	if _, err := s.Commit(t.Context(), store.Change{Replay: &key}); err != nil {
		t.Fatal(err)
	}
	signing := store.Key{KID: "a", Alg: "RS256", Public: []byte("p"), Sealed: []byte("s"), State: "next", Created: noon}
	id, err := s.WriteAudit(t.Context(), noon, []byte("request"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.AddKey(t.Context(), signing), s.SetPosition(t.Context(), "sink", 3), s.FinishAudit(t.Context(), id, []byte("response")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, snapshot, audit := log(t, s), snap(t, s), auditRows(t, s)
	grants, err := readable(s.List(t.Context(), store.Query{Limit: 100}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open()
	equal(t, "log", log(t, s), entries)
	equal(t, "snapshot", snap(t, s), snapshot)
	equal(t, "audit", auditRows(t, s), audit)
	again, err := readable(s.List(t.Context(), store.Query{Limit: 100}))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "grants", again, grants)
	replay, err := s.Replayed(t.Context(), alice, "m", "k")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "idempotency key", replay, key)
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "keys", keys, []store.Key{signing})
	if position, err := s.Position(t.Context(), "sink"); err != nil || position != 3 {
		t.Fatalf("position %d, %v", position, err)
	}
	// The log goes on where it ended, revision and chain.
	if got, want := commit(t, s, asked("g6", bob, billing, noon)), snapshot.Revision+1; got != want {
		t.Fatalf("revision %d after reopening, want %d", got, want)
	}
	if err := VerifyChain(log(t, s)); err != nil {
		t.Fatal(err)
	}
}

func auditRows(t *testing.T, s Store) []store.AuditRow {
	t.Helper()
	rows, err := s.ReadAudit(t.Context(), time.Time{}, noon.Add(time.Hour), 0, 100)
	if err != nil || len(rows) == 0 {
		t.Fatalf("audit rows: %d, %v", len(rows), err)
	}
	return rows
}
