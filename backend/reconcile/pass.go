package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// order is the order of the maps: what closes first. Leases come last of all, and apart.
var order = []desired.Map{desired.Grants, desired.KIDs, desired.Pools, desired.Hosts}

// errWorkerChanged: another worker answers than at the start; what was read and written may have been the old one's.
var errWorkerChanged = errors.New("haproxy was reloaded during the pass")

// memory is what a loop knows of its node from one pass to the next.
type memory struct {
	// sheets are what the last pass left there, and worker the one that it was left with; nil if that is not known.
	sheets desired.Sheets
	worker Worker
	seen   time.Time // when it was asked which worker that is
	leases desired.Table
	// digests are of answers that had just the rows of sheets.
	digests map[desired.Map]Digest
	// left are the sheets of the newest pass that knew what the node must hold, however it ended; owed are the rows that must
	// go, and that no pass since the last one that succeeded has seen to be gone.
	left desired.Sheets
	owed owed
	// stuck are rows that no call can remove and that were told of: they are no news until the next reload drops them.
	stuck stuck
	// full says that only a full pass will do, purge that older workers hold rows that are gone, or may, and cut that
	// streams run for some.
	full, purge, cut bool
}

// pass is one pass over one node.
type pass struct {
	target Target
	now    func() time.Time
	feed   *feed
	guard  *guard
	before memory
	// leasing is told the leases that were found, and those to be written before they are: from then on the node may hold
	// them, however the pass ends.
	leasing func(w Worker, read time.Time, found, given desired.Table)

	content *content
	want    desired.Sheets
	digests map[desired.Map]Digest // of answers that had just the rows of want
	result  Result
	// unsettled says that a write got no answer, and may still be carried out.
	unsettled bool
	// written are the grants whose rows were written, by id; gone are the rows that were removed, by key.
	written map[string]writing
	gone    map[string]string
	owed    owed
	closed  bool // a row was taken away
	stuck   stuck
	touched *job // what was changed before it was found that only a full pass will do
	seen    time.Time
}

// stuck are foreign keys that no call can remove, by map.
type stuck map[desired.Map]map[string]bool

// stuckKept bounds how many of a map are remembered.
const stuckKept = 1000

func (s stuck) note(m desired.Map, keys []string) {
	s[m] = map[string]bool{}
	for _, key := range keys[:min(len(keys), stuckKept)] {
		s[m][key] = true
	}
}

// run carries out the pass. An error leaves the node with a lease that was given before, which runs out.
func (p *pass) run(ctx context.Context) error {
	p.result.Read = p.now()
	p.written, p.gone, p.stuck, p.digests = map[string]writing{}, map[string]string{}, stuck{}, map[desired.Map]Digest{}
	var err error
	if p.content, err = p.feed.read(ctx); err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	p.result.Revision = p.content.revision
	if err := p.desire(ctx); err != nil {
		return err
	}
	if err := p.bring(ctx); err != nil {
		return err
	}
	p.result.Rows = map[desired.Map]int{desired.Leases: len(p.result.Leases)}
	for _, m := range order {
		p.result.Rows[m] = len(p.want[m].Table)
	}
	p.result.LeaseAge = p.leaseAge()
	p.result.Took = p.now().Sub(p.result.Read)
	return nil
}

// bring brings the node in line, by as little as suffices.
func (p *pass) bring(ctx context.Context) error {
	lost := false
	if p.changeSuffices() {
		err := p.change(ctx)
		lost = errors.Is(err, errNotApplied)
		if !lost && !errors.Is(err, errWorkerChanged) {
			return err
		}
	}
	worker, err := p.ask(ctx)
	if err != nil {
		return err
	}
	if lost && worker.follows(p.before.worker) {
		p.before.sheets, p.before.digests = nil, nil // not drift: it is not known whose deed that is
	}
	return p.full(ctx, worker)
}

// ask asks which worker answers.
func (p *pass) ask(ctx context.Context) (Worker, error) {
	at := p.now()
	worker, err := p.target.Node.Worker(ctx)
	if err != nil {
		return Worker{}, fmt.Errorf("ask for the worker: %w", err)
	}
	p.result.Worker, p.seen = worker, at
	return worker, nil
}

