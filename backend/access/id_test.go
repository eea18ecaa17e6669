package access_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// picky is a store that fails on what Postgres does: bytes that are no text, and NUL.
type picky struct {
	store.Grants
	t *testing.T
}

type log interface{ store.History }

type pickyHistory struct {
	log
	t *testing.T
}

func (p picky) Grant(_ context.Context, id string) (store.Record, error) {
	p.t.Errorf("the store was asked for the grant %q", id)
	return store.Record{}, errBroken
}

func (p pickyHistory) Lock(_ context.Context, id string) (grant.Lock, error) {
	p.t.Errorf("the store was asked for the lock %q", id)
	return grant.Lock{}, errBroken
}

func (p picky) List(_ context.Context, q store.Query) (store.Page, error) {
	p.t.Errorf("the store was asked for %+v", q)
	return store.Page{}, errBroken
}

func (p pickyHistory) History(_ context.Context, q store.EventQuery) ([]store.Entry, error) {
	p.t.Errorf("the store was asked for %+v", q)
	return nil, errBroken
}

// Bytes that no id has are nobody's id, and never get as far as the store.
func TestAnIDOfOddBytesIsNobodys(t *testing.T) {
	w := newWorld(t)
	s := w.build(func(c *access.Config) { c.Grants, c.History = picky{w.db, t}, pickyHistory{w.db, t} })
	operator := w.fresh(oscar)
	for _, odd := range []string{"a\x00b", "\x00", "\xff\xfe", "a b", "a/b", "g\n", "é", "", strings.Repeat("a", 65)} {
		revocation, decision := access.Revocation{GrantID: odd, Reason: "r"}, access.Decision{GrantID: odd, Etag: "v1", Comment: "c"}
		calls := map[string]func() error{
			"get":              func() error { _, err := s.Get(t.Context(), operator, odd); return err },
			"approve":          func() error { _, err := s.Approve(t.Context(), operator, decision, w.key()); return err },
			"deny":             func() error { _, err := s.Deny(t.Context(), operator, decision, w.key()); return err },
			"withdraw":         func() error { _, err := s.Withdraw(t.Context(), operator, revocation, w.key()); return err },
			"review":           func() error { _, err := s.Review(t.Context(), operator, decision, w.key()); return err },
			"revoke":           func() error { _, err := s.Revoke(t.Context(), operator, revocation, w.key()); return err },
			"cancel extension": func() error { _, err := s.CancelExtension(t.Context(), operator, revocation, w.key()); return err },
			"extend": func() error {
				_, err := s.Extend(t.Context(), operator, access.Longer{GrantID: odd, By: time.Minute, Reason: "r"}, w.key())
				return err
			},
			"token":  func() error { _, _, err := s.IssueToken(t.Context(), operator, odd); return err },
			"unlock": func() error { _, err := s.Unlock(t.Context(), operator, odd, "why not", w.key()); return err },
		}
		if odd != "" {
			calls["events"] = func() error { _, err := s.Events(t.Context(), operator, access.EventFilter{GrantID: odd}); return err }
		}
		for name, call := range calls {
			w.equal(fmt.Sprintf("%s of %q", name, odd), code(call()), access.NotFound)
		}
		if odd == "" {
			continue
		}
		token := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"t":1,"i":%q}`, odd))
		for name, err := range map[string]error{
			"page token":            second(s.List(t.Context(), operator, access.Filter{PageToken: token})),
			"environment":           second(s.List(t.Context(), operator, access.Filter{Environment: odd})),
			"pool":                  second(s.List(t.Context(), operator, access.Filter{Environment: "prod", Pool: odd})),
			"environment of events": second(s.Events(t.Context(), operator, access.EventFilter{Environment: odd})),
			"pool of events":        second(s.Events(t.Context(), operator, access.EventFilter{Environment: "prod", Pool: odd})),
			"environment of many":   second(s.RevokeAll(t.Context(), operator, access.Bulk{Environment: odd, Reason: "r"}, w.key())),
			"pool of many":          second(s.RevokeAll(t.Context(), operator, access.Bulk{Environment: "prod", Pool: odd, Reason: "r"}, w.key())),
		} {
			w.equal(fmt.Sprintf("%s %q", name, odd), code(err), access.Invalid)
		}
	}
}

func second[T any](_ T, err error) error { return err }
