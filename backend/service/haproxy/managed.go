package haproxy

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/nodeconfig"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	// keepInterval is how often each node is looked at, whether or not there is anything new.
	keepInterval = 30 * time.Second
	// retryInterval is how soon after a failure.
	retryInterval = 5 * time.Second
	// inputInterval is how often the fleet and the keys are compared with those that a node was given last.
	inputInterval = time.Second
	// keepTimeout bounds the work on one node.
	keepTimeout = time.Minute
	// claimTimeout bounds a question to the store who keeps a node's configuration.
	claimTimeout = 2 * time.Second
)

// ConfigObserver is told of the configuration that is kept on nodes. Its methods must not block, and errors hold no secret.
type ConfigObserver interface {
	// ConfigChanged: files were written or our sections replaced. drift says that somebody else had changed them; diff is of
	// our sections alone, and empty where only files were written.
	ConfigChanged(node string, o nodeconfig.Outcome, drift bool)
	// ConfigFailed: the node could not be made to have it. HAProxy goes on with what it has.
	ConfigFailed(node string, err error)
	// ConfigState says at each look whether the node has what is rendered.
	ConfigState(node string, kept bool)
}

// ManagerOptions say what a Manager is made of. Writers may be nil: there is no other gateway then.
type ManagerOptions struct {
	// Input is the whole checked configuration, in force until there is a Watch.
	Input haproxycfg.Input
	// Keys reads the keys that nodes verify by, with their texts.
	Keys     KeySource
	Writers  store.Writers
	Observer ConfigObserver
	// Changed is called when HAProxy was given another configuration: its maps may be new, and its worker is.
	Changed func()
	Now     func() time.Time
}

// Manager keeps the enforcement part of haproxy.cfg on the nodes that have manage_config. Of several gateways one writes to a
// node, the others only look. It is safe for concurrent use.
type Manager struct {
	service *Service
	options ManagerOptions
	loop    *access.Loop

	mu    sync.Mutex
	nodes map[string]*managed // by name; a pass has each of them in one goroutine at a time
}

// managed is what is known of a node's configuration.
type managed struct {
	settings string // of the connection that all of it is known through
	tenure   store.Tenure
	looked   time.Time
	of       inputs
	kept     *nodeconfig.Part // what it was last seen to have
	err      error
}

// inputs are what a part is rendered from: with the same ones it is the same.
type inputs struct {
	fleet *snapshot
	keys  string
	err   string
}

// NewManager makes a Manager of the nodes that the Service knows.
func (s *Service) NewManager(o ManagerOptions) (*Manager, error) {
	if o.Keys == nil || o.Observer == nil || o.Changed == nil || o.Now == nil {
		return nil, errors.New("manage configuration: a part is missing")
	}
	m := &Manager{service: s, options: o, nodes: map[string]*managed{}}
	m.loop = access.NewLoop(m.pass, inputInterval, nil, func(error) {}) // each node's error is told by itself
	return m, nil
}

// Start begins to look. A second call does nothing, nor does one after Stop.
func (m *Manager) Start() { m.loop.Start() }

// Stop ends the loop, waits for it, and gives the nodes back to other gateways. It may be called twice, or without Start.
func (m *Manager) Stop() {
	m.loop.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		n.release()
	}
}

// Status says whether the node has the enforcement part as it is rendered, and why not. Both are zero for a node that is
// not managed, or was not looked at yet.
func (m *Manager) Status(node string) (kept bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[node]
	if n == nil {
		return false, nil
	}
	return n.kept != nil && n.err == nil, n.err
}

// pass looks at all nodes that are due, each by itself: one that does not answer keeps the others waiting for no more than
// its time-outs.
func (m *Manager) pass(ctx context.Context) error {
	now := m.service.present.Load()
	m.forget(now)
	if !slices.ContainsFunc(now.nodes, func(m *member) bool { return m.managed }) {
		return nil
	}
	keys, err := m.options.Keys(ctx)
	if err != nil {
		err = fmt.Errorf("read keys: %w", err)
	}
	of := inputs{fleet: now, keys: fmt.Sprintf("%q", keys), err: fmt.Sprint(err)}
	var all sync.WaitGroup
	free := make(chan struct{}, askers)
	for _, member := range now.nodes {
		if !member.managed {
			continue
		}
		n := m.node(member)
		if !m.due(n, of) {
			continue
		}
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			m.look(ctx, member, n, of, keys, err)
		})
	}
	all.Wait()
	return nil
}

func (m *Manager) due(n *managed, of inputs) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := keepInterval
	if n.err != nil {
		wait = retryInterval
	}
	return n.of != of || m.options.Now().Sub(n.looked) >= wait
}