// desire works out what the node must hold.
func (p *pass) desire(ctx context.Context) error {
	fixed, err := p.target.Fixed(ctx)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	p.want = desired.Build(fixed, p.content.book, p.result.Read)
	for _, m := range order {
		if err := p.want[m].Check(); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	p.owed = p.before.owed.after(p.before.left, p.want)
	return nil
}

// rounds bounds how often the maps are made right again within one pass before the pass fails: somebody else writes to
// them.
const rounds = 3

// full looks at everything, makes it right, looks again, and gives the lease.
func (p *pass) full(ctx context.Context, first Worker) error {
	p.result.Kind = Full
	if err := p.converge(ctx, order); err != nil {
		return p.failed(ctx, err)
	}
	err := p.lease(ctx, first)
	if err != nil {
		err = fmt.Errorf("%s: %w", desired.Leases, err)
	}
	p.follow(ctx) // a lease that could not be written is no reason to leave old workers open
	return err
}

// failed follows up what a pass that fails has taken away: rows that cannot be added are no reason to let streams run.
func (p *pass) failed(ctx context.Context, err error) error {
	if p.closed && !errors.Is(err, ErrNotWriter) && !p.unsettled {
		p.follow(ctx)
	}
	return err
}

// converge makes maps right: the running maps, their files, and the running maps again, since a reload between the two
// would have brought the files' old rows back.
func (p *pass) converge(ctx context.Context, maps []desired.Map) error {
	for round := range rounds {
		views, err := p.survey(ctx, maps, round == 0)
		if views == nil {
			return err
		}
		work := p.plan(maps, views)
		if err != nil { // what can be seen is closed all the same
			return errors.Join(err, p.shut(ctx, work))
		}
		if len(work) == 0 {
			return nil
		}
		if err := p.carryOut(ctx, work); err != nil {
			return err
		}
		maps = maps[:0:0]
		for _, w := range work {
			maps = append(maps, w.m)
		}
	}
	return fmt.Errorf("%s: the map is not what was written to it: somebody else writes there", maps[0])
}

// survey reads maps, and notes drift where they are read for the first time in this pass. Maps that the node cannot list are
// missing from views, with an error; another error leaves no views.
func (p *pass) survey(ctx context.Context, maps []desired.Map, drifts bool) (map[desired.Map]view, error) {
	views := map[desired.Map]view{}
	var unlisted []error
	for _, m := range maps {
		v, err := p.see(ctx, m)
		if err != nil {
			err = fmt.Errorf("%s: %w", m, err)
			if !errors.Is(err, ErrUnlisted) || unsettled(err) || errors.Is(err, ErrNotWriter) {
				return nil, err
			}
			unlisted = append(unlisted, err)
			continue
		}
		views[m] = v
		if drifts {
			p.drift(m, v)
		}
	}
	return views, errors.Join(unlisted...)
}

func (p *pass) drift(m desired.Map, v view) {
	before, known := p.before.sheets[m]
	if !known && !v.mended {
		return
	}
	if known && m == desired.Grants && p.touched != nil {
		v = p.undone(v)
	}
	if d, there := newDrift(m, before, v, p.before.stuck[m]); there {
		p.result.Drift = append(p.result.Drift, d)
	}
}

// same asks for the worker again and fails if it is another.
func (p *pass) same(ctx context.Context, before Worker) (Worker, error) {
	worker, err := p.ask(ctx)
	if err == nil && !worker.follows(before) {
		err = errWorkerChanged
	}
	return worker, err
}

// follow takes the rows that are gone out of older workers, and cuts the streams that still run for them. Neither is a
// reason to take the lease from a node: what could not be done is reported, and done again.
func (p *pass) follow(ctx context.Context) {
	closing := p.result.Kind == Full || p.closed
	p.result.purged, p.result.cut = p.target.Elders != nil, p.target.Streams != nil
	if p.target.Elders != nil && (closing || p.before.purge) {
		p.result.EldersErr = p.permitted(ctx, p.purge)
		p.result.purged = p.result.EldersErr == nil
	}
	if p.target.Streams != nil && (closing || p.before.cut) {
		p.result.StreamsErr = p.permitted(ctx, p.cut)
		p.result.cut = p.result.StreamsErr == nil
	}
}

func (p *pass) purge(ctx context.Context) (err error) {
	p.result.OldWorkers, err = p.target.Elders.Purge(ctx, map[desired.Map]desired.Table{
		desired.Grants: p.want[desired.Grants].Table, desired.KIDs: p.want[desired.KIDs].Table,
	})
	return err
}

func (p *pass) cut(ctx context.Context) (err error) {
	live := p.want[desired.Grants].Table
	p.result.StreamsCut, err = p.target.Streams.Cut(ctx, func(key string) bool { return live[key] != "" })
	return err
}
