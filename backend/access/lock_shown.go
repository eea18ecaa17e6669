package access

import (
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Whom a lock covers learns that it is there, what it covers, until when, and its id, with which they can ask an operator.
// Its reason may be that somebody suspects them: that, and who put or lifted it, is for those who may list the locks.

func (s *Service) seesLocks(c Caller) bool { return s.isAuditor(c) || s.isOperator(c) }

// covering is the lock that stops new access of the caller to the pool, as they may see it; nil if none does.
func (s *Service) covering(locks []grant.Lock, c Caller, p grant.Pool) *grant.Lock {
	for _, l := range locks {
		if !l.Covers(c.Subject, c.Owner, p) {
			continue
		}
		if !s.seesLocks(c) {
			l = bareLock(l)
		}
		return &l
	}
	return nil
}

func bareLock(l grant.Lock) grant.Lock {
	l.Reason, l.By, l.LiftedBy = "", "", ""
	return l
}

// bareEntry is an entry of the log as whom a lock covers may see it. Its hash stays that of the whole.
func bareEntry(entry store.Entry) store.Entry {
	e := entry.Event
	switch {
	case e.Verb == grant.PutLock, e.Verb == grant.LiftLock:
		e.Actor, e.Comment, e.Lock = "", "", bareLock(e.Lock)
	case e.Grant.Cause == grant.CauseLock:
		e.Grant.EndedBy, e.Grant.Comment = "", bareComment(e.Grant.Comment)
		if e.Verb == grant.Revoke {
			e.Actor, e.Comment = "", bareComment(e.Comment)
		}
	}
	entry.Event, entry.Doc = e, nil // the document is the whole event
	return entry
}

// lockSentence is what whom a lock covers is told.
func lockSentence(l grant.Lock) string {
	return fmt.Sprintf("Access is locked until %s; ask an operator (lock %s).", l.Until.UTC().Format(time.RFC3339), l.ID)
}

// lockComment is what is said of a grant that a lock ends: its subject reads it.
func lockComment(l grant.Lock) string { return fmt.Sprintf("Access was locked (lock %s).", l.ID) }

// bareComment cuts off the reason that versions before wrote behind the lock's id.
func bareComment(comment string) string {
	id, _, _ := strings.Cut(comment, ":")
	return id
}
