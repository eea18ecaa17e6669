package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// facts are what is known now of a grant's subject. Where nothing newer is known, the groups that the grant was decided on
// are the newest.
func (s *Service) facts(ctx context.Context, g grant.Grant) (policy.Facts, error) {
	f := policy.Facts{At: s.Now()}
	if p, ok := s.Catalog.Pool(g.Pool); ok {
		f.Tags = p.Tags
	}
	m, err := s.membership(ctx, g)
	switch {
	case err != nil:
		return f, err
	case g.Owner == "":
		f.Groups = m.Groups
	case !m.At.IsZero():
		f.OwnerGroups = nonNil(m.Groups)
	}
	return f, nil
}

// membership is the newest that is known of the groups of a grant's subject, of an agent's owner.
func (s *Service) membership(ctx context.Context, g grant.Grant) (Membership, error) {
	of := Membership{Groups: g.Groups, Source: g.GroupsSource, At: g.GroupsAt}
	who := g.Subject
	if g.Owner != "" {
		who = g.Owner
	}
	if !who.IsPerson() {
		return of, nil
	}
	m, known, err := s.Directory.Membership(ctx, who)
	if err != nil {
		return of, internal(fmt.Errorf("read groups: %w", err))
	}
	if known && !m.At.Before(g.GroupsAt) {
		return m, nil
	}
	return of, nil
}

// Poke makes the Judge loop run at once: policy or somebody's groups have changed. It does not block.
func (s *Service) Poke() {
	select {
	case s.poked <- struct{}{}:
	default: // it will run anyway
	}
}

// Judge looks at every open grant again, with the newest groups and the policy in force, and ends those that no longer
// stand: a lock covers them, their environment was removed, their agent works for somebody else, or policy does not allow them any more (I4). It goes by what
// is, not by what has changed, so it also ends what an earlier pass, or a process that died, left undone. A grant that
// cannot be judged or ended is left as it is, and the error says so; the others are judged.
func (s *Service) Judge(ctx context.Context) error {
	var errs []error
	ours, err := s.newestPolicy(ctx)
	if err != nil {
		return err
	}
	if !ours {
		errs = append(errs, errOtherPolicy)
	}
	unknown := 0
	var unreadable []store.Unreadable
	err = s.eachOpen(ctx, store.Query{States: openStates}, func(page store.Page) error {
		unreadable = append(unreadable, page.Unreadable...)
		// The locks of after the grants were read: one that is lifted by then ends nothing that was opened since.
		closing, err := s.closing(ctx, s.Now())
		if err != nil {
			return err
		}
		var ends []end
		for _, r := range page.Records {
			e, err := s.verdict(ctx, r.Grant, closing, ours)
			if errors.Is(err, errUnknownPool) {
				unknown++
			} else if err != nil {
				errs = append(errs, fmt.Errorf("judge grant %s: %w", r.Grant.ID, err))
			} else if e.cause != "" {
				ends = append(ends, e)
			}
		}
		if _, _, err := s.endAll(ctx, ends); err != nil {
			errs = append(errs, err)
		}
		return nil // the next page all the same
	})
	if unknown > 0 {
		errs = append(errs, fmt.Errorf("%d grants: %w", unknown, errUnknownPool))
	}
	return errors.Join(append(errs, unreadableError(unreadable), err)...)
}

// errOtherPolicy and errUnknownPool are what a gateway says that knows less than another one on the same store may. During
// a roll-out they pass; what they leave open ends by itself, by a lock, or by revoking it.
var (
	errOtherPolicy = errors.New("the policy of this gateway is not the one that the log names last: only locks and removed environments are judged here")
	errUnknownPool = errors.New("the pool is not in the configuration of this gateway, which does not judge it")
)

