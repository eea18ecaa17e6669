package reconcile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// endsKept bounds the ends that a node has not carried out yet and that are remembered. Beyond it the oldest are not
// reported one by one; they are enforced all the same.
const endsKept = 1 << 14

// recent is how long ago a grant may have been given for its row to be reported when it is found by a gateway that has not
// written it: the one that did may have ended before it reported.
const recent = 10 * time.Minute

// record is what is to be told of grants on one node.
type record struct {
	begun bool
	seen  int64 // ends up to this revision are in ends
	ends  []end
	// written are grants whose rows were written and not read back yet, by id.
	written map[string]writing
	found   bool // the rows that were there at first are reported
}

// writing is when the row of a grant was written.
type writing struct {
	key string
	at  time.Time
}

// end is the end of a grant that is not reported yet.
type end struct {
	Ending
	verified bool // in memory and file
}

// begin begins after what was enforced when the writer before last said so; with what is to come where nobody has.
func (r *record) begin(revision int64, known map[string]int64) {
	r.begun, r.seen = true, revision
	for _, enforced := range known {
		r.seen = min(r.seen, enforced)
	}
}

// note takes in what a pass has read and done, however it ended. known is what was enforced before it.
func (r *record) note(p *pass, t Target, known map[string]int64) {
	if r.written == nil {
		r.written = map[string]writing{}
	}
	maps.Copy(r.written, p.written)
	if p.content == nil {
		return
	}
	if !r.begun || p.content.revision < r.seen {
		r.begin(p.content.revision, known)
	}
	for _, e := range p.content.ended(r.seen) {
		r.seen = e.Revision
		if t.serves(e.Pool.Environment) {
			r.ends = append(r.ends, end{Ending: e})
		}
	}
	r.noteGone(p)
	r.ends = r.ends[max(0, len(r.ends)-endsKept):]
}

// noteGone adds rows that went though the store has told of no end: it ended before this process began. A row that expired
// will be told of.
func (r *record) noteGone(p *pass) {
	for key, value := range p.gone {
		expiry, id, ok := strings.Cut(value, ":")
		at, err := strconv.ParseInt(expiry, 10, 64)
		_, pool, _ := strings.Cut(key, "|")
		environment, name, _ := strings.Cut(pool, "/")
		if !ok || err != nil || strings.HasSuffix(p.wanted(key), ":"+id) || r.knows(id) || p.tells() && at <= p.result.Read.Unix() {
			continue
		}
		r.ends = append(r.ends, end{Ending: Ending{
			GrantID: id, Pool: grant.Pool{Environment: environment, Name: name}, Revision: p.result.Revision, At: p.result.Read,
		}})
	}
}

func (p *pass) wanted(key string) string {
	if p.want == nil {
		return ""
	}
	return p.want[desired.Grants].Table[key]
}

// tells reports whether the store tells of ends.
func (p *pass) tells() bool { return p.feed.endings != nil }

func (r *record) knows(id string) bool {
	return slices.ContainsFunc(r.ends, func(e end) bool { return e.GrantID == id })
}

// pending counts the ends that are not in force yet.
func (r *record) pending() int { return len(r.ends) }

// verified marks the ends that a pass has found in force in memory and file, and answers those that it was the first to.
func (r *record) verified(revision int64, now time.Time) []Removal {
	var removals []Removal
	for i := range r.ends {
		e := &r.ends[i]
		if !e.verified && e.Revision <= revision {
			e.verified = true
			removals = append(removals, Removal{GrantID: e.GrantID, EndedAt: e.At, VerifiedAt: now})
		}
	}
	return removals
}

// reports are what a pass that succeeded has to tell: rows that were read back, and ends that are in force everywhere on
// the node.
func (r *record) reports(p *pass, enforced map[string]int64, now time.Time) []Report {
	var reports []Report
	for id, w := range r.written {
		if _, there, _ := strings.Cut(p.wanted(w.key), ":"); there != id {
			continue // it has ended meanwhile
		}
		reports = append(reports, Report{GrantID: id, Revision: p.result.Revision, WrittenAt: w.at, VerifiedAt: now})
	}
	if !r.found {
		for _, id := range p.content.book.Given(p.result.Read.Add(-recent)) {
			if _, written := r.written[id]; !written {
				reports = append(reports, Report{GrantID: id, Revision: p.result.Revision, VerifiedAt: now})
			}
		}
	}
	r.written, r.found = map[string]writing{}, true
	r.ends = slices.DeleteFunc(r.ends, func(e end) bool {
		if e.Revision > enforced[e.Pool.Environment] {
			return false
		}
		reports = append(reports, Report{GrantID: e.GrantID, Revision: e.Revision, RemovedAt: now})
		return true
	})
	return reports
}
