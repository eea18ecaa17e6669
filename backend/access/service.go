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

// Caller is who calls, as the login proved it.
type Caller struct {
	Subject grant.Subject
	Groups  []string
}

// Pool is a pool of the configuration.
type Pool struct {
	Name        grant.Pool
	Description string
	Hosts       []string
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
	// StreamsNotCut says that the grant has ended and that streams which ran then may go on.
	StreamsNotCut bool
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

// Config is what a Service is built of. All fields but the groups are required.
type Config struct {
	Grants    store.Grants
	Policy    policy.Engine
	Catalog   Catalog
	Enforcer  Enforcer
	Tokens    Tokens
	Fleet     Fleet
	Auditors  []string // groups that may read all
	Operators []string // groups that may read and revoke all, and change servers
	// Wait is how long a call waits for the nodes.
	Wait  time.Duration
	Now   func() time.Time
	NewID func() string // a new grant's id: unique, of A-Z a-z 0-9 . _ -, at most 64
}

// Service carries out the use cases. It is safe for concurrent use.
type Service struct {
	Config
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Grants == nil || c.Policy == nil || c.Catalog == nil || c.Enforcer == nil || c.Tokens == nil ||
		c.Fleet == nil || c.Now == nil || c.NewID == nil {
		return nil, errors.New("access: a part of the configuration is missing")
	}
	if slices.Contains(c.Auditors, "") || slices.Contains(c.Operators, "") {
		return nil, errors.New("access: the name of a group of auditors or operators is empty")
	}
	return &Service{Config: c}, nil
}

// View is a grant as it is shown to somebody who may see it.
type View struct {
	Grant          grant.Grant
	Etag           string
	Enforcement    Enforcement
	Hosts          []string
	ApproverGroups []string
}

func (s *Service) view(r store.Record) View {
	v := View{Grant: r.Grant, Etag: etag(r.Grant), Enforcement: s.Enforcer.Enforcement(r)}
	for _, step := range r.Grant.Steps {
		v.ApproverGroups = append(v.ApproverGroups, step.Groups...)
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

// commit writes events with the call's key, tells the nodes, and waits a bounded time for them.
func (s *Service) commit(ctx context.Context, c call, events ...grant.Event) (View, error) {
	last := events[len(events)-1].Grant
	revision, err := s.Grants.Commit(ctx, store.Change{Events: events, Replay: c.replay(last.ID, s.Now())})
	var live *store.LiveError
	switch {
	case err == nil:
	case errors.Is(err, store.ErrReplay):
		// The same call was carried out between our look-up and our commit: once finds it.
		return View{}, &Error{Code: Conflict, Message: "this idempotency key was just used", GrantID: last.ID, cause: err}
	case errors.As(err, &live):
		return View{}, liveConflict(live.ID)
	case errors.Is(err, store.ErrConflict):
		return View{}, &Error{Code: Conflict, Message: "the grant has changed in between; read it again",
			GrantID: events[0].Grant.ID, cause: err}
	default:
		return View{}, internal(err)
	}
	s.Enforcer.Changed(revision)
	record := store.Record{Grant: last, Revision: revision}
	s.await(ctx, record)
	return s.view(record), nil
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

func liveConflict(id string) *Error {
	return &Error{Code: Conflict, GrantID: id,
		Message: fmt.Sprintf("grant %s gives this access already; give it up or let it end first", id)}
}

func member(groups, of []string) bool {
	return slices.ContainsFunc(of, func(g string) bool { return slices.Contains(groups, g) })
}

func (s *Service) isOperator(c Caller) bool { return member(c.Groups, s.Operators) }
func (s *Service) isAuditor(c Caller) bool  { return member(c.Groups, s.Auditors) }
