package accesslog

import (
	"context"
	"time"
)

// Use is what became of a grant on a node since the last report of it. Zero times and counts say nothing.
type Use struct {
	GrantID, Node string
	// When the first and the last of Admitted requests were decided about, by HAProxy's clock, in milliseconds.
	FirstAdmitted, LastAdmitted time.Time
	// When the first of RefusedAfter requests was refused whose token was issued for this grant, and for which the node
	// had no row of it, or one that had expired. A token that is older than the row on a node that is slow to get it is
	// counted here as well: the times tell.
	FirstRefusedAfter      time.Time
	Admitted, RefusedAfter int64
}

// add joins two reports of the same grant and node.
func (u *Use) add(more Use) {
	u.FirstAdmitted = earlier(u.FirstAdmitted, more.FirstAdmitted)
	u.FirstRefusedAfter = earlier(u.FirstRefusedAfter, more.FirstRefusedAfter)
	if more.LastAdmitted.After(u.LastAdmitted) {
		u.LastAdmitted = more.LastAdmitted
	}
	u.Admitted += more.Admitted
	u.RefusedAfter += more.RefusedAfter
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Sink keeps uses durably.
type Sink interface {
	// Report adds them to what is known: first stays first, last goes forward, counts add up. After an error they are
	// reported again, so where one was kept in spite of its error its counts are too high, never too low.
	Report(ctx context.Context, uses []Use) error
}

// Observer is told what happens; it must not block.
type Observer interface {
	// Counted says what became of the datagrams since the last call: at each report, and at the end.
	Counted(c Counts)
	// Failed says that the Sink did not take a report; what was in it is kept and reported again.
	Failed(err error)
}

// Counts are datagrams, by what became of them, but for Lost.
type Counts struct {
	Admitted, Refused int64 // counted as uses
	Other             int64 // a line that says nothing of a grant's use
	Unattributed      int64 // a refusal for want of a row, by a token that names no grant
	Malformed         int64 // no access log line of ours, or of another time
	UnknownNode       int64
	Sender            int64 // from a sender that is not allowed
	Oversize          int64
	Overflow          int64 // the queue was full
	Kernel            int64 // the system's queue was full (UDP on Linux)
	// Lost are requests that had been counted as uses, and were given up: the Sink did not take them, and there were more
	// grants than are kept, or the end had come.
	Lost int64
}

func (c *Counts) add(more Counts) {
	c.Admitted += more.Admitted
	c.Refused += more.Refused
	c.Other += more.Other
	c.Unattributed += more.Unattributed
	c.Malformed += more.Malformed
	c.UnknownNode += more.UnknownNode
	c.Sender += more.Sender
	c.Oversize += more.Oversize
	c.Overflow += more.Overflow
	c.Kernel += more.Kernel
	c.Lost += more.Lost
}
