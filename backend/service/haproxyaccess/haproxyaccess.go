// Package haproxyaccess is the Clutch service that builds the use cases of access out of the configuration, the store and
// the fleet, and starts the loops: one a node, the clock of grants, and the outbox of events.
//
// It may import any core package, Clutch, and generated code.
package haproxyaccess

// <!-- START clutchdoc -->
// description: Grants short-lived access to pools behind HAProxy and keeps every node in line with it.
// <!-- END clutchdoc -->

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lyft/clutch/backend/service"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/accesslog"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/credential"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	auditservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
	authnservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/authn"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	storeservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Name is the service's name in Clutch's configuration.
const Name = "clutch.service.haproxyaccess"

const (
	defaultTTL  = 10 * time.Minute
	defaultWait = 2 * time.Second
	// clockInterval is how often grants are looked at for what time does to them. HAProxy itself ends them on the second;
	// this is only for the record.
	clockInterval = 500 * time.Millisecond
	startTimeout  = 30 * time.Second
)

// Service is the use cases, with the loops behind them. It is safe for concurrent use.
type Service struct {
	*access.Service

	fleet  *reconcile.Fleet
	outbox *audit.Outbox
	// receiver is of HAProxy's log; nil where none is received.
	receiver *accesslog.Receiver
	// loops are all others: the grants' clock, the judge, the policy's files, what is found of the fleet, the store's
	// revision.
	loops []loop
}

// loop runs in the background until it is stopped.
type loop interface {
	Start()
	Stop()
}

