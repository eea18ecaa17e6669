package grant

import (
	"errors"
	"fmt"
	"time"
)

// ErrLock is wrapped by every error that says what is wrong with a lock.
var ErrLock = errors.New("not a lock")

// Lock stops new access and ends what there is, for everything that it covers: every field that is set must fit. One
// without any is for everything. It holds until Until, or until it is lifted; that brings nothing back.
type Lock struct {
	ID          string
	Subject     Subject // the one who asks, or the owner of the agent that does
	Environment string
	Pool        string // with an environment only
	Reason      string
	By          Subject
	At          time.Time
	Until       time.Time
	LiftedBy    Subject
	LiftedAt    time.Time // zero while it was not lifted
}

// NewLock checks and makes a lock that begins at the time at. Errors wrap ErrLock.
func NewLock(l Lock, at time.Time) (Lock, error) {
	l.At, l.Until = normalize(at), normalize(l.Until)
	if l.ID == "" || l.By == "" || l.Reason == "" {
		return Lock{}, fmt.Errorf("%w: it has an id, a reason, and somebody who puts it", ErrLock)
	}
	if l.Pool != "" && l.Environment == "" {
		return Lock{}, fmt.Errorf("%w: a pool is one of an environment; name both", ErrLock)
	}
	if !l.Until.After(l.At) {
		return Lock{}, fmt.Errorf("%w: it would end before it begins", ErrLock)
	}
	if l.LiftedBy != "" || !l.LiftedAt.IsZero() {
		return Lock{}, fmt.Errorf("%w: it was lifted already", ErrLock)
	}
	if l.Subject != "" {
		if _, err := ParseSubject(string(l.Subject)); err != nil {
			return Lock{}, fmt.Errorf("%w: the subject is %w", ErrLock, err)
		}
	}
	pool := l.Pool
	if pool == "" {
		pool = "any" // there is no check for an environment alone
	}
	if l.Environment != "" {
		if _, err := NewPool(l.Environment, pool); err != nil {
			return Lock{}, fmt.Errorf("%w: the pool is %w", ErrLock, err)
		}
	}
	return l, nil
}

// Lift ends a lock before its time. Errors wrap ErrLock: it has ended already, or nobody lifts it.
func (l Lock) Lift(by Subject, at time.Time) (Lock, error) {
	at = normalize(at)
	if by == "" {
		return Lock{}, fmt.Errorf("%w to be lifted by nobody", ErrLock)
	}
	if !l.Holds(at) {
		return Lock{}, fmt.Errorf("%w any more: it has ended", ErrLock)
	}
	l.LiftedBy, l.LiftedAt = by, at
	return l, nil
}

// Holds reports whether the lock is in force at the time at.
func (l Lock) Holds(at time.Time) bool { return l.LiftedAt.IsZero() && at.Before(l.Until) }

// Covers reports whether the lock is for access of the subject, or of an agent of the owner, to the pool.
func (l Lock) Covers(subject, owner Subject, p Pool) bool {
	return (l.Subject == "" || l.Subject == subject || l.Subject == owner) &&
		(l.Environment == "" || l.Environment == p.Environment) &&
		(l.Pool == "" || l.Pool == p.Name)
}
