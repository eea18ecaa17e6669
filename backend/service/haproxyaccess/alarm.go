package haproxyaccess

import (
	"context"

	"go.uber.org/zap"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// alarm is a sink of the outbox that is loud about what nobody may overlook: access in an emergency, a review of it that
// nobody does, locks, and another policy. It writes to the log and counts, so that a team's own alerting carries it to people; Clutch's audit sinks get
// the same events.
type alarm struct{ *observer }

// Name implements audit.Sink.
func (alarm) Name() string { return "alarm" }

// Deliver implements audit.Sink. It never fails.
func (a alarm) Deliver(_ context.Context, entry store.Entry) error {
	e := entry.Event
	switch {
	case e.Verb == grant.Request && e.Grant.BreakGlass:
		a.scope.Counter("break_glass").Inc(1)
		a.log.Warn("access was taken in an emergency, past the approvals", a.about(entry, zap.String("pool", e.Grant.Pool.String()),
			zap.String("grant", e.Grant.ID), zap.Strings("notify", e.Grant.Notify), zap.Time("review_due", e.Grant.Review.DueAt))...)
	case e.Verb == grant.ReviewOverdue:
		a.scope.Counter("review_overdue").Inc(1)
		a.log.Warn("nobody has reviewed in time what was done in an emergency", a.about(entry, zap.String("pool", e.Grant.Pool.String()),
			zap.String("grant", e.Grant.ID), zap.String("subject", string(e.Grant.Subject)), zap.Strings("groups", e.Grant.Review.Groups),
			zap.Strings("notify", e.Grant.Notify), zap.Time("review_due", e.Grant.Review.DueAt))...)
	case e.Verb == grant.LoadPolicy:
		a.scope.Counter("policy").Inc(1)
		what := []zap.Field{
			zap.Int64("revision", entry.Revision), zap.String("policy", e.Grant.Policy), zap.String("hash", e.Grant.PolicyHash),
			zap.String("files", e.Comment), zap.Time("at", e.At),
		}
		if entry.Revision == 1 { // there was none that it takes the place of
			a.log.Info("the first policy is in force", what...)
		} else {
			a.log.Warn("another policy is in force", what...)
		}
	case e.Verb == grant.PutLock:
		a.scope.Counter("lock").Inc(1)
		a.log.Warn("a lock was put", a.about(entry, lockFields(e.Lock)...)...)
	case e.Verb == grant.LiftLock:
		a.scope.Counter("unlock").Inc(1)
		a.log.Warn("a lock was lifted", a.about(entry, lockFields(e.Lock)...)...)
	}
	return nil
}

func (alarm) about(entry store.Entry, more ...zap.Field) []zap.Field {
	return append([]zap.Field{
		zap.Int64("revision", entry.Revision), zap.String("by", string(entry.Event.Actor)), zap.Time("at", entry.Event.At),
		zap.String("reason", entry.Event.Comment),
	}, more...)
}

func lockFields(l grant.Lock) []zap.Field {
	return []zap.Field{
		zap.String("lock", l.ID), zap.String("subject", string(l.Subject)), zap.String("environment", l.Environment),
		zap.String("pool", l.Pool), zap.Time("until", l.Until),
	}
}
