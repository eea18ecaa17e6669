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

// Pool is a pool of the configuration.
type Pool struct {
	Name        grant.Pool
	Description string
	Hosts       []string
	Tags        []string // of the pool and of its environment, for policy
}

// Catalog knows the pools.
type Catalog interface {
	// Pools lists all of them, sorted by full name.
	Pools() []Pool
	// Pool finds one.
	Pool(p grant.Pool) (Pool, bool)
}

// Enforcement is where a grant's present state is in force.
type Enforcement struct {
	NodesTotal    int // nodes that serve its environment
	NodesEnforced int
	// OldWorkersUntil is set while an older worker of some node could still admit an ended grant.
	OldWorkersUntil time.Time
	// StreamsNotCut says that the grant has ended and that streams which ran then may go on; StreamsUntil is until when at
	// most, zero where nothing bounds them.
	StreamsNotCut bool
	StreamsUntil  time.Time
}

// Reports knows what became of grants on nodes.
type Reports interface {
	// GrantReports lists what is recorded of a grant, by node.
	GrantReports(ctx context.Context, grantID string) ([]store.GrantReport, error)
}

// Enforcer makes the store's state hold on the nodes.
type Enforcer interface {
	// Changed says that there is a new revision. It does not block.
	Changed(revision int64)
	// Enforcement says where the record's state is in force now.
	Enforcement(r store.Record) Enforcement
	// Await waits until the record's state is in force on every node that can be reached, or ctx is done.
	Await(ctx context.Context, r store.Record)
}

// Claims are what a token says.
type Claims struct {
	Subject grant.Subject
	Groups  []string
	Pool    grant.Pool
	GrantID string
	// NotAfter is the grant's end: the token may end earlier, never later.
	NotAfter time.Time
}

// Tokens issues credentials.
type Tokens interface {
	Issue(ctx context.Context, c Claims, now time.Time) (token string, expires time.Time, err error)
}

// Config is what a Service is built of. All fields but the groups, the agents, the reports, and what is about ephemeral
// environments, are required.
type Config struct {
	Grants    store.Grants
	History   store.History
	Directory Directory
	Policy    policy.Engine
	Source    PolicySource
	Catalog   Catalog
	Enforcer  Enforcer
	Tokens    Tokens
	Fleet     Fleet
	// Reports is asked where one grant is read; nil: nothing is recorded.
	Reports Reports
	// Environments and Templates are of ephemeral environments; both or none.
	Environments store.Environments
	Templates    Templates

	Auditors  []string // groups that may read all
	Operators []string // groups that may read and revoke all, lock, and change servers
	// Agents are the service accounts that act for a person, by the account's subject.
	Agents map[grant.Subject]Agent
	// GroupsMaxAge is how old a person's groups may be for an approval or a review to count.
	GroupsMaxAge time.Duration
	// Wait is how long a call waits for the nodes.
	Wait  time.Duration
	Now   func() time.Time
	NewID func() string // a new grant's or lock's id: unique, of A-Z a-z 0-9 . _ -, at most 64
}

// Service carries out the use cases. It is safe for concurrent use.
type Service struct {
	Config
	// poked tells the Judge loop that it has something to do.
	poked    chan struct{}
	turns    turns
	refusals refusals
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Grants == nil || c.History == nil || c.Directory == nil || c.Policy == nil || c.Source == nil || c.Catalog == nil ||
		c.Enforcer == nil || c.Tokens == nil || c.Fleet == nil || c.Now == nil || c.NewID == nil {
		return nil, errors.New("access: a part of the configuration is missing")
	}
	if slices.Contains(c.Auditors, "") || slices.Contains(c.Operators, "") {
		return nil, errors.New("access: the name of a group of auditors or operators is empty")
	}
	if (c.Environments == nil) != (c.Templates == nil) {
		return nil, errors.New("access: of the two parts of ephemeral environments one is missing")
	}
	if c.GroupsMaxAge <= 0 {
		return nil, errors.New("access: groups must be allowed some age")
	}
	if err := checkAgents(c.Agents); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return &Service{Config: c, poked: make(chan struct{}, 1)}, nil
}

