package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// Login is what a verified login says of who calls.
type Login struct {
	Subject grant.Subject
	Groups  []string
	At      time.Time // when the groups were read
}

// Caller is who calls, as Identify found it. Groups are the newest that are known, which may be fewer than the login's.
type Caller struct {
	Subject      grant.Subject
	Groups       []string
	GroupsAt     time.Time
	GroupsSource string
	// Owner is the person that an agent works for, and OwnerGroups are theirs, nil if not known.
	Owner       grant.Subject
	OwnerGroups []string
}

// Agent is a program that asks for access by itself, for a person who answers for it.
type Agent struct {
	Subject grant.Subject // "agent:<name>"
	Owner   grant.Subject // a person
}

// checkAgents: each account acts as one agent, and each agent by one account, so that it has one owner (I11).
func checkAgents(agents map[grant.Subject]Agent) error {
	accounts := map[grant.Subject]grant.Subject{}
	for account, a := range agents {
		if err := a.check(account); err != nil {
			return fmt.Errorf("agent %s: %w", a.Subject, err)
		}
		if other, taken := accounts[a.Subject]; taken {
			return fmt.Errorf("agent %s: both %s and %s act as it", a.Subject, min(account, other), max(account, other))
		}
		accounts[a.Subject] = account
	}
	return nil
}

func (a Agent) check(account grant.Subject) error {
	for _, s := range []grant.Subject{account, a.Subject, a.Owner} {
		if _, err := grant.ParseSubject(string(s)); err != nil {
			return err
		}
	}
	switch {
	case !account.IsService():
		return errors.New("it logs in by a service account")
	case !a.Subject.IsAgent():
		return errors.New("its name is agent:<name>")
	case !a.Owner.IsPerson():
		return errors.New("its owner is a person")
	}
	return nil
}

// Membership is what is known of a subject's groups.
type Membership struct {
	Groups []string
	Source string // "login", or the name of a directory
	At     time.Time
}

// Directory knows who is in which group. An error means that it is not known now, never that somebody is in no group.
type Directory interface {
	// Seen tells it of a verified login and answers with the newest that is known of its subject.
	Seen(ctx context.Context, l Login) (Membership, error)
	// Membership is the newest that is known of a subject; false if nothing is.
	Membership(ctx context.Context, s grant.Subject) (m Membership, known bool, err error)
	// Members lists the people known to be in a group: sorted, at most limit, and not all where it knows logins only.
	Members(ctx context.Context, group string, limit int) ([]grant.Subject, error)
}

// Identify makes a caller out of a verified login: an agent where a service account acts as one, and the newest groups
// that are known. A token that says more than a later login of its subject is not believed. Errors: Invalid, Internal.
func (s *Service) Identify(ctx context.Context, l Login) (Caller, error) {
	if err := checkSubject(l.Subject); err != nil {
		return Caller{}, err
	}
	if l.Subject.IsAgent() {
		return Caller{}, errorf(Invalid, "subject: an agent logs in by its service account, which says whose it is")
	}
	if agent, ok := s.Agents[l.Subject]; ok {
		return s.agent(ctx, agent)
	}
	c := Caller{Subject: l.Subject}
	if !l.Subject.IsPerson() {
		return c, nil // a service account has no groups
	}
	m, err := s.Directory.Seen(ctx, l)
	if err != nil {
		return Caller{}, internal(fmt.Errorf("read groups: %w", err))
	}
	c.Groups, c.GroupsAt, c.GroupsSource = m.Groups, m.At, m.Source
	return c, nil
}

// ownerAge is how old the groups of an agent's owner may be: who has not been seen for longer may have left, and an agent's
// token need not end.
const ownerAge = 30 * 24 * time.Hour

func (s *Service) agent(ctx context.Context, a Agent) (Caller, error) {
	c := Caller{Subject: a.Subject, Owner: a.Owner}
	m, known, err := s.Directory.Membership(ctx, a.Owner)
	if err != nil {
		return Caller{}, internal(fmt.Errorf("read groups of owner: %w", err))
	}
	if known && s.Now().Sub(m.At) <= ownerAge {
		c.OwnerGroups, c.GroupsAt, c.GroupsSource = nonNil(m.Groups), m.At, m.Source
	}
	return c, nil
}

// checkSubject refuses a name that is not in its one form: I11 and HAProxy compare byte by byte, and an empty one, in a
// query, would stand for everybody.
func checkSubject(s grant.Subject) error {
	if _, err := grant.ParseSubject(string(s)); err != nil {
		return errorf(Invalid, "subject: %s", err)
	}
	return nil
}

// actsFor reports whether the configuration still says that the agent works for this owner.
func (s *Service) actsFor(agent, owner grant.Subject) bool {
	for _, a := range s.Agents {
		if a.Subject == agent && a.Owner == owner {
			return true
		}
	}
	return false
}

// nonNil tells "in no group" from "not known".
func nonNil(groups []string) []string {
	if groups == nil {
		return []string{}
	}
	return groups
}

// maxSkew is how far ahead the time of a login may be: gateways' clocks differ a little. One that is further ahead says
// nothing about how old it is.
const maxSkew = time.Minute

// checkFresh refuses a decision by groups that may be lost by now.
func (s *Service) checkFresh(c Caller) error {
	if age := s.Now().Sub(c.GroupsAt); c.GroupsAt.IsZero() || age > s.GroupsMaxAge || age < -maxSkew {
		return errorf(Forbidden, "Your groups were read more than %s ago: sign in again, then try once more.", policy.Span(s.GroupsMaxAge))
	}
	return nil
}

// underLogin refuses what policy gives in an emergency if the caller's groups may be lost by now: of a request and of its
// preview alike.
func (s *Service) underLogin(d policy.Decision, c Caller) policy.Decision {
	if !d.BreakGlass {
		return d
	}
	if err := s.checkFresh(c); err != nil {
		d.Allowed, d.BreakGlass, d.Explanation = false, false, err.Error()
		d.Notify, d.ReviewGroups, d.ReviewWithin = nil, nil, 0
	}
	return d
}
