package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// owed are rows that must go, by map and key, with the value that they had.
type owed map[desired.Map]map[string]string

// after adds what must go where a node that may hold the sheets left is to hold those of want.
func (o owed) after(left, want desired.Sheets) owed {
	all := owed{}
	for _, m := range order {
		all[m] = map[string]string{}
		maps.Copy(all[m], o[m])
		if older := left[m]; older != nil {
			c := want[m].Since(older)
			for _, key := range slices.Concat(keys(c.Set), c.Remove) {
				if value := older.Table[key]; !extends(m, value, want[m].Table[key]) {
					all[m][key] = value
				}
			}
		}
	}
	return all
}

// extends reports whether a row's value is that of the same grant with a later end: to have the older one for a while more
// opens nothing.
func extends(m desired.Map, older, newer string) bool {
	_, was, _ := strings.Cut(older, ":")
	_, is, _ := strings.Cut(newer, ":")
	return m == desired.Grants && was != "" && was == is && older <= newer
}

// bare are the keys of the rows that have no value.
func bare(rows []desired.Row) []string {
	return keys(slices.DeleteFunc(slices.Clone(rows), func(r desired.Row) bool { return r.Value != "" }))
}

// see reads a map. Where the node cannot list its rows, those that must go are closed by their keys, as far as they are
// known, and the row that is in the way with them, whose key is in the file that it came from; if that is not enough, all
// rows are replaced or emptied. What is wanted comes back with all that opens, and the pass goes on with what is listed then.
// An error leaves as little open as can be: in the file too.
func (p *pass) see(ctx context.Context, m desired.Map) (view, error) {
	v, err := p.look(ctx, m)
	if !errors.Is(err, ErrUnlisted) {
		return v, err
	}
	faulty := errors.Is(err, ErrFaultyRow)
	file, unread := p.target.Node.File(ctx, m)
	must := p.closings(m, file)
	p.noteMust(m, must)
	if len(must) <= bulkRows || p.target.Bulk == nil || !faulty {
		stuck := p.closeByKey(ctx, m, must)
		if unsettled(stuck) || errors.Is(stuck, ErrNotWriter) {
			return v, errors.Join(err, stuck)
		}
		if v, err = p.look(ctx, m); err == nil {
			v.mended, v.taken = faulty, must
			return v, nil // what is stuck is seen, and met again
		}
		err = errors.Join(err, stuck)
	}
	if errors.Is(err, ErrFaultyRow) && p.target.Bulk != nil {
		if failed := p.empty(ctx, m); failed != nil {
			err = errors.Join(err, failed)
		} else if v, err = p.look(ctx, m); err == nil {
			v.mended, v.taken, v.emptied = true, must, true
			return v, nil
		}
	}
	return v, errors.Join(err, unread, p.shutFile(ctx, m, file))
}

// closings are the rows that are known to be wrong, without that of the running map: what is owed, and what the file has,
// with which the running worker may have begun.
func (p *pass) closings(m desired.Map, file []byte) []desired.Row {
	wrong := map[string]string{}
	maps.Copy(wrong, p.owed[m])
	for _, r := range desired.Lines(file) {
		right := r.Value != ""
		if want := p.want[m]; right && want != nil { // what leases are wanted is not known before the others are read
			right = want.Table[r.Key] == r.Value || extends(m, r.Value, want.Table[r.Key])
		}
		if _, known := wrong[r.Key]; !right && !known {
			wrong[r.Key] = r.Value
		}
	}
	return desired.Table(wrong).Rows()
}

// noteMust remembers the rows of grants that are about to go.
func (p *pass) noteMust(m desired.Map, must []desired.Row) {
	if m == desired.Grants {
		p.noteGone(desired.Changes{Remove: keys(must)}, must)
	}
}

// closeByKey removes rows, but for those that no call can name, and asks for each whether it is gone where that can be asked.
func (p *pass) closeByKey(ctx context.Context, m desired.Map, must []desired.Row) error {
	var stuck []error
	for _, r := range must {
		if !desired.CanSend(r.Key) {
			continue
		}
		err := p.remove(ctx, m, r.Key)
		if err == nil {
			err = p.absent(ctx, m, r)
		}
		if err == nil {
			continue
		}
		stuck = append(stuck, fmt.Errorf("remove row: %w", err))
		if len(stuck) == refusals || unsettled(err) || errors.Is(err, ErrNotWriter) {
			break
		}
	}
	return errors.Join(stuck...)
}

func (p *pass) absent(ctx context.Context, m desired.Map, r desired.Row) error {
	if p.target.Prober == nil {
		return nil
	}
	_, there, err := p.target.Prober.Row(ctx, m, r.Key)
	if err != nil {
		return fmt.Errorf("read row: %w", err)
	}
	if there {
		if p.owed[m] != nil {
			p.owed[m][r.Key] = r.Value
		}
		return errNotApplied
	}
	return nil
}

// empty leaves nothing in a running map but what it must hold, or nothing at all where that is too little to be put in its
// place at once.
func (p *pass) empty(ctx context.Context, m desired.Map) error {
	if want := p.want[m]; want != nil && len(want.Text) > bulkText {
		j := &job{m: m, want: want, closing: true}
		if older := p.before.left[m]; older != nil {
			j.changes = want.Since(older)
		}
		return p.replace(ctx, j)
	}
	p.closed = true
	p.count(m)
	err := p.write(ctx, func(ctx context.Context) error { return p.target.Bulk.Clear(ctx, m) })
	if err != nil {
		return fmt.Errorf("clear map: %w", err)
	}
	return nil
}

// shutFile keeps a reload from bringing back what must go from a map that cannot be listed.
func (p *pass) shutFile(ctx context.Context, m desired.Map, file []byte) error {
	want := p.want[m]
	if want == nil || ctx.Err() != nil || !holdsMore(file, want.Table) {
		return nil
	}
	return p.writeFile(ctx, &job{m: m, want: want, file: true})
}

// found are the rows that the map is taken to have held before anything was taken out of it.
func (v view) found(before *desired.Sheet) []desired.Row {
	rows := v.rows
	if v.emptied {
		rows = before.Rows() // the others are not known
	}
	if len(v.taken) == 0 {
		return rows
	}
	taken := map[string]bool{}
	for _, r := range v.taken {
		taken[r.Key] = true
	}
	rest := slices.DeleteFunc(slices.Clone(rows), func(r desired.Row) bool { return taken[r.Key] })
	return append(rest, v.taken...)
}
