package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// changeRows is how many rows a change pass carries over at most.
const changeRows = 64

// probes is how many rows are read one by one before the whole map is read.
const probes = 16

// errNotApplied: the node said that it was done, and it was not.
var errNotApplied = errors.New("the node does not hold what was written to it")

// changeSuffices reports whether the node is known to have been left right, and only few rows of grants differ since.
// Whether its worker still is the same is for change to find out.
func (p *pass) changeSuffices() bool {
	if p.before.full || p.before.sheets == nil {
		return false
	}
	for _, m := range order[1:] {
		if !bytes.Equal(p.before.sheets[m].Text, p.want[m].Text) {
			return false
		}
	}
	return p.delta().Len() <= changeRows
}

func (p *pass) delta() desired.Changes {
	return p.want[desired.Grants].Since(p.before.sheets[desired.Grants])
}

// change carries the rows that differ over to the node: removals first, in memory and then in the file, and looks at each
// of them again. It gives no lease: that takes a look at everything. Nor is it said to have done anything unless the worker
// of the pass before answers at its end: otherwise it is errWorkerChanged, and for a full pass.
//
// The worker is asked for after the rows were changed, where a new one would show then: a row that must go, or must be
// there, is no other on a new worker, and a removal waits for nothing.
func (p *pass) change(ctx context.Context) error {
	p.result.Kind = Change
	p.result.Leases = p.before.leases
	want := p.want[desired.Grants]
	j := &job{m: desired.Grants, want: want, changes: p.delta(), file: true}
	first := p.before.worker
	if j.changes.Empty() || !p.newWorkerShows() {
		var err error
		if first, err = p.unchanged(ctx, first); err != nil {
			return err
		}
	}
	p.digests = maps.Clone(p.before.digests)
	if j.changes.Empty() {
		p.follow(ctx)
		return nil // the node holds it already, and its worker is the one that the store was read before
	}
	delete(p.digests, desired.Grants)
	j.closing = len(j.changes.Remove)+len(j.changes.Set) > 0
	for _, key := range append(keys(j.changes.Set), j.changes.Remove...) {
		p.gone[key] = p.before.sheets[desired.Grants].Table[key]
	}
	p.touched = j
	if err := p.carryOut(ctx, []*job{j}); err != nil {
		return p.failed(ctx, err)
	}
	if err := p.verify(ctx, j); err != nil {
		return fmt.Errorf("%s: %w", desired.Grants, err)
	}
	if _, err := p.unchanged(ctx, first); err != nil {
		return err
	}
	p.follow(ctx)
	return nil
}

// unchanged asks for the worker again: another, or one whose node's lease is to be taken away, is for a full pass.
func (p *pass) unchanged(ctx context.Context, before Worker) (Worker, error) {
	worker, err := p.same(ctx, before)
	if err == nil && worker.Offset < -p.target.ClockBound {
		err = errWorkerChanged
	}
	return worker, err
}

// newWorkerShows reports whether a worker that took over since the one of the pass before was seen cannot be taken for it,
// even with the same process id, as in a container: it cannot have run for as long. A new one starts some time before the
// old one stops to answer.
func (p *pass) newWorkerShows() bool {
	since := p.now().Sub(p.before.seen)
	return since >= 0 && p.before.worker.Uptime > since+margin+2*uptimeStep
}

// verify reads back what was changed, after the file was written.
func (p *pass) verify(ctx context.Context, j *job) error {
	if p.target.Prober == nil || j.changes.Len() > probes {
		rows, err := p.target.Node.Rows(ctx, j.m)
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		if !j.want.Diff(rows).Empty() {
			return errNotApplied
		}
	} else if err := p.probe(ctx, j); err != nil {
		return err
	}
	same, err := p.fileIs(ctx, j.m, j.want.Text)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	if !same {
		return errNotApplied
	}
	return nil
}

func (p *pass) probe(ctx context.Context, j *job) error {
	for _, key := range append(append(keys(j.changes.Set), keys(j.changes.Add)...), j.changes.Remove...) {
		value, there, err := p.target.Prober.Row(ctx, j.m, key)
		if err != nil {
			return fmt.Errorf("read row: %w", err)
		}
		if wanted, ok := j.want.Table[key]; ok != there || value != wanted {
			return errNotApplied
		}
	}
	return nil
}