// New is the factory for Clutch. It needs the store, the fleet and the audit service before it in the configuration, and
// it starts the loops: Clutch never stops a service, so they run until the process ends (see Stop for tests).
func New(cfg *anypb.Any, logger *zap.Logger, scope tally.Scope) (service.Service, error) {
	config := &accessv1.Config{}
	if err := cfg.UnmarshalTo(config); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	parts, err := findParts()
	if err != nil {
		return nil, err
	}
	s, err := build(config, parts, logger, scope)
	if err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

// Stop ends the loops. It may be called twice.
func (s *Service) Stop() {
	for _, l := range s.loops {
		l.Stop()
	}
	if s.receiver != nil {
		s.receiver.Stop()
	}
	s.fleet.Stop()
	s.outbox.Stop()
}

// start starts all loops, or none if HAProxy's log cannot be received where the configuration says.
func (s *Service) start() error {
	if s.receiver != nil {
		if err := s.receiver.Start(); err != nil {
			return fmt.Errorf("log_receiver: %w", err)
		}
	}
	s.fleet.Start()
	s.outbox.Start()
	for _, l := range s.loops {
		l.Start()
	}
	return nil
}

// parts are the services that this one is built on.
type parts struct {
	store *storeservice.Service
	fleet *haproxy.Service
	audit auditservice.EventWriter
	// authn tells of logins; nil where a gateway has Clutch's own, which does not. Logins then show when somebody calls.
	authn logins
}

// logins is what our authn service offers beyond Clutch's.
type logins interface {
	OnLogin(authnservice.LoginListener)
}

func findParts() (parts, error) {
	var p parts
	var ok bool
	if p.store, ok = service.Registry[storeservice.Name].(*storeservice.Service); !ok {
		return p, fmt.Errorf("services: %s must be listed before %s", storeservice.Name, Name)
	}
	if p.fleet, ok = service.Registry[haproxy.Name].(*haproxy.Service); !ok {
		return p, fmt.Errorf("services: %s must be listed before %s", haproxy.Name, Name)
	}
	// Clutch's own auditor and ours both have the two methods.
	if p.audit, ok = service.Registry[auditservice.Name].(auditservice.EventWriter); !ok {
		return p, fmt.Errorf("services: %s must be listed before %s", auditservice.Name, Name)
	}
	p.authn, _ = service.Registry[authnservice.Name].(logins)
	return p, nil
}

func build(config *accessv1.Config, p parts, logger *zap.Logger, scope tally.Scope) (*Service, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	observer := newObserver(logger, scope)
	files, err := newPolicyFiles(config.GetPolicy().GetFiles(), observer, time.Now)
	if err != nil {
		return nil, err
	}
	agents, err := agentsOf(config.GetAgents())
	if err != nil {
		return nil, err
	}
	issuer, err := newIssuer(ctx, config.GetToken(), p.store)
	if err != nil {
		return nil, err
	}
	in, err := haproxycfg.FromConfig(p.fleet.Config(), config, nil)
	if err != nil {
		return nil, err
	}
	keys := keySource(p)
	targets, err := p.fleet.Targets(in, keys)
	if err != nil {
		return nil, err
	}
	var use *access.Service // set before anything of this starts
	fleet := newFleet(p, targets, drifts(func(ctx context.Context, d grant.Drift) error { return use.DriftFound(ctx, d) }), observer)
	outbox := newOutbox(p, observer)
	watch, err := newWatch(p, config, keys, fleet, func() { use.Poke() }, observer)
	if err != nil {
		return nil, err
	}
	manager, err := newManager(p, in, keys, fleet, observer)
	if err != nil {
		return nil, err
	}
	directory := access.NewLogins(p.store, time.Now, func() { use.Poke() })
	use, err = access.New(access.Config{
		Grants: p.store, History: p.store, Directory: directory, Policy: files.current, Source: files, Catalog: p.fleet,
		Tokens: tokens{issuer}, Enforcer: enforcer{fleet, outbox}, Fleet: nodes{p.fleet, fleet, manager}, Reports: p.store,
		Environments: p.store, Templates: watch,
		Auditors: config.GetAuditors(), Operators: config.GetOperators(), Agents: agents,
		GroupsMaxAge: durationOr(config.GetGroupsMaxAge(), defaultMaxAge),
		Wait:         durationOr(config.GetEnforcementWait(), defaultWait), Now: time.Now, NewID: newID,
	})
	if err != nil {
		return nil, err
	}
	if err := use.PolicyInForce(ctx); err != nil {
		return nil, fmt.Errorf("record which policy is in force: %w", err)
	}
	if p.authn != nil {
		p.authn.OnLogin(seen(directory, observer))
	}
	loops := []loop{
		access.NewClock(use, clockInterval, observer.clockFailed),
		access.NewJudge(use, durationOr(config.GetPolicy().GetJudgeInterval(), defaultJudge), observer.judgeFailed),
		access.NewLoop(files.follow(use), durationOr(config.GetPolicy().GetReloadInterval(), defaultReload), nil,
			observer.policyNotRecorded),
		watch,
		manager,
	}
	if p.store.Shared() {
		loops = append(loops, newPoll(p.store, fleet, outbox, observer))
	}
	receiver, err := newReceiver(p.fleet.Config().GetLogReceiver(), p.fleet.Knows, p.store, observer)
	if err != nil {
		return nil, err
	}
	return &Service{Service: use, fleet: fleet, outbox: outbox, receiver: receiver, loops: loops}, nil
}

// seenTimeout bounds how long a login waits for the store.
const seenTimeout = 2 * time.Second

// seen tells the directory of a login at once: who has lost a group loses what rests on it without calling us again.
func seen(directory access.Directory, o *observer) authnservice.LoginListener {
	return func(ctx context.Context, subject grant.Subject, groups []string, at time.Time) {
		ctx, cancel := context.WithTimeout(ctx, seenTimeout)
		defer cancel()
		if _, err := directory.Seen(ctx, access.Login{Subject: subject, Groups: groups, At: at}); err != nil {
			o.loginNotKept(err) // the person's next call tries again
		}
	}
}

func agentsOf(config []*accessv1.Agent) (map[grant.Subject]access.Agent, error) {
	agents := map[grant.Subject]access.Agent{}
	names := map[string]bool{}
	for i, a := range config {
		account, err := grant.Service(a.GetServiceAccount())
		if err != nil {
			return nil, fmt.Errorf("agents[%d].service_account: %w", i, err)
		}
		subject, err := grant.Agent(a.GetName())
		if err != nil {
			return nil, fmt.Errorf("agents[%d].name: %w", i, err)
		}
		owner, err := grant.Person(a.GetOwner())
		if err != nil {
			return nil, fmt.Errorf("agents[%d].owner: %w", i, err)
		}
		if _, taken := agents[account]; taken || names[a.GetName()] {
			return nil, fmt.Errorf("agents[%d]: its name or its service account is another agent's", i)
		}
		names[a.GetName()] = true
		agents[account] = access.Agent{Subject: subject, Owner: owner}
	}
	return agents, nil
}

// newIssuer opens the signing key, so that a wrong encryption key stops the start and not the first request.
func newIssuer(ctx context.Context, config *accessv1.Token, keys store.Keys) (*credential.Issuer, error) {
	sealer, err := credential.SealerFromFile(config.GetEncryptionKeyFile())
	if err != nil {
		return nil, fmt.Errorf("token.encryption_key_file: %w", err)
	}
	if _, _, err := credential.Init(ctx, keys, sealer, time.Now()); err != nil {
		return nil, fmt.Errorf("token.encryption_key_file: %w", err)
	}
	ttl := durationOr(config.GetTtl(), defaultTTL)
	return credential.NewIssuer(keys, sealer, config.GetIssuer(), ttl), nil
}

// keySource reads the keys that nodes verify by: ours out of the store, and those of the configured identity providers.
func keySource(p parts) haproxy.KeySource {
	return func(ctx context.Context) ([]haproxycfg.PublicKey, error) {
		published, err := credential.Published(ctx, p.store)
		if err != nil {
			return nil, err
		}
		if len(published) == 0 {
			return nil, errors.New("the store has no signing key")
		}
		var keys []haproxycfg.PublicKey
		for _, k := range published {
			keys = append(keys, haproxycfg.PublicKey{KID: k.KID, Alg: k.Alg, PEM: k.PEM})
		}
		for _, idp := range p.fleet.Config().GetEnforcement().GetIdentityProviders() {
			for _, k := range idp.GetKeys() {
				keys = append(keys, haproxycfg.PublicKey{Issuer: idp.GetName(), KID: k.GetKid()})
			}
		}
		return keys, nil
	}
}

// newID is a grant's id: random, so that it says nothing and cannot be guessed, and sorted by time for the database.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
