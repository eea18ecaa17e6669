package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

const (
	// refusals is how many rows may fail to be removed before it is taken to be the node that fails, not the rows.
	refusals = 8
	// bulkText is the size of a table in bytes above which the Data Plane API replaces a map and does not add to it; bulkRows
	// is the number of changes from which on that is worth it.
	bulkText = 8 << 10
	bulkRows = 64
)

// job is what is to be done to one map.
type job struct {
	m       desired.Map
	want    *desired.Sheet
	changes desired.Changes
	bulk    bool // by replacing the map, but for a few removals
	file    bool // the file is to be written
	closing bool // the file, or the map that is to be replaced, has what must go
}

// plan lists what is to be done to the maps that are not right, in their order.
func (p *pass) plan(maps []desired.Map, views map[desired.Map]view) []*job {
	var work []*job
	for _, m := range maps {
		want := p.want[m]
		v, seen := views[m]
		if !seen {
			continue
		}
		j := &job{m: m, want: want, changes: want.Diff(v.rows), file: !bytes.Equal(v.file, want.Text)}
		p.stuck.note(m, j.changes.Stuck)
		if j.changes.Empty() && len(j.changes.Stuck) == 0 {
			p.digests[m] = v.digest
		}
		if j.changes.Empty() && !j.file {
			continue
		}
		delete(p.digests, m) // what is read after the change counts
		j.bulk = p.target.Bulk != nil && len(want.Text) > bulkText && j.changes.Len() > bulkRows
		j.closing = len(j.changes.Remove)+len(j.changes.Set) > 0 || j.file && holdsMore(v.file, want.Table)
		if m == desired.Grants {
			p.noteGone(j.changes, v.rows)
		}
		work = append(work, j)
	}
	return work
}

// holdsMore reports whether a file has a row that the table does not have.
func holdsMore(file []byte, want desired.Table) bool {
	have, _ := desired.Parse(file)
	for key, value := range have {
		if want[key] != value {
			return true
		}
	}
	return false
}

// noteGone remembers the rows of grants that are about to go.
func (p *pass) noteGone(c desired.Changes, rows []desired.Row) {
	if len(c.Remove)+len(c.Set) == 0 {
		return
	}
	going := make(map[string]bool, len(c.Remove)+len(c.Set))
	for _, key := range slices.Concat(keys(c.Set), c.Remove) {
		going[key] = true
	}
	for _, r := range rows {
		if _, noted := p.gone[r.Key]; going[r.Key] && !noted {
			p.gone[r.Key] = r.Value
		}
	}
}

// carryOut changes the node: what closes first, over all maps, in memory and in the files, and only then what opens. The
// order is: rows that go, rows that change, files with rows that must go; then rows that are new, and the other files.
func (p *pass) carryOut(ctx context.Context, work []*job) error {
	if err := p.shut(ctx, work); err != nil {
		return err
	}
	return p.open(ctx, work)
}

// shut does what closes.
func (p *pass) shut(ctx context.Context, work []*job) error {
	errs := []error{p.close(ctx, work)}
	// A row that cannot be removed now must not stay in a file for that, nor keep another map's.
	for _, j := range work {
		if j.closing && ctx.Err() == nil {
			errs = append(errs, j.failed(p.writeFile(ctx, j)))
		}
	}
	return errors.Join(errs...)
}

func (j *job) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", j.m, err)
}

// close removes and changes rows. One row that cannot be removed must not keep the others open.
func (p *pass) close(ctx context.Context, work []*job) error {
	var stuck []error
	for _, j := range work {
		if j.bulk && len(j.changes.Remove) > bulkRows {
			continue // replaced below
		}
		for _, key := range j.changes.Remove {
			if err := p.remove(ctx, j.m, key); err != nil {
				stuck = append(stuck, fmt.Errorf("%s: remove row: %w", j.m, err))
				if len(stuck) == refusals || unsettled(err) || errors.Is(err, ErrNotWriter) {
					return errors.Join(stuck...)
				}
			}
		}
	}
	for _, j := range work {
		if err := p.alter(ctx, j); err != nil {
			return errors.Join(append(stuck, j.failed(err))...)
		}
	}
	return errors.Join(stuck...)
}

