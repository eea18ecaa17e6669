package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Template is a pattern of ephemeral environments, as the configuration has it.
type Template struct {
	Pattern string
	// Registrars may register and remove its environments and change their servers: groups of people, and service accounts
	// by their subjects.
	Registrars []string
	// Max is how many of its environments may be there at a time.
	Max int
	// Found: its environments come and go with their nodes' backends, not by calls.
	Found bool
}

// Environment is an ephemeral environment that is there.
type Environment struct {
	Name     string
	Template string
	By       grant.Subject // empty: it was found by its backends
	At       time.Time
	Pools    []string // by name
	Problems []string // what of it was left out, and why
}

// Templates is what the configuration and the nodes say of ephemeral environments.
type Templates interface {
	// Template finds the one that a name is of; false for a configured environment's name, and for one that fits none.
	Template(environment string) (Template, bool)
	// Check says why the environment must not be registered as its nodes are now: ErrEnvironment where a name, a host or a
	// backend of it is another's. That there is nothing of it yet is no error.
	Check(ctx context.Context, environment string) error
	// Describe says which pools it has, and what was left out.
	Describe(environment string) (pools, problems []string)
	// Refresh takes over at once what the store says of environments.
	Refresh(ctx context.Context) error
}

// ErrEnvironment is what Templates answer where an environment would take what is another's.
var ErrEnvironment = errors.New("the environment cannot be added")

// RegisterEnvironment adds an ephemeral environment. One that is there stays as it is. Grants of an environment of that name
// that was there before are ended first, and no grant comes back. For operators and the template's registrars. Errors: Invalid,
// Forbidden, NotFound (the same call was carried out, and the environment removed since), Conflict, Unavailable.
func (s *Service) RegisterEnvironment(ctx context.Context, c Caller, name, key string) (Environment, error) {
	t, call, err := s.environmentCall(c, "RegisterEnvironment", name, key)
	if err != nil {
		return Environment{}, err
	}
	row, there, err := s.environment(ctx, name)
	if err != nil {
		return Environment{}, err
	}
	first, again, err := s.claimed(ctx, call)
	switch {
	case err != nil:
		return Environment{}, err
	case there:
		return s.describe(row), nil
	case again && row.RemovedAt.After(first):
		return Environment{}, errorf(NotFound, "environment %s was registered by this call, and removed since", name)
	}
	if row, err = s.register(ctx, c, t, name); err != nil {
		return Environment{}, err
	}
	s.refresh(ctx)
	return s.describe(row), nil
}

func (s *Service) register(ctx context.Context, c Caller, t Template, name string) (store.Environment, error) {
	none := store.Environment{}
	if err := s.Templates.Check(ctx, name); errors.Is(err, ErrEnvironment) {
		return none, &Error{Code: Conflict, Message: err.Error(), cause: err}
	} else if err != nil {
		return none, &Error{Code: Unavailable, Message: "the nodes cannot be asked for the environment's backends", cause: err}
	}
	live, err := s.Environments.Environments(ctx, s.Now())
	if err != nil {
		return none, internal(err)
	}
	n := 0
	for _, e := range live {
		if e.RemovedAt.IsZero() && e.Template == t.Pattern {
			n++
		}
	}
	if n >= t.Max {
		return none, errorf(Conflict, "%s has %d environments, and may have no more; remove one first", t.Pattern, n)
	}
	// What an earlier environment of that name has left open would be open in this one.
	if v, err := s.endEnvironment(ctx, name, c.Subject); err != nil || v.Failed > 0 {
		return none, &Error{Code: Unavailable, cause: err,
			Message: "grants of an earlier environment of this name are open and could not be ended; try again"}
	}
	row := store.Environment{Name: name, Template: t.Pattern, By: c.Subject, At: s.Now()}
	err = s.Environments.RegisterEnvironment(ctx, row)
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict: by another call in between
		return none, internal(err)
	}
	return row, nil
}

// RemovalView is what the removal of an environment did.
type RemovalView struct {
	// Open is how many grants it had that were open: by state.
	Open map[grant.State]int
	// Failed is how many of them could not be ended yet: they are tried again until they are.
	Failed int
}

