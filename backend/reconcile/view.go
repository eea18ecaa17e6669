package reconcile

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// view is what a node holds of a map.
type view struct {
	rows   []desired.Row
	digest Digest // of the answer that had the rows
	file   []byte
	// mended says that the rows could not be listed at first. taken are those that were taken out for it by their keys, as
	// they are known, and emptied says that all others went as well.
	mended  bool
	taken   []desired.Row
	emptied bool
}

// look reads a map. What the pass before has left there is recognized, which costs little: with many rows nearly all that
// a pass costs is to read what has not changed.
func (p *pass) look(ctx context.Context, m desired.Map) (v view, err error) {
	if v.rows, v.digest, err = p.rows(ctx, m); err != nil {
		return v, fmt.Errorf("read rows: %w", err)
	}
	if v.file, err = p.file(ctx, m); err != nil {
		return v, fmt.Errorf("read file: %w", err)
	}
	return v, nil
}

func (p *pass) rows(ctx context.Context, m desired.Map) ([]desired.Row, Digest, error) {
	if p.target.Recognizer == nil {
		rows, err := p.target.Node.Rows(ctx, m)
		return rows, Digest{}, err
	}
	known := p.before.digests[m]
	rows, digest, err := p.target.Recognizer.RowsUnless(ctx, m, known)
	if err == nil && rows == nil && digest == known && known != (Digest{}) {
		rows = p.before.sheets[m].Rows()
	}
	return rows, digest, err
}

func (p *pass) file(ctx context.Context, m desired.Map) ([]byte, error) {
	sheet := p.before.sheets[m]
	if sheet == nil {
		sheet = p.want[m]
	}
	if p.target.Recognizer != nil && sheet != nil {
		same, err := p.target.Recognizer.FileIs(ctx, m, sheet.Text)
		if err != nil {
			return nil, err
		}
		if same {
			return sheet.Text, nil
		}
	}
	return p.target.Node.File(ctx, m)
}

// fileIs reports whether a map's file is just the text.
func (p *pass) fileIs(ctx context.Context, m desired.Map, text []byte) (bool, error) {
	if p.target.Recognizer != nil {
		return p.target.Recognizer.FileIs(ctx, m, text)
	}
	file, err := p.target.Node.File(ctx, m)
	return bytes.Equal(file, text), err
}

// undone is the view of grants as it would be had this pass not begun with a change: what of it is there is nobody's drift.
func (p *pass) undone(v view) view {
	want, before := p.want[desired.Grants], p.before.sheets[desired.Grants]
	if bytes.Equal(v.file, want.Text) {
		v.file = before.Text
	}
	have := firsts(v.rows)
	c := p.touched.changes
	for _, key := range slices.Concat(keys(c.Set), keys(c.Add), c.Remove) {
		if have[key] != want.Table[key] {
			continue
		}
		v.rows = slices.DeleteFunc(slices.Clone(v.rows), func(r desired.Row) bool { return r.Key == key })
		if value, there := before.Table[key]; there {
			v.rows = append(v.rows, desired.Row{Key: key, Value: value})
		}
	}
	return v
}