// alter changes rows of a map, or replaces it where it has rows that go or change.
func (p *pass) alter(ctx context.Context, j *job) error {
	if j.bulk {
		if j.closing {
			return p.replace(ctx, j)
		}
		return nil
	}
	for _, r := range j.changes.Set {
		if err := p.set(ctx, j.m, r); err != nil {
			return err
		}
	}
	return nil
}

// open adds rows, and writes the files that only lack some.
func (p *pass) open(ctx context.Context, work []*job) error {
	for _, j := range work {
		if err := p.append(ctx, j); err != nil {
			return j.failed(err)
		}
	}
	for _, j := range work {
		if !j.closing {
			if err := p.writeFile(ctx, j); err != nil {
				return j.failed(err)
			}
		}
	}
	return nil
}

func (p *pass) append(ctx context.Context, j *job) error {
	if j.bulk {
		if j.closing {
			return nil // done
		}
		return p.replace(ctx, j)
	}
	for _, r := range j.changes.Add {
		if err := p.add(ctx, j.m, r); err != nil {
			return err
		}
	}
	return nil
}

// permitted makes a call that only the node's writer may make.
func (p *pass) permitted(ctx context.Context, call func(ctx context.Context) error) error {
	ctx, cancel, err := p.guard.permit(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return call(ctx)
}

// write makes a call that can bring a row back, and notes one whose end is not known.
func (p *pass) write(ctx context.Context, call func(ctx context.Context) error) error {
	err := p.permitted(ctx, call)
	if err != nil && unsettled(err) {
		p.unsettled = true
	}
	return err
}

// count counts a call that changed a map.
func (p *pass) count(m desired.Map) {
	if m != desired.Leases {
		p.result.Writes++
	}
}

func (p *pass) remove(ctx context.Context, m desired.Map, key string) error {
	p.closed = true
	p.count(m)
	err := p.write(ctx, func(ctx context.Context) error { return p.target.Node.Remove(ctx, m, key) })
	if err == nil {
		delete(p.owed[m], key)
	}
	return err
}

func (p *pass) set(ctx context.Context, m desired.Map, r desired.Row) error {
	p.closed = true
	p.count(m)
	p.noteWritten(m, r)
	err := p.write(ctx, func(ctx context.Context) error { return p.target.Node.Set(ctx, m, r) })
	if err != nil {
		return fmt.Errorf("set row: %w", err)
	}
	return nil
}

func (p *pass) add(ctx context.Context, m desired.Map, r desired.Row) error {
	p.count(m)
	p.noteWritten(m, r)
	err := p.write(ctx, func(ctx context.Context) error { return p.target.Node.Add(ctx, m, r) })
	if err != nil {
		return fmt.Errorf("add row: %w", err)
	}
	return nil
}

func (p *pass) replace(ctx context.Context, j *job) error {
	p.closed = p.closed || j.closing
	p.count(j.m)
	for _, r := range slices.Concat(j.changes.Set, j.changes.Add) {
		p.noteWritten(j.m, r)
	}
	err := p.write(ctx, func(ctx context.Context) error { return p.target.Bulk.Replace(ctx, j.m, j.want.Table) })
	if err != nil {
		return fmt.Errorf("replace map: %w", err)
	}
	return nil
}

func (p *pass) writeFile(ctx context.Context, j *job) error {
	if !j.file {
		return nil
	}
	p.count(j.m)
	err := p.write(ctx, func(ctx context.Context) error { return p.target.Node.WriteFile(ctx, j.m, j.want.Text) })
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

// noteWritten remembers when a grant's row was written, or may have been: whether it is there is found by reading back.
func (p *pass) noteWritten(m desired.Map, r desired.Row) {
	if _, id, ok := strings.Cut(r.Value, ":"); ok && m == desired.Grants {
		p.written[id] = writing{key: r.Key, at: p.now()}
	}
}
