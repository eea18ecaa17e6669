package reconcile

import (
	"slices"
	"strconv"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Kind says how much a pass has looked at.
type Kind string

const (
	// Full looked at memory and files of every map. Only such a pass gives a lease.
	Full Kind = "full"
	// Change carried a few rows over to a node that the pass before it had left right, and looked at those.
	Change Kind = "change"
)

// Result is what a pass that succeeded has reached.
type Result struct {
	Kind Kind
	// Revision of the store that the node's memory and files hold.
	Revision int64
	Worker   Worker
	// Read is when the pass began to read the store, by our clock.
	Read time.Time
	// Leases are the values that the node holds now, and LeaseAge how long ago the read was that the oldest rests on.
	Leases   desired.Table
	LeaseAge time.Duration
	// Rows is how many rows each map holds.
	Rows map[desired.Map]int
	// Writes is the number of calls that changed something, those for the lease apart.
	Writes int
	Took   time.Duration
	Drift  []Drift
	// Removals are ends of grants that this pass was the first to find in force in memory and file.
	Removals []Removal
	// OldWorkers is how many older workers were purged; EldersErr says why they could not be.
	OldWorkers int
	EldersErr  error
	// StreamsCut is how many running streams were ended; StreamsErr says why not all were.
	StreamsCut int
	StreamsErr error

	purged bool // no older worker holds a row that is gone
	cut    bool // no stream runs for a row that is gone
}

// Removal is the end of a grant that a node has carried out.
type Removal struct {
	GrantID string
	// EndedAt is when the end was committed, or, where the store does not tell, when the node's row was first seen too many.
	EndedAt    time.Time
	VerifiedAt time.Time
}

// Lag is how long it took.
func (r Removal) Lag() time.Duration { return max(0, r.VerifiedAt.Sub(r.EndedAt)) }

// Drift is what a pass found that nobody of us had done since the last one. A foreign key may be any text.
type Drift struct {
	Map     desired.Map
	Foreign []string // keys that somebody added
	Changed []string // keys whose value somebody changed
	Missing []string // keys that somebody removed
	Rows    int      // how many of the running map these are
	File    bool     // the file was another than we had written
	InFile  FileRows
	// Unlisted says that a row kept the map from being listed. If the file did not name it, nobody knows which it was, nor what
	// else was there that the file did not have.
	Unlisted bool
}

// FileRows are keys that the file alone tells apart: none that the running map does.
type FileRows struct{ Foreign, Changed, Missing []string }

// newDrift compares what is there with what the last pass left, nil if that is not known, and rows that are stuck with it;
// false if that is the same.
func newDrift(m desired.Map, before *desired.Sheet, v view, left map[string]bool) (Drift, bool) {
	d := Drift{Map: m, Unlisted: v.mended}
	var c desired.Changes
	if before == nil { // only what nobody of us writes is known to be another's
		c.Remove = bare(v.taken)
	} else {
		c = before.Diff(v.found(before))
		d.File = string(v.file) != string(before.Text)
	}
	c.Stuck = slices.DeleteFunc(c.Stuck, func(key string) bool { return left[key] })
	d.Foreign = append(append(d.Foreign, c.Remove...), c.Stuck...)
	d.Changed, d.Missing = keys(c.Set), keys(c.Add)
	if d.File {
		d.InFile = d.inFile(before.Table, v.file)
	}
	d.Rows = c.Len() + len(c.Stuck)
	if d.Unlisted {
		d.Rows = max(d.Rows, 1)
	}
	return d, d.Rows > 0 || d.File
}

func (d Drift) inFile(want desired.Table, file []byte) FileRows {
	known := map[string]bool{}
	for _, key := range slices.Concat(d.Foreign, d.Changed, d.Missing) {
		known[key] = true
	}
	others := func(keys []string) (others []string) {
		for _, key := range keys {
			if !known[key] {
				others = append(others, key)
			}
		}
		return others
	}
	have, _ := desired.Parse(file)
	c := desired.Diff(want, have.Rows())
	return FileRows{Foreign: others(append(c.Remove, c.Stuck...)), Changed: others(keys(c.Set)), Missing: others(keys(c.Add))}
}

// Names are the rows and the file, as text, at most 20.
func (d Drift) Names() []string {
	names := d.rows()
	if d.File {
		names = append(named(names)[:min(len(names), maxNames-1)], string(d.Map)+": file")
	}
	return names
}

// maxNames bounds how many rows are named.
const maxNames = grant.MaxDriftRows

// rows name the rows, at most maxNames.
func (d Drift) rows() []string {
	var rows []string
	for _, kind := range []struct {
		word string
		keys []string
	}{
		{"foreign", d.Foreign}, {"changed", d.Changed}, {"missing", d.Missing},
		{"file: foreign", d.InFile.Foreign}, {"file: changed", d.InFile.Changed}, {"file: missing", d.InFile.Missing},
	} {
		for _, key := range named(kind.keys) {
			rows = append(rows, string(d.Map)+": "+kind.word+" "+shown(key))
		}
	}
	if d.Unlisted {
		rows = append(named(rows)[:min(len(rows), maxNames-1)], string(d.Map)+": a row that kept it from being listed")
	}
	return named(rows)
}

// maxKey bounds what is shown of a key that cannot be ours.
const maxKey = 128

// shown is a key as a log or a page may show it: who put it there may have meant it for one.
func shown(key string) string {
	if desired.CanSend(key) {
		return key
	}
	if len(key) > maxKey {
		return strconv.QuoteToASCII(key[:maxKey]) + "..."
	}
	return strconv.QuoteToASCII(key)
}

func keys(rows []desired.Row) []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.Key)
	}
	return all
}

func named(all []string) []string { return all[:min(len(all), maxNames)] }
