package access

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Logins is the Directory of a gateway that has no other: a person's groups are those of their last verified login.
type Logins struct {
	store store.Logins
	now   func() time.Time
	// changed is told when a login shows that somebody's groups are others than before.
	changed func()
}

// loginSource is the source of a membership that Logins knows.
const loginSource = "login"

// memberAge is how long ago somebody may have logged in last to be named as a member of a group.
const memberAge = 90 * 24 * time.Hour

// NewLogins makes one over its store. changed, if not nil, is told when a login shows other groups than the one before;
// it must not block.
func NewLogins(s store.Logins, now func() time.Time, changed func()) *Logins {
	if changed == nil {
		changed = func() {}
	}
	return &Logins{store: s, now: now, changed: changed}
}

// Seen implements Directory. A login from the future counts as one of now: it must not outlast the next. It answers what the
// store has kept in the end: another gateway may have kept a later login meanwhile.
func (d *Logins) Seen(ctx context.Context, l Login) (Membership, error) {
	at := l.At.Truncate(time.Millisecond)
	if now := d.now().Truncate(time.Millisecond); at.After(now) {
		at = now
	}
	groups := slices.Clone(l.Groups)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	known, err := d.store.Login(ctx, l.Subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Membership{}, err
	}
	first := err != nil
	latest := d.now().Add(maxSkew)
	// One that is dated ahead, by a clock that was wrong, must not hold against those that come after.
	if !first && !known.At.After(latest) && (at.Before(known.At) || at.Equal(known.At) && slices.Equal(known.Groups, groups)) {
		return byLogin(known), nil
	}
	if err := d.store.RememberLogin(ctx, store.Login{Subject: l.Subject, Groups: groups, At: at}, latest); err != nil {
		return Membership{}, err
	}
	kept, err := d.store.Login(ctx, l.Subject)
	if err != nil {
		return Membership{}, err
	}
	if !first && !slices.Equal(known.Groups, kept.Groups) {
		d.changed()
	}
	return byLogin(kept), nil
}

func byLogin(l store.Login) Membership {
	return Membership{Groups: l.Groups, Source: loginSource, At: l.At}
}

// Membership implements Directory.
func (d *Logins) Membership(ctx context.Context, s grant.Subject) (Membership, bool, error) {
	l, err := d.store.Login(ctx, s)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Membership{}, false, nil
	case err != nil:
		return Membership{}, false, err
	}
	return byLogin(l), true, nil
}

// Members implements Directory. It knows those who have logged in within the last 90 days.
func (d *Logins) Members(ctx context.Context, group string, limit int) ([]grant.Subject, error) {
	return d.store.Members(ctx, group, d.now().Add(-memberAge), limit)
}
