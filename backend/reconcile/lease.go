package reconcile

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// lease gives the leases, after everything else was found right. The worker must still be the one that was asked first,
// and be it still when the leases are written: else they may have gone to a worker that began with older files.
func (p *pass) lease(ctx context.Context, first Worker) error {
	worker, err := p.same(ctx, first)
	if err != nil {
		return err
	}
	v, err := p.see(ctx, desired.Leases)
	if err != nil {
		return err
	}
	p.drift(desired.Leases, v)
	have := firsts(v.rows)
	want := p.leases(have, worker)
	p.result.Leases = want
	p.leasing(worker, p.result.Read, have, want)
	p.want[desired.Leases] = desired.NewSheet(want)
	if err := p.giveLeases(ctx, v); err != nil {
		return err
	}
	_, err = p.same(ctx, worker)
	return err
}

// firsts are the values that count for HAProxy.
func firsts(rows []desired.Row) desired.Table {
	have := desired.Table{}
	for _, r := range rows {
		if _, there := have[r.Key]; !there {
			have[r.Key] = r.Value
		}
	}
	return have
}

// giveLeases makes the map of leases right, of which v was read.
func (p *pass) giveLeases(ctx context.Context, v view) error {
	want := p.want[desired.Leases]
	for range rounds {
		j := &job{m: desired.Leases, want: want, changes: want.Diff(v.rows), file: !bytes.Equal(v.file, want.Text)}
		if j.changes.Empty() && !j.file {
			return nil
		}
		j.closing = len(j.changes.Remove) > 0
		closed := p.closed
		err := p.carryOut(ctx, []*job{j})
		p.closed = closed // a lease is no row
		if err != nil {
			return err
		}
		if v, err = p.look(ctx, desired.Leases); err != nil {
			return err
		}
	}
	return errors.New("the map is not what was written to it: somebody else writes there")
}

// leases are the values that the node must hold, given those that it has. A node whose clock is behind by more than the
// bound would keep rows open for too long: it gets none. One that is ahead ends everything too early, which is safe.
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

// leaseAge is how long ago the read was that the oldest lease rests on.
func (p *pass) leaseAge() time.Duration {
	var age time.Duration
	for _, e := range p.target.Environments {
		if until := desired.LeaseTime(p.result.Leases[e.Name]); e.Lease > 0 && !until.IsZero() {
			age = max(age, e.Lease-until.Sub(p.now()))
		}
	}
	return age
}

// renewal is how often a lease must be renewed: every third of its length, and of a short one every third of what is left
// of it when it was rounded to whole seconds.
func renewal(length time.Duration) time.Duration {
	if length < 6*time.Second {
		return (length - time.Second) / 3
	}
	return length / 3
}