// node is what is known of a member; nothing, if it is reached in another way than before.
func (m *Manager) node(of *member) *managed {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[of.name]
	if n == nil || n.settings != of.settings {
		var tenure store.Tenure
		if n != nil {
			tenure = n.tenure
		}
		n = &managed{settings: of.settings, tenure: tenure}
		m.nodes[of.name] = n
	}
	return n
}

// forget drops nodes that are gone, or not managed any more.
func (m *Manager) forget(now *snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := map[string]bool{}
	for _, member := range now.nodes {
		there[member.name] = member.managed
	}
	for name, n := range m.nodes {
		if !there[name] {
			n.release()
			delete(m.nodes, name)
		}
	}
}

func (n *managed) release() {
	if n.tenure != nil {
		n.tenure.Release()
		n.tenure = nil
	}
}

// look renders what the node is to have, and keeps it there.
func (m *Manager) look(ctx context.Context, at *member, n *managed, of inputs, keys []haproxycfg.PublicKey, err error) {
	var part nodeconfig.Part
	if err == nil {
		part, err = m.part(at.name, of.fleet, keys)
	}
	var outcome nodeconfig.Outcome
	if err == nil {
		within, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		outcome, err = m.keep(within, at, n, part)
	}
	if err != nil && ctx.Err() != nil {
		return // it is to stop
	}
	drift := m.settle(n, of, part, outcome, err)
	if outcome.Changed || len(outcome.Wrote) > 0 {
		m.options.Observer.ConfigChanged(at.name, outcome, drift)
	}
	if err != nil {
		m.options.Observer.ConfigFailed(at.name, err)
	}
	m.options.Observer.ConfigState(at.name, err == nil)
	if outcome.Changed {
		m.options.Changed()
	}
}

// settle remembers what came of a look. It reports whether somebody else had changed what was kept.
func (m *Manager) settle(n *managed, of inputs, p nodeconfig.Part, o nodeconfig.Outcome, err error) (drift bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	drift = (o.Changed || len(o.Wrote) > 0) && n.kept != nil && reflect.DeepEqual(*n.kept, p)
	n.looked, n.of, n.err = m.options.Now(), of, err
	if err == nil {
		n.kept = &p
	}
	return drift
}

// errOther: another gateway keeps the node's configuration, and it is not yet as this one renders it.
var errOther = errors.New("another gateway keeps it, and the node does not have it as this gateway renders it")

// keep makes the node have the part, or only looks where another gateway does that.
func (m *Manager) keep(ctx context.Context, of *member, n *managed, part nodeconfig.Part) (nodeconfig.Outcome, error) {
	if m.options.Writers == nil {
		return nodeconfig.Keep(ctx, of.client, part)
	}
	tenure, err := m.claim(ctx, of.name)
	m.mu.Lock()
	n.tenure = tenure
	m.mu.Unlock()
	switch {
	case errors.Is(err, store.ErrHeld):
		diff, err := nodeconfig.Preview(ctx, of.client, part, false)
		if err == nil && diff != "" {
			err = errOther
		}
		return nodeconfig.Outcome{}, err
	case err != nil:
		return nodeconfig.Outcome{}, fmt.Errorf("find out which gateway keeps it: %w", err)
	}
	return nodeconfig.Keep(ctx, elected{of.client, tenure}, part)
}

func (m *Manager) claim(ctx context.Context, node string) (store.Tenure, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	return m.options.Writers.Claim(ctx, "config/"+node)
}

// elected is a node of which this gateway keeps the configuration: that is proved before each write. A call of the gateway
// before may still be under way; it has the same files, and haproxy.cfg is replaced by its version.
type elected struct {
	nodeconfig.Node
	tenure store.Tenure
}

func (e elected) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	if err := e.tenure.Check(ctx); err != nil {
		return fmt.Errorf("prove that this gateway keeps it: %w", err)
	}
	return nil
}

// PutRawConfiguration implements nodeconfig.Node.
func (e elected) PutRawConfiguration(ctx context.Context, text string, version int64, validateOnly bool) error {
	if err := e.prove(ctx); err != nil {
		return err
	}
	return e.Node.PutRawConfiguration(ctx, text, version, validateOnly)
}

// CreateMapFile implements nodeconfig.Node.
func (e elected) CreateMapFile(ctx context.Context, name string) (string, error) {
	if err := e.prove(ctx); err != nil {
		return "", err
	}
	return e.Node.CreateMapFile(ctx, name)
}

// StoreFile implements nodeconfig.Node.
func (e elected) StoreFile(ctx context.Context, name string, text []byte) error {
	if err := e.prove(ctx); err != nil {
		return err
	}
	return e.Node.StoreFile(ctx, name, text)
}

func (m *Manager) part(node string, now *snapshot, keys []haproxycfg.PublicKey) (nodeconfig.Part, error) {
	in := m.options.Input
	if now.input != nil {
		in = *now.input
	}
	in.Keys = keys
	return ConfigPart(in, node)
}
