package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// Result is what a pass that succeeded has reached.
type Result struct {
	// Revision of the store that the node's memory and files hold.
	Revision int64
	Worker   Worker
	// Read is when the pass began to read the store, by our clock.
	Read time.Time
	// Leases are the values that the node holds now.
	Leases desired.Table
	// Writes is the number of calls that changed something, those for the lease apart.
	Writes int
	Took   time.Duration
	Drift  []Drift
}

// rounds bounds how often a map is made right again within one pass before the pass fails: somebody else writes to it.
const rounds = 3

// refusals is how many rows of a map may fail to be removed before it is taken to be the node that fails, not the rows.
const refusals = 8

// order is the order of the maps: what closes first. Leases come last of all, and apart.
var order = []desired.Map{desired.Grants, desired.KIDs, desired.Pools, desired.Hosts}

// errWorkerChanged: another worker answers than at the start; what was read and written may have been the old one's.
var errWorkerChanged = errors.New("haproxy was reloaded during the pass")

// pass is one pass over one node.
type pass struct {
	target Target
	now    func() time.Time
	// before is what the last pass left there; nil if that is not known.
	before desired.State
	// leasing is told the leases that were found, and those to be written before they are: from then on the node may hold
	// them, however the pass ends.
	leasing func(found, given desired.Table)
	result  Result
}

// run carries out the pass. An error leaves the node with a lease that was given before, which runs out.
func (p *pass) run(ctx context.Context, source Source) (desired.State, error) {
	p.result.Read = p.now()
	snapshot, err := source.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	p.result.Revision = snapshot.Revision
	worker, err := p.target.Node.Worker(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the worker: %w", err)
	}
	fixed, err := p.target.Fixed(ctx)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	want := desired.Build(fixed, snapshot.Active, p.result.Read)
	for _, m := range order {
		if err := want[m].Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
	}
	for _, m := range order {
		if err := p.converge(ctx, m, want[m]); err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
	}
	if err := p.lease(ctx, worker); err != nil {
		return nil, fmt.Errorf("%s: %w", desired.Leases, err)
	}
	want[desired.Leases] = p.result.Leases
	p.result.Took = p.now().Sub(p.result.Read)
	return want, nil
}

// converge makes one map right: the running map, its file, and the running map again, since a reload between the two
// would have brought the file's old rows back.
func (p *pass) converge(ctx context.Context, m desired.Map, want desired.Table) error {
	for round := range rounds {
		rows, err := p.target.Node.Rows(ctx, m)
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		file, err := p.target.Node.File(ctx, m)
		if err != nil {
			return fmt.Errorf("read file: %w", err)
		}
		if round == 0 {
			p.drift(m, rows, file)
		}
		changes := desired.Diff(want, rows)
		same := bytes.Equal(file, want.Text())
		if changes.Empty() && same {
			return nil
		}
		if err := p.write(ctx, m, want, changes, same); err != nil {
			return err
		}
	}
	return errors.New("the map is not what was written to it: somebody else writes there")
}

// write changes the running map and then the file. The file is written even if the memory was right: a removal counts
// only when both are.
func (p *pass) write(ctx context.Context, m desired.Map, want desired.Table, c desired.Changes, sameFile bool) error {
	// One row that cannot be removed must not keep the others open.
	var stuck []error
	for _, key := range c.Remove {
		if err := p.target.Node.Remove(ctx, m, key); err != nil {
			stuck = append(stuck, fmt.Errorf("remove row: %w", err))
		}
		if len(stuck) == refusals {
			break
		}
	}
	if len(stuck) > 0 {
		return errors.Join(stuck...)
	}
	for _, r := range c.Set {
		if err := p.target.Node.Set(ctx, m, r); err != nil {
			return fmt.Errorf("set row: %w", err)
		}
	}
	for _, r := range c.Add {
		if err := p.target.Node.Add(ctx, m, r); err != nil {
			return fmt.Errorf("add row: %w", err)
		}
	}
	if m != desired.Leases {
		p.result.Writes += c.Len()
	}
	if sameFile {
		return nil
	}
	if err := p.target.Node.WriteFile(ctx, m, want.Text()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if m != desired.Leases {
		p.result.Writes++
	}
	return nil
}

// lease gives the leases, after everything else was found right. The worker must still be the one that was asked first,
// and be it still when the leases are written: else they may have gone to a worker that began with older files.
func (p *pass) lease(ctx context.Context, first Worker) error {
	worker, err := p.same(ctx, first)
	if err != nil {
		return err
	}
	rows, err := p.target.Node.Rows(ctx, desired.Leases)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	have := desired.Table{}
	for _, r := range rows {
		if _, there := have[r.Key]; !there {
			have[r.Key] = r.Value
		}
	}
	want := p.leases(have, worker)
	p.result.Leases = want
	p.leasing(have, want)
	if err := p.converge(ctx, desired.Leases, want); err != nil {
		return err
	}
	p.result.Worker, err = p.same(ctx, worker)
	return err
}

// same asks for the worker again and fails if it is another.
func (p *pass) same(ctx context.Context, before Worker) (Worker, error) {
	worker, err := p.target.Node.Worker(ctx)
	if err != nil {
		return Worker{}, fmt.Errorf("ask for the worker: %w", err)
	}
	if worker.PID != before.PID || worker.Uptime < before.Uptime {
		return Worker{}, errWorkerChanged
	}
	return worker, nil
}

// leases are the values that the node must hold, given those that it has. A node whose clock is behind by more than the
// bound would keep rows open for too long: it gets none.
func (p *pass) leases(have desired.Table, w Worker) desired.Table {
	want := desired.Table{}
	if w.Offset < -p.target.ClockBound {
		return want
	}
	for _, e := range p.target.Environments {
		if e.Lease == 0 {
			want[e.Name] = desired.LeaseOff
			continue
		}
		want[e.Name] = desired.Lease(have[e.Name], p.result.Read, e.Lease)
	}
	return want
}

// drift compares what is there with what the last pass left.
func (p *pass) drift(m desired.Map, rows []desired.Row, file []byte) {
	before, known := p.before[m]
	if !known {
		return
	}
	c := desired.Diff(before, rows)
	d := Drift{Map: m, File: !bytes.Equal(file, before.Text())}
	d.Foreign = append(append(d.Foreign, c.Remove...), c.Stuck...)
	for _, r := range c.Set {
		d.Changed = append(d.Changed, r.Key)
	}
	for _, r := range c.Add {
		d.Missing = append(d.Missing, r.Key)
	}
	if !c.Empty() || len(c.Stuck) > 0 || d.File {
		p.result.Drift = append(p.result.Drift, d)
	}
}
