package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// node is one HAProxy as reconcile asks for it, over the Data Plane API.
type node struct{ client *dataplane.Client }

// Worker implements reconcile.Node.
func (n node) Worker(ctx context.Context) (reconcile.Worker, error) {
	w, c, err := n.client.Worker(ctx)
	if err != nil {
		return reconcile.Worker{}, err
	}
	return reconcile.Worker{PID: w.PID, Version: w.Version, Uptime: w.Uptime, Offset: offset(c)}, nil
}

// offset is how far the node's clock is from ours at least. The Date header is cut to a whole second, and was written at
// some moment between sending and receiving: what could be explained by that is no difference.
func offset(c dataplane.Clock) time.Duration {
	if behind := c.Date.Add(time.Second).Sub(c.Sent); behind < 0 {
		return behind
	}
	if ahead := c.Date.Sub(c.Received); ahead > 0 {
		return ahead
	}
	return 0
}

// Rows implements reconcile.Node.
func (n node) Rows(ctx context.Context, m desired.Map) ([]desired.Row, error) {
	entries, err := n.client.Entries(ctx, string(m))
	if err != nil {
		return nil, unlisted(err)
	}
	return rowsOf(entries), nil
}

func rowsOf(entries []dataplane.Entry) []desired.Row {
	rows := make([]desired.Row, len(entries))
	for i, e := range entries {
		rows[i] = desired.Row(e)
	}
	return rows
}

// RowsUnless implements reconcile.Recognizer.
func (n node) RowsUnless(ctx context.Context, m desired.Map, known reconcile.Digest) ([]desired.Row, reconcile.Digest, error) {
	entries, d, err := n.client.EntriesUnless(ctx, string(m), dataplane.Digest(known))
	if err != nil {
		return nil, reconcile.Digest{}, unlisted(err)
	}
	if entries == nil {
		return nil, reconcile.Digest(d), nil
	}
	return rowsOf(entries), reconcile.Digest(d), nil
}

// FileIs implements reconcile.Recognizer. A file that somebody took away is none.
func (n node) FileIs(ctx context.Context, m desired.Map, text []byte) (bool, error) {
	same, err := n.client.MapFileIs(ctx, string(m), text)
	if e := (*dataplane.Error)(nil); errors.As(err, &e) && e.Status == http.StatusNotFound {
		return false, nil
	}
	return same, err
}

// unlisted is the error of a list, by which reconcile knows that the node itself answers.
func unlisted(err error) error {
	var e *dataplane.Error
	switch {
	case errors.Is(err, dataplane.ErrFaultyRow):
		return fmt.Errorf("%w (%w)", err, reconcile.ErrFaultyRow)
	case !errors.As(err, &e) || errors.Is(err, dataplane.ErrHAProxyDown):
		return err
	case e.Status >= http.StatusInternalServerError,
		errors.Is(err, dataplane.ErrMalformed), errors.Is(err, dataplane.ErrTooLarge):
		return fmt.Errorf("%w (%w)", err, reconcile.ErrUnlisted)
	}
	return err
}

// File implements reconcile.Node. A file that somebody took away is made anew, empty, which opens nothing: without it no pass
// could be made, and no row would go any more.
func (n node) File(ctx context.Context, m desired.Map) ([]byte, error) {
	text, err := n.client.MapFile(ctx, string(m))
	if e := (*dataplane.Error)(nil); !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return text, err
	}
	if _, err := n.client.CreateMapFile(ctx, string(m)); err != nil {
		return nil, err
	}
	return n.client.MapFile(ctx, string(m))
}

// Row implements reconcile.Prober.
func (n node) Row(ctx context.Context, m desired.Map, key string) (value string, there bool, err error) {
	return n.client.Entry(ctx, string(m), key)
}

// written is the error of a write, by which reconcile knows that it may yet happen.
func written(err error) error {
	if dataplane.Unsettled(err) {
		return fmt.Errorf("%w (%w)", err, reconcile.ErrUnsettled)
	}
	return err
}

// Remove implements reconcile.Node. Only HAProxy's own word that the key is not there counts as removed.
func (n node) Remove(ctx context.Context, m desired.Map, key string) error {
	if err := n.client.DeleteEntry(ctx, string(m), key); !errors.Is(err, dataplane.ErrNoEntry) {
		return written(err)
	}
	return nil
}

// Set implements reconcile.Node.
func (n node) Set(ctx context.Context, m desired.Map, r desired.Row) error {
	return written(n.client.SetEntry(ctx, string(m), dataplane.Entry(r)))
}

// Add implements reconcile.Node.
func (n node) Add(ctx context.Context, m desired.Map, r desired.Row) error {
	return written(n.client.AddEntry(ctx, string(m), dataplane.Entry(r)))
}

// WriteFile implements reconcile.Node.
func (n node) WriteFile(ctx context.Context, m desired.Map, text []byte) error {
	return written(n.client.PutMapFile(ctx, string(m), text))
}

// Clear implements reconcile.Bulk.
func (n node) Clear(ctx context.Context, m desired.Map) error {
	return written(n.client.ClearMap(ctx, string(m)))
}

// Replace implements reconcile.Bulk.
func (n node) Replace(ctx context.Context, m desired.Map, t desired.Table) error {
	rows := t.Rows()
	entries := make([]dataplane.Entry, len(rows))
	for i, r := range rows {
		entries[i] = dataplane.Entry(r)
	}
	return written(n.client.ReplaceMap(ctx, string(m), entries))
}
