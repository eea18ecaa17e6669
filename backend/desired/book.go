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
	entries []*entry // sorted by key and id; none is changed

	mu     sync.Mutex
	sheets map[string]*Sheet // by the pools
}

// entry is the row of one grant, with what decides whether a node has it.
type entry struct {
	row     Row
	id      string
	subject grant.Subject
	in      grant.Pool
	pool    string
	expires time.Time
	given   time.Time
	err     error // the row must not reach a node
}

func newEntry(g grant.Grant) *entry {
	e := &entry{
		row: Row{RowKey(g.Subject, g.Pool), RowValue(g)}, id: g.ID, subject: g.Subject, in: g.Pool, pool: g.Pool.String(),
		expires: g.ExpiresAt, given: g.GivenAt,
	}
	e.err = check(e.row)
	return e
}

// is reports whether it is what newEntry makes of the grant.
func (e *entry) is(g grant.Grant) bool {
	return e.id == g.ID && e.subject == g.Subject && e.in == g.Pool && e.expires.Equal(g.ExpiresAt) && e.given.Equal(g.GivenAt)
}

// NewBook makes the rows of those grants that are active.
func NewBook(grants []grant.Grant) *Book { return (&Book{}).Renew(grants) }

// Renew is the book of other grants, made of this one where they are the same: what is worked out anew is what differs.
// The book itself stays as it is, and is the answer if nothing differs.
func (b *Book) Renew(grants []grant.Grant) *Book {
	active := make(map[string]int, len(grants))
	for i, g := range grants {
		if g.State == grant.Active {
			active[g.ID] = i
		}
	}
	kept := make([]*entry, 0, len(active))
	for _, e := range b.entries {
		if i, there := active[e.id]; there && e.is(grants[i]) {
			kept = append(kept, e)
			delete(active, e.id)
		}
	}
	if len(active) == 0 && len(kept) == len(b.entries) && b.sheets != nil {
		return b
	}
	fresh := make([]*entry, 0, len(active))
	for _, i := range active {
		fresh = append(fresh, newEntry(grants[i]))
	}
	slices.SortFunc(fresh, compareEntries)
	return &Book{entries: mergeEntries(kept, fresh), sheets: map[string]*Sheet{}}
}

// compareEntries is the order of a book: of one key the grant with the last id counts, whatever was there before.
func compareEntries(x, y *entry) int {
	if c := strings.Compare(x.row.Key, y.row.Key); c != 0 {
		return c
	}
	return strings.Compare(x.id, y.id)
}

func mergeEntries(a, b []*entry) []*entry {
	if len(b) == 0 {
		return a
	}
	all := make([]*entry, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareEntries(a[0], b[0]) < 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
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
	var err error
	for _, e := range b.entries {
		if _, served := pools[e.pool]; !served || !now.Before(e.expires) {
			continue
		}
		if err == nil {
			err = e.err
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
	s := &Sheet{Table: t, Text: text(rows), rows: rows, err: err}
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
func NewSheet(t Table) *Sheet {
	rows := t.Rows()
	return &Sheet{Table: t, Text: text(rows), rows: rows, err: check(rows...)}
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
func check(rows ...Row) error {
	for _, r := range rows {
		if !CanSend(r.Key) || !CanSend(r.Value) {
			return fmt.Errorf("row with the key %q cannot be put into a map", r.Key)
		}
	}
	return nil
}
