package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// EventFilter is what ListEvents is asked for. Empty fields do not filter.
type EventFilter struct {
	GrantID     string
	Subject     string
	Environment string
	Pool        string
	Verbs       []grant.Verb
	From, To    time.Time // From <= the event's time < To
	OldestFirst bool
	PageSize    int // 1 to MaxPage; 0 is DefaultPage
	PageToken   string
}

// EventPage is one page of the log.
type EventPage struct {
	Events []store.Entry
	Next   string // empty on the last page
}

// Events lists the log of what happened to grants. Auditors and operators read all of it; others the events of a grant
// that they may see, or those of their own access, and of a lock neither its reason nor who put it. Where the log cannot be read on, the page ends and Next is not empty;
// the next page is the failure. Errors: Invalid, Forbidden, NotFound, Internal.
func (s *Service) Events(ctx context.Context, c Caller, f EventFilter) (EventPage, error) {
	if err := checkSubject(c.Subject); err != nil {
		return EventPage{}, err
	}
	q, err := s.eventQuery(f)
	if err != nil {
		return EventPage{}, err
	}
	if err := s.mayReadEvents(ctx, c, &q); err != nil {
		return EventPage{}, err
	}
	size := q.Limit
	q.Limit++ // the one more says whether there is a next page
	entries, err := s.History.History(ctx, q)
	if err != nil {
		return EventPage{}, internal(err)
	}
	page := EventPage{Events: entries}
	if len(entries) > size {
		page.Events = entries[:size]
		page.Next = eventToken(entries[size-1].Revision)
	} else if n := len(entries); n > 0 && s.breaksAfter(ctx, q, entries[n-1].Revision) {
		page.Next = eventToken(entries[n-1].Revision)
	}
	if !s.seesLocks(c) {
		for i, e := range page.Events {
			page.Events[i] = bareEntry(e)
		}
	}
	return page, nil
}

// breaksAfter reports whether a page ended because what follows cannot be read: an audit that ends there without a word
// would be taken for the whole.
func (s *Service) breaksAfter(ctx context.Context, q store.EventQuery, last int64) bool {
	q.After, q.Limit = last, 1
	_, err := s.History.History(ctx, q)
	return err != nil
}

func (s *Service) mayReadEvents(ctx context.Context, c Caller, q *store.EventQuery) error {
	if s.isAuditor(c) || s.isOperator(c) {
		return nil
	}
	if q.GrantID != "" {
		_, err := s.visible(ctx, c, q.GrantID)
		return err
	}
	if q.Subject != "" && q.Subject != c.Subject {
		return errorf(Forbidden, "only auditors and operators see what others did")
	}
	q.Subject = c.Subject
	return nil
}

func (s *Service) eventQuery(f EventFilter) (store.EventQuery, error) {
	q := store.EventQuery{
		GrantID: f.GrantID, Environment: f.Environment, Pool: f.Pool, From: f.From, To: f.To,
		Newest: !f.OldestFirst, Limit: f.PageSize,
	}
	if f.GrantID != "" && !idForm.MatchString(f.GrantID) {
		return q, noSuchGrant()
	}
	if err := checkPlace(f.Environment, f.Pool); err != nil {
		return q, err
	}
	var err error
	if q.Verbs, err = among("verbs", f.Verbs, allVerbs); err != nil {
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
		after, err := ParseEventToken(f.PageToken)
		if err != nil {
			return q, errorf(Invalid, "page_token: not one of ours")
		}
		q.After = after
	}
	return q, nil
}

type eventCursor struct {
	Revision int64 `json:"r"`
}

func eventToken(revision int64) string {
	return encodeToken(eventCursor{revision})
}

// ParseEventToken reads a page token of Events: the revision after which the page begins. It holds nothing secret and opens
// nothing: a made-up one only starts the list elsewhere.
func ParseEventToken(token string) (int64, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return 0, errors.New("page token: not base64")
	}
	var c eventCursor
	if err := json.Unmarshal(raw, &c); err != nil || c.Revision <= 0 || encodeToken(c) != token {
		return 0, errors.New("page token: not one of ours")
	}
	return c.Revision, nil
}

// PolicyInForce records that another policy is in force than the one that the log names last. Error: a failure of the store.
func (s *Service) PolicyInForce(ctx context.Context) error {
	name, hash := s.Policy.Version()
	last, err := s.History.History(ctx, store.EventQuery{Verbs: []grant.Verb{grant.LoadPolicy}, Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(last) == 1 && last[0].Event.Grant.PolicyHash == hash {
		return nil
	}
	e := grant.Event{
		Verb: grant.LoadPolicy, At: s.Now(), Comment: fileNames(s.Source.Status().shown().Files),
		Grant: grant.Grant{Policy: name, PolicyHash: hash},
	}
	revision, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}})
	if err != nil {
		return err
	}
	s.Enforcer.Changed(revision)
	return nil
}

// fileNames is what an event says of a policy's files: where they lie is nobody's business.
func fileNames(files []string) string {
	const most = 20
	if len(files) == 0 {
		return ""
	}
	text := "files: " + strings.Join(files[:min(len(files), most)], ", ")
	if more := len(files) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
