package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// changeRows is how many rows a change pass carries over at most.
const changeRows = 64

// probes is how many rows are read one by one before the whole map is read.
const probes = 16

// errNotApplied: the node said that it was done, and it was not.
var errNotApplied = errors.New("the node does not hold what was written to it")

// changeSuffices reports whether the node is known to have been left right, by the same worker, and only few rows of
// grants differ since.
func (p *pass) changeSuffices(worker Worker) bool {
	if p.before.full || p.before.sheets == nil || !worker.follows(p.before.worker) {
		return false
	}
	if worker.Offset < -p.target.ClockBound {
		return false // its lease is to be taken away
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
// of them again. It gives no lease: that takes a look at everything.
func (p *pass) change(ctx context.Context, first Worker) error {
	p.result.Kind = Change
	p.result.Leases = p.before.leases
	want := p.want[desired.Grants]
	j := &job{m: desired.Grants, want: want, changes: p.delta(), file: true}
	if j.changes.Empty() {
		p.follow(ctx)
		return nil // the node holds it already, and its worker is the one that the store was read before
	}
	j.closing = len(j.changes.Remove)+len(j.changes.Set) > 0
	for _, key := range append(keys(j.changes.Set), j.changes.Remove...) {
		p.gone[key] = p.before.sheets[desired.Grants].Table[key]
	}
	if err := p.carryOut(ctx, []*job{j}); err != nil {
		return p.failed(ctx, err)
	}
	if err := p.verify(ctx, j); err != nil {
		return fmt.Errorf("%s: %w", desired.Grants, err)
	}
	worker, err := p.same(ctx, first)
	if err != nil {
		return err
	}
	p.result.Worker = worker
	p.follow(ctx)
	return nil
}

// verify reads back what was changed, after the file was written.
func (p *pass) verify(ctx context.Context, j *job) error {
	if p.target.Prober == nil || j.changes.Len() > probes {
		rows, err := p.target.Node.Rows(ctx, j.m)
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		if !desired.Diff(j.want.Table, rows).Empty() {
			return errNotApplied
		}
	} else if err := p.probe(ctx, j); err != nil {
		return err
	}
	file, err := p.target.Node.File(ctx, j.m)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	if !bytes.Equal(file, j.want.Text) {
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
