package decisions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// result is what a call came to: its code, the grant or lock that it is about, what it covered, and the grant as it was
// answered.
type result struct {
	code oracle.Code
	ref  string
	open map[string]int
	view *access.View
	why  error // for who reads a failure
}

// call is one use case with its arguments, for the real service and for the model of it.
type call struct {
	what  string
	real  func(ctx context.Context, s *access.Service, c access.Caller, key string) result
	model func(w *oracle.World, c oracle.Caller, key, id string) result
}

// codeOf is the kind of an error. One that the package does not promise is none of ours.
func codeOf(err error) oracle.Code {
	var e *access.Error
	switch {
	case err == nil:
		return oracle.OK
	case errors.As(err, &e):
		if e.Code == access.Internal {
			return oracle.Code(fmt.Sprintf("internal: %v", errors.Unwrap(e)))
		}
		return oracle.Code(e.Code)
	default:
		return oracle.Code("foreign: " + err.Error())
	}
}

func viewed(v access.View, err error) result {
	if err != nil {
		return result{code: codeOf(err), why: err}
	}
	return result{code: oracle.OK, ref: v.Grant.ID, view: &v}
}

func said(code oracle.Code, ref string) result { return result{code: code, ref: ref} }

func request(a oracle.Ask) call {
	return call{
		what: fmt.Sprintf("request %+v", a),
		real: func(ctx context.Context, s *access.Service, c access.Caller, key string) result {
			return viewed(s.Request(ctx, c, access.Ask{
				Environment: a.Place.Environment, Pool: a.Place.Pool, Duration: a.Duration, Reason: a.Reason, StartsAt: a.Starts,
				Inputs: a.Inputs, BreakGlass: a.BreakGlass,
			}, key))
		},
		model: func(w *oracle.World, c oracle.Caller, key, id string) result { return said(w.Request(c, a, key, id)) },
	}
}

func extend(m oracle.More) call {
	return call{
		what: fmt.Sprintf("extend %+v", m),
		real: func(ctx context.Context, s *access.Service, c access.Caller, key string) result {
			return viewed(s.Extend(ctx, c, access.Longer{GrantID: m.Grant, By: m.By, Reason: m.Reason, Inputs: m.Inputs}, key))
		},
		model: func(w *oracle.World, c oracle.Caller, key, _ string) result { return said(w.Extend(c, m, key)) },
	}
}

type (
	decided func(*access.Service, context.Context, access.Caller, access.Decision, string) (access.View, error)
	ended   func(*access.Service, context.Context, access.Caller, access.Revocation, string) (access.View, error)
)

// saying is a call on a grant as it was shown.
func saying(what string, s oracle.Say, do decided, model func(*oracle.World, oracle.Caller, oracle.Say, string) (oracle.Code, string)) call {
	d := access.Decision{GrantID: s.Grant, Etag: fmt.Sprintf("v%d", s.Version), Comment: s.Comment}
	return call{
		what: fmt.Sprintf("%s %+v", what, s),
		real: func(ctx context.Context, service *access.Service, c access.Caller, key string) result {
			return viewed(do(service, ctx, c, d, key))
		},
		model: func(w *oracle.World, c oracle.Caller, key, _ string) result { return said(model(w, c, s, key)) },
	}
}

func approve(s oracle.Say) call {
	return saying("approve", s, (*access.Service).Approve, (*oracle.World).Approve)
}
func deny(s oracle.Say) call { return saying("deny", s, (*access.Service).Deny, (*oracle.World).Deny) }
func review(s oracle.Say) call {
	return saying("review", s, (*access.Service).Review, (*oracle.World).Review)
}

// taking is a call on a grant whatever it is by now.
func taking(what, id, reason string, do ended, model func(*oracle.World, oracle.Caller, string, string, string) (oracle.Code, string)) call {
	return call{
		what: fmt.Sprintf("%s %s: %s", what, id, reason),
		real: func(ctx context.Context, service *access.Service, c access.Caller, key string) result {
			return viewed(do(service, ctx, c, access.Revocation{GrantID: id, Reason: reason}, key))
		},
		model: func(w *oracle.World, c oracle.Caller, key, _ string) result {
			return said(model(w, c, id, reason, key))
		},
	}
}