// RemoveEnvironment takes an ephemeral environment away: from then on nobody gets access in it; then its grants are ended. For
// operators and the template's registrars. Errors: Invalid, Forbidden, NotFound, Conflict, Unavailable.
func (s *Service) RemoveEnvironment(ctx context.Context, c Caller, name, key string) (RemovalView, error) {
	_, call, err := s.environmentCall(c, "RemoveEnvironment", name, key)
	if err != nil {
		return RemovalView{}, err
	}
	row, there, err := s.environment(ctx, name)
	if err != nil {
		return RemovalView{}, err
	}
	first, again, err := s.claimed(ctx, call)
	switch {
	case err != nil:
		return RemovalView{}, err
	case again && there && row.At.After(first):
		return RemovalView{}, nil // it was removed by this call, and another has registered it anew
	case !there && !again:
		return RemovalView{}, noEnvironment(name)
	}
	if there {
		err := s.Environments.RemoveEnvironment(ctx, name, c.Subject, s.Now())
		if err != nil && !errors.Is(err, store.ErrNotFound) { // not found: another call was faster
			return RemovalView{}, internal(err)
		}
	}
	v, err := s.endEnvironment(ctx, name, c.Subject)
	s.Poke() // whatever was asked for in between
	if err != nil {
		return RemovalView{}, &Error{Code: Unavailable, cause: err,
			Message: "the environment is removed, and nobody gets access in it; not all grants are ended yet, they will be"}
	}
	s.refresh(ctx)
	return v, nil
}

// ListEnvironments lists the ephemeral environments, by name: all for auditors and operators, for registrars those of their
// templates. Errors: Invalid, Internal.
func (s *Service) ListEnvironments(ctx context.Context, c Caller) ([]Environment, error) {
	if err := checkSubject(c.Subject); err != nil {
		return nil, err
	}
	if s.Environments == nil {
		return nil, nil
	}
	all := s.mayReadFleet(c) == nil
	rows, err := s.Environments.Environments(ctx, s.Now())
	if err != nil {
		return nil, internal(err)
	}
	var list []Environment
	for _, row := range rows {
		if row.RemovedAt.IsZero() && (all || s.isRegistrar(c, row.Name)) {
			list = append(list, s.describe(row))
		}
	}
	return list, nil
}

// environmentCall checks who calls, and what about.
func (s *Service) environmentCall(c Caller, method, name, key string) (Template, call, error) {
	if _, err := grant.NewPool(name, "any"); err != nil {
		return Template{}, call{}, errorf(Invalid, "environment: %s", err)
	}
	if !s.isOperator(c) && !s.isRegistrar(c, name) {
		return Template{}, call{}, errorf(Forbidden, "only an operator, or a registrar of its template, changes an environment")
	}
	if s.Templates == nil {
		return Template{}, call{}, errorf(NotFound, "no template of the configuration has an environment of this name")
	}
	t, ok := s.Templates.Template(name)
	switch {
	case !ok:
		return t, call{}, errorf(NotFound, "no template of the configuration has an environment of this name")
	case t.Found:
		return t, call{}, errorf(Conflict, "environments of %s come and go with their backends; to close one, lock it", t.Pattern)
	}
	made, err := newCall(c, method, key, name)
	return t, made, err
}

// claimed makes the key stand for this call, and says when it did first, if that was before.
func (s *Service) claimed(ctx context.Context, c call) (first time.Time, again bool, err error) {
	r, again, err := s.replayed(ctx, c)
	if err != nil || again {
		return r.At, again, err
	}
	return first, false, s.claim(ctx, c)
}

// isRegistrar reports whether the caller is named by the template that the environment is of.
func (s *Service) isRegistrar(c Caller, environment string) bool {
	if s.Templates == nil {
		return false
	}
	t, ok := s.Templates.Template(environment)
	return ok && slices.ContainsFunc(t.Registrars, func(r string) bool {
		// A group that is called like a service account is none.
		if strings.HasPrefix(r, servicePrefix) {
			return c.Subject.IsService() && string(c.Subject) == r
		}
		return c.Subject.IsPerson() && slices.Contains(c.Groups, r)
	})
}

const servicePrefix = "service:"

// refresh makes the catalog follow at once. Where it cannot it follows by itself, a little later.
func (s *Service) refresh(ctx context.Context) { _ = s.Templates.Refresh(ctx) }

func (s *Service) describe(row store.Environment) Environment {
	e := Environment{Name: row.Name, Template: row.Template, By: row.By, At: row.At}
	e.Pools, e.Problems = s.Templates.Describe(row.Name)
	return e
}

func noEnvironment(name string) *Error { return errorf(NotFound, "no environment %s", name) }

// environment is what the store knows of one; there is false where it was never registered, or is removed.
func (s *Service) environment(ctx context.Context, name string) (row store.Environment, there bool, err error) {
	all, err := s.incarnations(ctx)
	if err != nil {
		return row, false, internal(err)
	}
	row, known := all[name]
	return row, known && row.RemovedAt.IsZero(), nil
}

// incarnations are the ephemeral environments that there are or were, by name: each as it was last.
func (s *Service) incarnations(ctx context.Context) (map[string]store.Environment, error) {
	if s.Environments == nil {
		return nil, nil
	}
	all, err := s.Environments.Environments(ctx, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("read environments: %w", err)
	}
	by := map[string]store.Environment{}
	for _, e := range all {
		by[e.Name] = e
	}
	return by, nil
}
