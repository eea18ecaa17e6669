package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Filter is what ListGrants is asked for. Empty fields do not filter.
type Filter struct {
	Environment string
	Pool        string
	Subject     string
	States      []grant.State
	// AwaitingMe limits it to what the caller could approve now. AwaitingMyReview limits it to what they are to review: that
	// is shown while the access is open, so that they know of it and can end it, and is done when it has ended.
	AwaitingMe       bool
	AwaitingMyReview bool
	PageSize         int // 1 to MaxPage; 0 is DefaultPage
	PageToken        string
}

// Page sizes.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// Page is one page of grants, newest request first.
type Page struct {
	Grants []View
	Next   string // empty on the last page
}

// Get reads one grant, with the people who could approve it. Error: NotFound, also for one that the caller may not see.
func (s *Service) Get(ctx context.Context, c Caller, id string) (View, error) {
	r, err := s.visible(ctx, c, id)
	if err != nil {
		return View{}, err
	}
	v := s.view(r)
	if v.Steps, err = s.steps(ctx, r.Grant.Ballot(), r.Grant.Subject, r.Grant.Owner); err != nil {
		return v, err
	}
	if s.Reports == nil {
		return v, nil
	}
	if v.Nodes, err = s.Reports.GrantReports(ctx, id); err != nil {
		return View{}, internal(fmt.Errorf("read reports: %w", err))
	}
	return v, nil
}

// maxReads bounds how many reads of the store one page may cost.
const maxReads = 10

// List lists the grants that the caller may see. A page may be short or empty and not be the last: only an empty Next says
// that. One that cannot be read is passed over: Get says so, and the Judge loop does aloud. Error: Invalid.
func (s *Service) List(ctx context.Context, c Caller, f Filter) (Page, error) {
	q, err := s.query(c, f)
	if err != nil {
		return Page{}, err
	}
	var page Page
	for range maxReads {
		full, err := s.fill(ctx, c, f, q, &page)
		if err != nil {
			return Page{}, err
		}
		if full || page.Next == "" {
			break
		}
		after, err := ParsePageToken(page.Next)
		if err != nil {
			return Page{}, internal(err)
		}
		q.After = &after
	}
	return page, nil
}

// fill adds what one read gives to the page and sets where the next goes on. The query knows groups; who asked and who
// approved already is judged here, so that a read may give less than a page.
func (s *Service) fill(ctx context.Context, c Caller, f Filter, q store.Query, page *Page) (full bool, err error) {
	size := q.Limit
	q.Limit++ // the one more says whether there is a next page
	found, err := s.Grants.List(ctx, q)
	if err != nil {
		return false, internal(err)
	}
	records := found.Records
	page.Next = ""
	for i, r := range records {
		if i == size || len(page.Grants) == size {
			page.Next = pageToken(records[i-1].Grant)
			break
		}
		if (!f.AwaitingMe || awaits(c, r.Grant)) && (!f.AwaitingMyReview || awaitsReview(c, r.Grant)) {
			page.Grants = append(page.Grants, s.view(r))
		}
	}
	return len(page.Grants) == size, nil
}

func (s *Service) query(c Caller, f Filter) (store.Query, error) {
	q := store.Query{Environment: f.Environment, Pool: f.Pool, Limit: f.PageSize}
	if err := checkSubject(c.Subject); err != nil {
		return q, err
	}
	if err := checkPlace(f.Environment, f.Pool); err != nil {
		return q, err
	}
	var err error
	if q.States, err = among("states", f.States, allStates); err != nil {
		return q, err
	}
	if q.Limit == 0 {
		q.Limit = DefaultPage
	}
	if q.Limit < 0 || q.Limit > MaxPage {
		return q, errorf(Invalid, "page_size: want 1 to %d", MaxPage)
	}
	if f.Subject != "" {
		subject, err := grant.ParseSubject(f.Subject)
		if err != nil {
			return q, errorf(Invalid, "subject: %s", err)
		}
		q.Subject = subject
	}
	if f.PageToken != "" {
		after, err := ParsePageToken(f.PageToken)
		if err != nil {
			return q, errorf(Invalid, "page_token: not one of ours")
		}
		q.After = &after
	}
	var deciding []string // the groups in which the caller decides on requests: see mayDecide
	if c.Subject.IsPerson() {
		deciding = c.Groups
	}
	if !s.isAuditor(c) && !s.isOperator(c) {
		q.Visible = &store.Visible{Viewer: c.Subject, Groups: deciding}
	}
	if f.AwaitingMe {
		q.AwaitingGroups = append([]string{}, deciding...)
	}
	if f.AwaitingMyReview {
		q.ReviewGroups = append([]string{}, deciding...)
	}
	return q, nil
}