// newestPolicy reports whether the policy in force here is the one that came into force last anywhere: a gateway that
// still has the one before must not end what the new one gives.
func (s *Service) newestPolicy(ctx context.Context) (bool, error) {
	last, err := s.History.History(ctx, store.EventQuery{Verbs: []grant.Verb{grant.LoadPolicy}, Newest: true, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("read which policy is in force: %w", err)
	}
	_, hash := s.Policy.Version()
	return len(last) == 0 || last[0].Event.Grant.PolicyHash == hash, nil
}

// end is why a grant is ended.
type end struct {
	g       grant.Grant
	cause   grant.Cause
	actor   grant.Subject // empty for policy
	comment string
}

// errUndecided says that policy could not judge a grant in time.
var errUndecided = errors.New("policy did not answer in time; the grant stands until it does")

// verdict judges one grant, by locks, removed environments and names alone unless byPolicy is set. Without a cause it stands.
func (s *Service) verdict(ctx context.Context, g grant.Grant, c closing, byPolicy bool) (end, error) {
	for _, l := range c.locks {
		if l.Covers(g.Subject, g.Owner, g.Pool) {
			return end{g: g, cause: grant.CauseLock, actor: l.By, comment: lockComment(l)}, nil
		}
	}
	if e, gone := s.outlived(g, c.environments); gone {
		return e, nil
	}
	if former := formerName(g); former != "" {
		return end{g: g, cause: grant.CausePolicyChanged, comment: former}, nil
	}
	if !byPolicy {
		return end{}, nil
	}
	if _, ok := s.Catalog.Pool(g.Pool); !ok {
		return end{}, errUnknownPool
	}
	if lost := s.groundLost(g); lost != "" {
		return end{g: g, cause: grant.CausePolicyChanged, comment: lost}, nil
	}
	f, err := s.facts(ctx, g)
	if err != nil {
		return end{}, err
	}
	v := policy.Judge(ctx, s.Policy, g, f)
	switch {
	case v.Undecided:
		return end{}, errUndecided
	case v.Stands:
		return end{}, nil
	}
	return end{g: g, cause: v.Cause, comment: s.because(ctx, g, v)}, nil
}

// groundLost is what the configuration lacks by now that the grant rests on; empty if it lacks nothing.
func (s *Service) groundLost(g grant.Grant) string {
	if _, ok := s.Catalog.Pool(g.Pool); !ok {
		return "The pool is not in the configuration any more."
	}
	if g.Owner != "" && !s.actsFor(g.Subject, g.Owner) {
		return "By the configuration the agent does not work for this owner any more."
	}
	return ""
}

// formerName says that a grant rests on a name which an earlier version took and which is nobody's by now: of its subject or
// owner, or of somebody who approved it and may be the requester by another spelling (I11). Empty if it does not.
func formerName(g grant.Grant) string {
	names := []grant.Subject{g.Subject}
	if g.Owner != "" {
		names = append(names, g.Owner)
	}
	for _, a := range slices.Concat(g.Approvals, g.Extension.Approvals) {
		names = append(names, a.By)
	}
	for _, name := range names {
		if _, err := grant.ParseSubject(string(name)); err != nil {
			return fmt.Sprintf("The name %s, which it rests on, is not in the form that names have by now.", name)
		}
	}
	return ""
}

// because is the comment of a revocation by policy: its explanation, the version of the policy, and of when the groups are.
func (s *Service) because(ctx context.Context, g grant.Grant, v policy.Verdict) string {
	text := fmt.Sprintf("%s (policy %s, %.12s", v.Explanation, v.Decision.Policy, v.Decision.Hash)
	if m, err := s.membership(ctx, g); err == nil && !m.At.IsZero() {
		text += fmt.Sprintf("; groups of %s by %s", m.At.UTC().Format(time.RFC3339), m.Source)
	}
	return text + ")"
}

// eachOpen calls do for every page of grants.
func (s *Service) eachOpen(ctx context.Context, q store.Query, do func(store.Page) error) error {
	q.Limit = endBatch
	for {
		page, err := s.Grants.List(ctx, q)
		if err != nil {
			return err
		}
		if len(page.Records)+len(page.Unreadable) == 0 {
			return nil
		}
		if err := do(page); err != nil {
			return err
		}
		if len(page.Records) < q.Limit {
			return nil
		}
		last := page.Records[len(page.Records)-1].Grant
		q.After = &store.Cursor{RequestedAt: last.RequestedAt, ID: last.ID}
	}
}

// endBatch is how many grants are ended in one commit.
const endBatch = 200

// endAll revokes grants, many in one commit, and tells the nodes. If that fails they are ended one by one: one that changed
// in between is read again, so that a revocation never loses to an approval; one that has ended by itself is left; one that
// cannot be ended does not keep the others open. It answers the last record of each that it ended, and how many could not be.
func (s *Service) endAll(ctx context.Context, ends []end) (done []store.Record, failed int, err error) {
	if len(ends) == 0 {
		return nil, 0, nil
	}
	if done, err = s.endBatch(ctx, ends); err == nil {
		return done, 0, nil
	}
	var errs []error
	for i, e := range ends {
		if ctx.Err() != nil {
			failed += len(ends) - i
			errs = append(errs, ctx.Err())
			break
		}
		r, ok, err := s.endOne(ctx, e)
		if err != nil {
			failed++
			errs = append(errs, fmt.Errorf("end grant %s: %w", e.g.ID, err))
		}
		if ok {
			done = append(done, r)
		}
	}
	return done, failed, errors.Join(errs...)
}

// endBatch ends all of them in one commit or none.
func (s *Service) endBatch(ctx context.Context, ends []end) ([]store.Record, error) {
	var events []grant.Event
	for _, e := range ends {
		_, event, err := grant.Advance(e.g, e.action(), s.Now())
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	revision, err := s.Grants.Commit(ctx, store.Change{Events: events})
	if err != nil {
		return nil, err
	}
	s.Enforcer.Changed(revision)
	records := make([]store.Record, len(events))
	for i, e := range events {
		records[i] = store.Record{Grant: e.Grant, Revision: revision - int64(len(events)-1-i)}
	}
	return records, nil
}

// endOne ends a grant as it is by now; false if it has ended. The nodes are told of that too: it may have been here, by a
// commit of which only the answer was lost.
func (s *Service) endOne(ctx context.Context, e end) (store.Record, bool, error) {
	for range tries {
		r, err := s.Grants.Grant(ctx, e.g.ID)
		if err != nil {
			return store.Record{}, false, err
		}
		if r.Grant.State.Final() {
			s.Enforcer.Changed(r.Revision)
			return store.Record{}, false, nil
		}
		e.g = r.Grant
		done, err := s.endBatch(ctx, []end{e})
		if err == nil {
			return done[0], true, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Record{}, false, err
		}
	}
	return store.Record{}, false, store.ErrConflict
}

func (e end) action() grant.Action {
	return grant.Action{Verb: grant.Revoke, Actor: e.actor, Cause: e.cause, Comment: e.comment}
}
