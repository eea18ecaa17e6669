package access

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"regexp"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var keyPattern = regexp.MustCompile(`\A[A-Za-z0-9._-]{8,128}\z`)

// call is one mutation with its idempotency key: the time-out middleware may give up on a call that then commits, so a
// caller must be able to ask again without doing it twice.
type call struct {
	caller Caller
	method string
	key    string
	body   [32]byte
}

// newCall checks the caller's name and the key, and hashes what is asked for. What HAProxy could not tell apart, or a log
// could not show, never gets to change anything.
func newCall(c Caller, method, key string, body any) (call, error) {
	if err := checkSubject(c.Subject); err != nil {
		return call{}, err
	}
	if !keyPattern.MatchString(key) {
		return call{}, errorf(Invalid, "idempotency_key: want 8 to 128 characters of A-Z, a-z, 0-9, . _ -")
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return call{}, internal(err)
	}
	return call{caller: c, method: method, key: key, body: sha256.Sum256(raw)}, nil
}

func (c call) replay(ref string, at time.Time) *store.Replay {
	return &store.Replay{Caller: c.caller.Subject, Method: c.method, Key: c.key, Body: c.body, Ref: ref, At: at}
}

// find looks for an earlier call with this key. It answers whether there is one, and its grant's id.
func (s *Service) find(ctx context.Context, c call) (ref string, found bool, err error) {
	r, found, err := s.replayed(ctx, c)
	return r.Ref, found, err
}

// replayed is find for who needs to know when the earlier call was.
func (s *Service) replayed(ctx context.Context, c call) (r store.Replay, found bool, err error) {
	none := store.Replay{}
	r, err = s.Grants.Replayed(ctx, c.caller.Subject, c.method, c.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return none, false, nil
	case err != nil:
		return none, false, internal(err)
	case r.Body != c.body:
		return none, false, &Error{Code: Conflict, GrantID: r.Ref,
			Message: "this idempotency key was used for another request; take a new one"}
	}
	return r, true, nil
}

// once carries a call out and waits a bounded time for the nodes; if it was carried out already it answers with the grant
// as it is now. Of two calls with one key at the same time, the later may find the earlier's work in its way: that is no
// conflict either.
func (s *Service) once(ctx context.Context, c call, do func() (store.Record, error)) (View, error) {
	if ref, found, err := s.find(ctx, c); err != nil {
		return View{}, err
	} else if found {
		return s.answer(ctx, c.caller, ref)
	}
	r, err := do()
	if err == nil {
		s.await(ctx, r)
		return s.view(r), nil
	}
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != Conflict {
		return View{}, err
	}
	if ref, found, err := s.find(ctx, c); err == nil && found {
		return s.answer(ctx, c.caller, ref)
	}
	return View{}, err
}

// answer is the grant as it is now, if the caller may still see it, waiting for the nodes as the first call did. They are
// told again: the first call may have died between its commit and that.
func (s *Service) answer(ctx context.Context, c Caller, id string) (View, error) {
	r, err := s.visible(ctx, c, id)
	if err != nil {
		return View{}, err
	}
	if e := s.Enforcer.Enforcement(r); e.NodesEnforced < e.NodesTotal || e.NodesTotal == 0 {
		s.Enforcer.Changed(r.Revision)
	}
	s.await(ctx, r)
	return s.view(r), nil
}
