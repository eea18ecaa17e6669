package access

import (
	"context"
	"slices"

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
}

// RevokeAll ends all grants that fit, or counts them. It is done again where its key was used before: what it covers is
// what is there then. Operators only. Errors: Invalid, Forbidden, Conflict (the key), Internal.
func (s *Service) RevokeAll(ctx context.Context, c Caller, b Bulk, key string) (BulkResult, error) {
	q, err := s.bulkQuery(c, b)
	if err != nil {
		return BulkResult{}, err
	}
	if !b.DryRun {
		call, err := newCall(c, "RevokeGrants", key, b)
		if err != nil {
			return BulkResult{}, err
		}
		if err := s.claim(ctx, call); err != nil {
			return BulkResult{}, err
		}
	}
	result := BulkResult{Open: map[grant.State]int{}}
	var last store.Record
	err = s.eachOpen(ctx, q, func(page store.Page) error {
		for _, u := range page.Unreadable {
			result.Open[u.State]++
			result.Failed++
		}
		records := slices.DeleteFunc(page.Records, func(r store.Record) bool { return !b.covers(r.Grant) })
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
			if len(result.Grants) < MaxPage {
				result.Grants = append(result.Grants, s.view(r))
			}
		}
		return nil
	})
	if err != nil {
		return result, internal(err)
	}
	s.await(ctx, last)
	return result, nil
}

// covers judges what the query does not: an owner's agents are as much theirs as for a lock.
func (b Bulk) covers(g grant.Grant) bool {
	return (b.Rule == "" || g.Rule == b.Rule) &&
		(b.Subject == "" || string(g.Subject) == b.Subject || string(g.Owner) == b.Subject)
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
