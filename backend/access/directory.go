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

// Seen implements Directory. A login from the future counts as one of now: it must not outlast the next.
func (d *Logins) Seen(ctx context.Context, l Login) (Membership, error) {
	at := l.At.Truncate(time.Millisecond)
	if now := d.now().Truncate(time.Millisecond); at.After(now) {
		at = now
	}
	known, err := d.store.Login(ctx, l.Subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Membership{}, err
	}
	// One that is dated ahead, by a clock that was wrong, must not hold against those that come after.
	if err == nil && !at.After(known.At) && !known.At.After(d.now().Add(maxSkew)) {
		return Membership{Groups: known.Groups, Source: loginSource, At: known.At}, nil
	}
	groups := slices.Clone(l.Groups)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if err := d.store.RememberLogin(ctx, store.Login{Subject: l.Subject, Groups: groups, At: at}, d.now().Add(maxSkew)); err != nil {
		return Membership{}, err
	}
	if err == nil && !slices.Equal(known.Groups, groups) {
		d.changed()
	}
	return Membership{Groups: groups, Source: loginSource, At: at}, nil
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
	return Membership{Groups: l.Groups, Source: loginSource, At: l.At}, true, nil
}

// Members implements Directory. It knows those who have logged in within the last 90 days.
func (d *Logins) Members(ctx context.Context, group string, limit int) ([]grant.Subject, error) {
	return d.store.Members(ctx, group, d.now().Add(-memberAge), limit)
}