func withdraw(id, reason string) call {
	return taking("withdraw", id, reason, (*access.Service).Withdraw, (*oracle.World).Withdraw)
}
func revoke(id, reason string) call {
	return taking("revoke", id, reason, (*access.Service).Revoke, (*oracle.World).Revoke)
}
func cancelExtension(id, reason string) call {
	return taking("cancel extension", id, reason, (*access.Service).CancelExtension, (*oracle.World).CancelExtension)
}

func states(open map[grant.State]int) map[string]int {
	all := map[string]int{}
	for state, n := range open {
		all[string(state)] = n
	}
	return all
}

func revokeAll(b oracle.Bulk) call {
	return call{
		what: fmt.Sprintf("revoke all %+v", b),
		real: func(ctx context.Context, s *access.Service, c access.Caller, key string) result {
			bulk := access.Bulk{Subject: b.Subject, Environment: b.Environment, Pool: b.Pool, Rule: b.Rule,
				Everything: b.Everything, Reason: b.Reason, DryRun: b.DryRun}
			for _, state := range b.States {
				bulk.States = append(bulk.States, grant.State(state))
			}
			done, err := s.RevokeAll(ctx, c, bulk, key)
			if err == nil && done.Failed > 0 {
				err = fmt.Errorf("%d were not ended", done.Failed)
			}
			return result{code: codeOf(err), open: states(done.Open), why: err}
		},
		model: func(w *oracle.World, c oracle.Caller, key, _ string) result {
			code, open := w.RevokeAll(c, b, key)
			return result{code: code, open: open}
		},
	}
}

func lock(a oracle.LockAsk) call {
	return call{
		what: fmt.Sprintf("lock %+v", a),
		real: func(ctx context.Context, s *access.Service, c access.Caller, key string) result {
			v, err := s.Lock(ctx, c, access.LockAsk{Subject: a.Subject, Environment: a.Environment, Pool: a.Pool,
				Everything: a.Everything, Reason: a.Reason, Until: a.Until, DryRun: a.DryRun}, key)
			if err == nil && v.Failed > 0 {
				err = fmt.Errorf("%d were not ended", v.Failed)
			}
			return result{code: codeOf(err), ref: v.Lock.ID, open: states(v.Open), why: err}
		},
		model: func(w *oracle.World, c oracle.Caller, key, id string) result {
			code, open := w.Lock(c, a, key, id)
			return result{code: code, ref: id, open: open}
		},
	}
}

func unlock(id, reason string) call {
	return call{
		what: fmt.Sprintf("unlock %s: %s", id, reason),
		real: func(ctx context.Context, s *access.Service, c access.Caller, key string) result {
			v, err := s.Unlock(ctx, c, id, reason, key)
			return result{code: codeOf(err), ref: v.Lock.ID, why: err}
		},
		model: func(w *oracle.World, c oracle.Caller, key, _ string) result {
			r := result{code: w.Unlock(c, id, reason, key)}
			if r.code == oracle.OK {
				r.ref = id
			}
			return r
		},
	}
}

// issue looks at the token too: whose it is, and until when.
func issue(id string) call {
	token := func(subject string, place oracle.Place, until time.Time) string {
		return fmt.Sprintf("%s at %s/%s by %s until %d", subject, place.Environment, place.Pool, id, until.UnixMilli())
	}
	return call{
		what: "token for " + id,
		real: func(ctx context.Context, s *access.Service, c access.Caller, _ string) result {
			text, until, err := s.IssueToken(ctx, c, id)
			if err != nil {
				return result{code: codeOf(err), why: err}
			}
			return result{code: oracle.OK, ref: fmt.Sprintf("%s until %d", text, until.UnixMilli())}
		},
		model: func(w *oracle.World, c oracle.Caller, _, _ string) result {
			code := w.IssueToken(c, id)
			if code != oracle.OK {
				return result{code: code}
			}
			g := w.Grants[id]
			return result{code: code, ref: token(g.Subject, g.Place, g.Expires)}
		},
	}
}
