package access

import (
	"context"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Bulk is what RevokeGrants is asked for. Every field that is set narrows it; Everything must be set where none is.
type Bulk struct {
	Subject     string
	Environment string
	Pool        string // with an environment only
	Rule        string // that allowed it
	States      []grant.State
	Everything  bool
	Reason      string
	DryRun      bool // say what it would end, and do nothing
}

// BulkResult says what a bulk revocation ended, or would end.
type BulkResult struct {
	Open map[grant.State]int // what it covers, by state
	// Grants are the first of them as they are afterwards, or now in a dry run: at most MaxPage.
	Grants []View
	// Failed is how many could not be ended: the same call ends them later, but for those whose rows cannot be read (see
	// store.Unreadable), which are in force nowhere. Which rule allowed one of those is not known: each counts.
	Failed int
	// FirstAt is when the first call with this key was, if this is not the first; zero otherwise. All of the above is then
	// about what that call had left.
	FirstAt time.Time
}

// RevokeAll ends all grants that fit, or counts them. Where its key was used before it goes on with what the first call
// covered and could not end: grants that were requested, or came into a state that it names, after that call began are not
// covered, and nothing is that was given anew since where it names a rule. Operators only. Errors: Invalid, Forbidden, NotFound (the
// environment or pool does not exist and has no open grant), Conflict (the key), Internal.
func (s *Service) RevokeAll(ctx context.Context, c Caller, b Bulk, key string) (BulkResult, error) {
	q, err := s.bulkQuery(c, b)
	if err != nil {
		return BulkResult{}, err
	}
	until, err := s.startBulk(ctx, c, b, key)
	if err != nil {
		return BulkResult{}, err
	}
	result := BulkResult{Open: map[grant.State]int{}, FirstAt: until}
	var last store.Record
	err = s.eachOpen(ctx, q, func(page store.Page) error {
		for _, u := range page.Unreadable {
			result.Open[u.State]++
			result.Failed++
		}
		records := slices.DeleteFunc(page.Records, func(r store.Record) bool { return !b.covers(r.Grant) || !until.IsZero() && !b.covered(r.Grant, until) })
		done := records
		if !b.DryRun {
			done = s.revokeEach(ctx, c, b, records, &result)
		}
		for _, r := range records {
			result.Open[r.Grant.State]++
		}
		for _, r := range done {
			if !b.DryRun && !r.Grant.ActivatedAt.IsZero() {
				last = r
			}
			result.Grants = s.list(result.Grants, r)
		}
		return nil
	})
	if err != nil {
		return result, internal(err)
	}
	s.await(ctx, last)
	return result, nil
}

// startBulk takes the key, and answers when it was taken before; the zero time if it was not.
func (s *Service) startBulk(ctx context.Context, c Caller, b Bulk, key string) (first time.Time, err error) {
	if b.DryRun {
		return first, s.checkRevocable(ctx, b)
	}
	call, err := newCall(c, "RevokeGrants", key, b)
	if err != nil {
		return first, err
	}
	replay, again, err := s.replayed(ctx, call)
	if err != nil || again {
		return replay.At, err
	}
	if err := s.checkRevocable(ctx, b); err != nil {
		return first, err
	}
	return first, s.claim(ctx, call)
}

// checkRevocable refuses a place of which nobody knows: a mistyped name must not look like one where all is closed. Grants
// that outlive their place can be revoked there as long as they are open.
func (s *Service) checkRevocable(ctx context.Context, b Bulk) error {
	if b.Environment == "" || s.inCatalog(b.Environment, b.Pool) {
		return nil
	}
	page, err := s.Grants.List(ctx, store.Query{Environment: b.Environment, Pool: b.Pool, States: openStates, Limit: 1})
	if err != nil {
		return internal(err)
	}
	if len(page.Records)+len(page.Unreadable) == 0 {
		return errorf(NotFound, "no such environment or pool, and no open grant of it")
	}
	return nil
}

// covers judges what the query does not: an owner's agents are as much theirs as for a lock.
func (b Bulk) covers(g grant.Grant) bool {
	return (b.Rule == "" || g.Rule == b.Rule) &&
		(b.Subject == "" || string(g.Subject) == b.Subject || string(g.Owner) == b.Subject)
}

// covered reports whether a grant that it covers was what it covers at that time already: no newer than that, and as far as
// the filter is about what changes in a grant's life, not changed since.
func (b Bulk) covered(g grant.Grant, at time.Time) bool {
	if g.RequestedAt.After(at) || b.Rule != "" && g.GivenAt.After(at) {
		return false
	}
	if len(b.States) == 0 {
		return true
	}
	since := g.RequestedAt
	switch g.State {
	case grant.Active:
		since = g.ActivatedAt
	case grant.Approved:
		for _, a := range g.Approvals {
			since = a.At // the last one approved it
		}
	}
	return !since.After(at)
}

func (s *Service) revokeEach(ctx context.Context, c Caller, b Bulk, records []store.Record, result *BulkResult) []store.Record {
	var ends []end
	for _, r := range records {
		ends = append(ends, end{g: r.Grant, cause: grant.CauseOperator, actor: c.Subject, comment: b.Reason})
	}
	done, failed, _ := s.endAll(ctx, ends)
	result.Failed += failed
	return done
}

func (s *Service) bulkQuery(c Caller, b Bulk) (store.Query, error) {
	q := store.Query{Concerns: grant.Subject(b.Subject), Environment: b.Environment, Pool: b.Pool}
	if !s.isOperator(c) {
		return q, errorf(Forbidden, "only an operator revokes many grants at once")
	}
	if err := checkReason(b.Reason); err != nil {
		return q, err
	}
	if err := checkPlace(b.Environment, b.Pool); err != nil {
		return q, err
	}
	if all := b.Subject == "" && b.Environment == "" && b.Pool == "" && b.Rule == ""; all != b.Everything {
		return q, errorf(Invalid, "name a subject, an environment, a pool or a rule, or say everything, not both")
	}
	if b.Pool != "" && b.Environment == "" {
		return q, errorf(Invalid, "pool: one of an environment; name both")
	}
	if b.Subject != "" {
		if _, err := grant.ParseSubject(b.Subject); err != nil {
			return q, errorf(Invalid, "subject: %s", err)
		}
	}
	states, err := among("states", b.States, openStates)
	if err != nil {
		return q, err
	}
	if q.States = states; len(states) == 0 {
		q.States = openStates
	}
	return q, nil
}
