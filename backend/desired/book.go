package desired

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Book is the rows of the active grants of one moment, made once for many nodes: most of them serve the same pools, and
// then hold the same sheet. It is safe for concurrent use.
type Book struct {
	entries []entry // sorted by key

	mu     sync.Mutex
	sheets map[string]*Sheet // by the pools
}

// entry is the row of one grant, with what decides whether a node has it.
type entry struct {
	row     Row
	id      string
	pool    string
	expires time.Time
	given   time.Time
}

// NewBook makes the rows of those grants that are active.
func NewBook(grants []grant.Grant) *Book {
	b := &Book{entries: make([]entry, 0, len(grants)), sheets: map[string]*Sheet{}}
	for _, g := range grants {
		if g.State == grant.Active {
			b.entries = append(b.entries, entry{
				row: Row{RowKey(g.Subject, g.Pool), RowValue(g)}, id: g.ID, pool: g.Pool.String(), expires: g.ExpiresAt,
				given: g.GivenAt,
			})
		}
	}
	slices.SortStableFunc(b.entries, func(x, y entry) int { return strings.Compare(x.row.Key, y.row.Key) })
	return b
}

// Given lists the ids of those grants that were given, or extended, not before since.
func (b *Book) Given(since time.Time) []string {
	var ids []string
	for _, e := range b.entries {
		if !e.given.Before(since) {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// sheet is what grants.map of a node with these pools must hold at the time now.
func (b *Book) sheet(pools Table, now time.Time) *Sheet {
	name := strings.Join(slices.Sorted(maps.Keys(pools)), "\n")
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sheets[name]; s != nil && s.holds(now) {
		return s
	}
	s := b.newSheet(pools, now)
	b.sheets[name] = s
	return s
}

func (b *Book) newSheet(pools Table, now time.Time) *Sheet {
	t := make(Table, len(b.entries))
	rows := make([]Row, 0, len(b.entries))
	var next time.Time
	for _, e := range b.entries {
		if _, served := pools[e.pool]; !served || !now.Before(e.expires) {
			continue
		}
		t[e.row.Key] = e.row.Value
		if n := len(rows); n > 0 && rows[n-1].Key == e.row.Key {
			rows = rows[:n-1] // the last of a key counts
		}
		rows = append(rows, e.row)
		if next.IsZero() || e.expires.Before(next) {
			next = e.expires
		}
	}
	s := newSheet(t, rows)
	s.Next, s.made = next, now
	return s
}

// Sheet is a table with what is worked out of it once. Nobody may change it. It is safe for concurrent use.
type Sheet struct {
	Table Table
	// Text is the map's file.
	Text []byte
	// Next is when the first of its rows expires; zero if none does.
	Next time.Time

	made time.Time
	rows []Row
	err  error

	mu    sync.Mutex
	older *Sheet // changes lead from it
	since Changes
}

// NewSheet makes the sheet of a table.
func NewSheet(t Table) *Sheet { return newSheet(t, t.Rows()) }

func newSheet(t Table, rows []Row) *Sheet {
	s := &Sheet{Table: t, rows: rows}
	s.Text, s.err = text(s.rows), check(s.rows)
	return s
}

// Check reports the first row that must not reach a node.
func (s *Sheet) Check() error { return s.err }

// holds reports whether the sheet is that of the time now too.
func (s *Sheet) holds(now time.Time) bool {
	return !now.Before(s.made) && (s.Next.IsZero() || now.Before(s.Next))
}

// Since are the changes that lead from an older sheet to this one. Many nodes ask for the same: it is worked out once.
func (s *Sheet) Since(older *Sheet) Changes {
	if s == older {
		return Changes{}
	}
	changes := s.changes(older)
	older.forget() // else each sheet would keep all before it
	return changes
}

func (s *Sheet) changes(older *Sheet) Changes {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.older != older {
		s.older, s.since = older, s.leadFrom(older)
	}
	return s.since
}

func (s *Sheet) leadFrom(older *Sheet) Changes {
	if s.err != nil || older.err != nil {
		return s.Diff(older.rows)
	}
	return merge(s.rows, older.rows)
}

// Rows are the table's, sorted by key.
func (s *Sheet) Rows() []Row { return s.rows }

// Diff compares the rows of a running map with the sheet: see Diff. What is right, in whatever order, costs little.
func (s *Sheet) Diff(have []Row) Changes {
	if slices.Equal(s.rows, have) {
		return Changes{}
	}
	if len(s.rows) == len(have) {
		sorted := slices.Clone(have)
		slices.SortFunc(sorted, byKey)
		if slices.Equal(s.rows, sorted) { // no key twice: the sheet has none
			return Changes{}
		}
	}
	return diff(s.Table, s.rows, have)
}

func (s *Sheet) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.older, s.since = nil, Changes{}
}

// Sheets are the content of the maps of a node.
type Sheets map[Map]*Sheet

// Build is what a node must hold at the time now: fixed, which follows from the configuration and the keys (Hosts, Pools
// and KIDs), and the rows of the grants that are active and not expired, for the pools that fixed has. Leases are not in
// it: they are given for a pass that succeeded (see Lease). fixed is not changed.
func Build(fixed State, book *Book, now time.Time) Sheets {
	return Sheets{
		Grants: book.sheet(fixed[Pools], now), Hosts: NewSheet(fixed[Hosts]), Pools: NewSheet(fixed[Pools]),
		KIDs: NewSheet(fixed[KIDs]),
	}
}

// check reports the first row that must not reach a node.
func check(rows []Row) error {
	for _, r := range rows {
		if !CanSend(r.Key) || !CanSend(r.Value) {
			return fmt.Errorf("row with the key %q cannot be put into a map", r.Key)
		}
	}
	return nil
}