// awaits reports whether the grant waits for an approval that the caller could give. Who approved the request may approve
// its extension.
func awaits(c Caller, g grant.Grant) bool {
	return checkDecider(c, g) == nil && !approved(g.Ballot(), c.Subject) && g.Ballot().Takes(c.Groups)
}

func approved(b grant.Ballot, s grant.Subject) bool {
	return slices.ContainsFunc(b.Approvals, func(a grant.Approval) bool { return a.By == s })
}

// awaitsReview reports whether the caller is to review the grant, now or when it has ended.
func awaitsReview(c Caller, g grant.Grant) bool {
	return mayReview(c, g) && g.AwaitsReview() && c.Subject != g.Subject && c.Subject != g.Owner
}

// record reads a grant whoever asks.
func (s *Service) record(ctx context.Context, id string) (store.Record, error) {
	if !idForm.MatchString(id) {
		return store.Record{}, noSuchGrant()
	}
	r, err := s.Grants.Grant(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Record{}, noSuchGrant()
	case errors.Is(err, store.ErrCorrupt):
		return store.Record{}, &Error{Code: Internal, GrantID: id, cause: err,
			Message: "what is stored of this grant cannot be read: nodes admit nobody by it, but nothing can be done with it; tell an operator"}
	case err != nil:
		return store.Record{}, internal(err)
	}
	return r, nil
}

// visible reads a grant if the caller may see it.
func (s *Service) visible(ctx context.Context, c Caller, id string) (store.Record, error) {
	r, err := s.record(ctx, id)
	if err != nil {
		return store.Record{}, err
	}
	if !s.maySee(c, r.Grant) {
		return store.Record{}, noSuchGrant()
	}
	return r, nil
}

// maySee: the subject and an agent's owner; auditors and operators; while it waits, those who could decide or review; and
// who has decided on it.
func (s *Service) maySee(c Caller, g grant.Grant) bool {
	switch {
	case c.Subject == g.Subject, g.Owner != "" && c.Subject == g.Owner:
		return true
	case s.isAuditor(c), s.isOperator(c):
		return true
	case g.ApprovedBy(c.Subject), c.Subject != "" && (g.EndedBy == c.Subject || g.Review.By == c.Subject):
		return true
	}
	return g.Waits() && mayDecide(c, g) || mayReview(c, g)
}

type cursor struct {
	At int64  `json:"t"`
	ID string `json:"i"`
}

func pageToken(g grant.Grant) string {
	return encodeToken(cursor{At: store.Millis(g.RequestedAt), ID: g.ID})
}

// encodeToken is the one form of a page token: what says the same in another, or more, is none.
func encodeToken(position any) string {
	raw, err := json.Marshal(position)
	if err != nil {
		return "" // plain fields: cannot happen; an empty token ends the list
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// ParsePageToken reads a page token. It holds nothing secret and opens nothing: a made-up one only starts the list
// elsewhere.
func ParsePageToken(token string) (store.Cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return store.Cursor{}, errors.New("page token: not base64")
	}
	var c cursor
	if err := json.Unmarshal(raw, &c); err != nil || !idForm.MatchString(c.ID) || c.At <= 0 || encodeToken(c) != token {
		return store.Cursor{}, errors.New("page token: not one of ours")
	}
	return store.Cursor{RequestedAt: store.Time(c.At), ID: c.ID}, nil
}
