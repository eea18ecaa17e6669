package access

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Ask is what RequestAccess is asked for.
type Ask struct {
	Environment string
	Pool        string
	Duration    time.Duration // whole seconds
	Reason      string
}

// MaxText is the longest reason or comment in bytes.
const MaxText = 1000

// PoolView is a pool with what policy says of the caller asking for it.
type PoolView struct {
	Pool
	Decision       policy.Decision
	ApproverGroups []string
}

// Pools lists the pools, of one environment if it is not empty. Pools that one may not ask for are listed with the reason.
func (s *Service) Pools(ctx context.Context, c Caller, environment string) []PoolView {
	var views []PoolView
	for _, p := range s.Catalog.Pools() {
		if environment != "" && p.Name.Environment != environment {
			continue
		}
		views = append(views, PoolView{
			Pool: p, Decision: s.evaluate(ctx, c, p.Name, 0), ApproverGroups: s.Policy.Approvers(p.Name),
		})
	}
	return views
}

// Preview answers what Request would decide. A zero duration asks for the default. Errors: Invalid, NotFound.
func (s *Service) Preview(ctx context.Context, c Caller, environment, pool string, d time.Duration) (policy.Decision, error) {
	p, err := s.pool(environment, pool)
	if err != nil {
		return policy.Decision{}, err
	}
	if d < 0 || d%time.Second != 0 {
		return policy.Decision{}, errorf(Invalid, "duration: want a positive number of whole seconds")
	}
	return s.evaluate(ctx, c, p.Name, d), nil
}

// Request asks for access. What policy refuses makes no grant but an event. Errors: Invalid, Forbidden with policy's
// explanation, NotFound, Conflict.
func (s *Service) Request(ctx context.Context, c Caller, ask Ask, key string) (View, error) {
	if err := checkAsk(ask); err != nil {
		return View{}, err
	}
	p, err := s.pool(ask.Environment, ask.Pool)
	if err != nil {
		return View{}, err
	}
	call, err := newCall(c, "RequestAccess", key, ask)
	if err != nil {
		return View{}, err
	}
	return s.once(ctx, call, func() (View, error) { return s.request(ctx, c, call, p.Name, ask) })
}

func (s *Service) request(ctx context.Context, c Caller, call call, p grant.Pool, ask Ask) (View, error) {
	d := s.evaluate(ctx, c, p, ask.Duration)
	if !d.Allowed {
		return View{}, s.refuse(ctx, c, p, ask, d)
	}
	if err := s.settle(ctx, c.Subject, p); err != nil {
		return View{}, err
	}
	if err := s.checkWaiting(ctx, c, d); err != nil {
		return View{}, err
	}
	events, err := s.ask(c, p, ask, d)
	if err != nil {
		return View{}, err
	}
	return s.commit(ctx, call, events...)
}

// MaxWaiting is how many requests of a subject may wait for approval at a time: nobody buries the approvers.
const MaxWaiting = 100

func (s *Service) checkWaiting(ctx context.Context, c Caller, d policy.Decision) error {
	if len(d.Steps) == 0 {
		return nil
	}
	waiting, err := s.Grants.List(ctx, store.Query{
		Subject: c.Subject, States: []grant.State{grant.Pending}, Limit: MaxWaiting,
	})
	switch {
	case err != nil:
		return internal(err)
	case len(waiting) == MaxWaiting:
		return errorf(Conflict, "%d requests of yours wait for approval; cancel one of them first", MaxWaiting)
	}
	return nil
}

// ask makes the events of a new grant: up to active where nobody has to approve.
func (s *Service) ask(c Caller, p grant.Pool, ask Ask, d policy.Decision) ([]grant.Event, error) {
	now := s.Now()
	g, asked, err := grant.Ask(grant.Grant{
		ID: s.NewID(), Subject: c.Subject, Pool: p, Reason: ask.Reason, Duration: d.Duration, Groups: c.Groups,
		Steps: d.Steps, Policy: d.Rule, PolicyHash: d.Hash, Explanation: d.Explanation,
		LapsesAt: now.Add(d.PendingFor),
	}, now)
	if err != nil {
		return nil, errorf(Invalid, "%s", err)
	}
	events := []grant.Event{asked}
	if len(d.Steps) > 0 {
		return events, nil
	}
	for _, verb := range []grant.Verb{grant.Complete, grant.Activate} {
		next, e, err := grant.Advance(g, grant.Action{Verb: verb}, now)
		if err != nil {
			return nil, internal(err)
		}
		g, events = next, append(events, e)
	}
	return events, nil
}

// settle ends a grant that has run out but that the clock has not come round to, so that it does not stand in the way of
// a new one. A live one is a conflict; the store's own check decides where another call comes in between.
func (s *Service) settle(ctx context.Context, subject grant.Subject, p grant.Pool) error {
	r, err := s.Grants.LiveGrant(ctx, subject, p)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return internal(err)
	case !over(r.Grant, s.Now()):
		return liveConflict(r.Grant.ID)
	}
	if _, err := s.sweepOne(ctx, r.Grant); err != nil {
		return internal(err)
	}
	return nil
}

// over reports whether an approved or active grant has had its time.
func over(g grant.Grant, now time.Time) bool {
	if g.State == grant.Active {
		return !now.Before(g.ExpiresAt)
	}
	return !now.Before(g.LapsesAt)
}

// refuse records what policy refused, and answers with its explanation. If it cannot be recorded, that is the answer.
func (s *Service) refuse(ctx context.Context, c Caller, p grant.Pool, ask Ask, d policy.Decision) error {
	e := grant.Event{Verb: grant.Refuse, Actor: c.Subject, Comment: ask.Reason, At: s.Now(), Grant: grant.Grant{
		Subject: c.Subject, Pool: p, Reason: ask.Reason, Duration: ask.Duration, Groups: c.Groups,
		Policy: d.Rule, PolicyHash: d.Hash, Explanation: d.Explanation,
	}}
	if _, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}}); err != nil {
		return internal(err)
	}
	return errorf(Forbidden, "%s", d.Explanation)
}

func (s *Service) evaluate(ctx context.Context, c Caller, p grant.Pool, d time.Duration) policy.Decision {
	return s.Policy.Evaluate(ctx, policy.Request{
		Subject: c.Subject, Groups: c.Groups, Pool: p, Duration: d, At: s.Now(),
	})
}

func checkAsk(a Ask) error {
	if a.Duration < time.Second || a.Duration%time.Second != 0 {
		return errorf(Invalid, "duration: want a positive number of whole seconds")
	}
	if strings.TrimSpace(a.Reason) == "" {
		return errorf(Invalid, "reason: say why you need it")
	}
	return checkText("reason", a.Reason)
}

// checkText refuses what would garble a log or a page, or read as something else than it is: control characters but tab
// and newline, invisible and direction-changing ones, other line ends, and broken UTF-8.
func checkText(field, text string) error {
	if len(text) > MaxText {
		return errorf(Invalid, "%s: at most %d bytes", field, MaxText)
	}
	if !utf8.ValidString(text) {
		return errorf(Invalid, "%s: not UTF-8", field)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return errorf(Invalid, "%s: has a control character", field)
		}
	}
	return nil
}