// View is a grant as it is shown to somebody who may see it.
type View struct {
	Grant          grant.Grant
	Etag           string
	Enforcement    Enforcement
	Explanation    string // policy's sentence while it waits, then by what it was given
	Hosts          []string
	ApproverGroups []string // those that the steps name, of the vote that is on or, afterwards, of the request
	// Steps is the vote that is on, with the people who could approve; only where one grant is asked for.
	Steps []StepView
	// Nodes is what became of it on each node; only where one grant is asked for.
	Nodes []store.GrantReport
}

func (s *Service) view(r store.Record) View {
	v := View{Grant: r.Grant, Etag: etag(r.Grant), Enforcement: s.Enforcer.Enforcement(r), Explanation: given(r.Grant)}
	if v.ApproverGroups = r.Grant.Deciders(); !r.Grant.Waits() {
		v.ApproverGroups = grant.Ballot{Steps: r.Grant.Steps}.Groups()
	}
	if p, ok := s.Catalog.Pool(r.Grant.Pool); ok {
		v.Hosts = p.Hosts
	}
	return v
}

// etag names the version of a grant that somebody was shown.
func etag(g grant.Grant) string { return fmt.Sprintf("v%d", g.Version) }

// pool reads and finds a pool.
func (s *Service) pool(environment, name string) (Pool, error) {
	p, err := grant.NewPool(environment, name)
	if err != nil {
		return Pool{}, errorf(Invalid, "%s", err)
	}
	found, ok := s.Catalog.Pool(p)
	if !ok {
		return Pool{}, errorf(NotFound, "no pool %s", p)
	}
	return found, nil
}

// commit writes events with the call's key and tells the nodes.
func (s *Service) commit(ctx context.Context, c call, unless *store.Since, events ...grant.Event) (store.Record, error) {
	last := events[len(events)-1].Grant
	change := store.Change{Events: events, Replay: c.replay(last.ID, s.Now()), Unless: unless}
	revision, err := s.Grants.Commit(ctx, change)
	if err != nil {
		return store.Record{}, commitError(err, last, c.caller.Subject)
	}
	s.Enforcer.Changed(revision)
	if _, hash := s.Policy.Version(); last.PolicyHash != hash {
		s.Poke() // policy was exchanged since it was asked: what it gave is judged by the new one at once
	}
	return store.Record{Grant: last, Revision: revision}, nil
}

// commitError is the error for a change by who that was not written.
func commitError(err error, g grant.Grant, who grant.Subject) error {
	var live *store.LiveError
	var locked *store.LockedError
	switch {
	case errors.Is(err, store.ErrReplay):
		// The same call was carried out between our look-up and our commit: once finds it.
		return &Error{Code: Conflict, Message: "this idempotency key was just used", GrantID: g.ID, cause: err}
	case errors.As(err, &live):
		return liveConflict(live.ID, g.Subject, who)
	case errors.As(err, &locked):
		return &Error{Code: Forbidden, Message: lockSentence(locked.Lock), GrantID: g.ID, cause: err}
	case errors.Is(err, store.ErrConflict):
		return &Error{Code: Conflict, Message: "the grant has changed in between; read it again", GrantID: g.ID, cause: err}
	default:
		return internal(err)
	}
}

// await waits for the nodes where there is something for them to do.
func (s *Service) await(ctx context.Context, r store.Record) {
	if r.Grant.ActivatedAt.IsZero() {
		return // it never opened anything
	}
	ctx, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	s.Enforcer.Await(ctx, r)
}

// liveConflict is told to who asked, or to who would approve what somebody else asked for.
func liveConflict(id string, subject, who grant.Subject) *Error {
	e := &Error{Code: Conflict, GrantID: id}
	if who == subject {
		e.Message = fmt.Sprintf("grant %s gives you this access already; give it up or let it end first", id)
	} else {
		e.Message = fmt.Sprintf("%s has this access already, by grant %s; this request can be approved when that has ended", subject, id)
	}
	return e
}

func member(groups, of []string) bool {
	return slices.ContainsFunc(of, func(g string) bool { return slices.Contains(groups, g) })
}

func (s *Service) isOperator(c Caller) bool { return member(c.Groups, s.Operators) }
func (s *Service) isAuditor(c Caller) bool  { return member(c.Groups, s.Auditors) }
