package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

// Entry is one line of a map.
type Entry struct {
	Key, Value string
}

// Entries reads a map as the running worker has it, in HAProxy's order. The keys and values are as the node holds
// them, unchecked. A key that stands twice is returned twice: HAProxy uses the first. See Duplicates.
func (c *Client) Entries(ctx context.Context, mapName string) ([]Entry, error) {
	const op = "list map entries"
	if err := checkMapName(mapName); err != nil {
		return nil, err
	}
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: c.dialect.entries(mapName), wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return nil, err
	}
	var rows models.MapEntries
	if err := decode(a.body, &rows); err != nil {
		return nil, malformed(op, "not a list of map entries")
	}
	entries := make([]Entry, 0, len(rows))
	for _, row := range rows {
		if row == nil || row.Key == "" {
			return nil, malformed(op, "an entry without a key")
		}
		entries = append(entries, Entry{Key: row.Key, Value: row.Value})
	}
	return entries, nil
}

// Duplicates returns the keys that stand more than once, each once, in the order of their first double.
func Duplicates(entries []Entry) []string {
	var doubled []string
	seen := make(map[string]int, len(entries))
	for _, e := range entries {
		if seen[e.Key]++; seen[e.Key] == 2 {
			doubled = append(doubled, e.Key)
		}
	}
	return doubled
}

// AddEntry adds an entry to the running worker's map; the file stays as it is. Errors: ErrExists where the key is
// there already, with whatever value; ErrInvalid.
func (c *Client) AddEntry(ctx context.Context, mapName string, e Entry) error {
	if err := checkMapEntry(mapName, e); err != nil {
		return err
	}
	err := c.write(ctx, "add map entry", http.MethodPost, c.dialect.entries(mapName),
		models.MapEntry{Key: e.Key, Value: e.Value}, http.StatusCreated)
	return reason(err, ErrExists, func(e *Error) bool { return e.Status == http.StatusConflict })
}

// SetEntry gives a key of the running worker's map another value; the file stays as it is. Errors: ErrNoEntry where
// the key is not there, ErrInvalid.
func (c *Client) SetEntry(ctx context.Context, mapName string, e Entry) error {
	if err := checkMapEntry(mapName, e); err != nil {
		return err
	}
	body := struct {
		Value string `json:"value"`
	}{e.Value}
	err := c.write(ctx, "set map entry", http.MethodPut, c.dialect.entry(mapName, e.Key), body, http.StatusOK)
	return reason(err, ErrNoEntry, saysNoEntry)
}

// DeleteEntry removes a key, with all its doubles, from the running worker's map; the file stays as it is. Errors:
// ErrNoEntry only where HAProxy itself said that the key is not there, so that ErrNoEntry may be taken for removed.
func (c *Client) DeleteEntry(ctx context.Context, mapName, key string) error {
	if err := checkMapName(mapName); err != nil {
		return err
	}
	if err := CheckKey(key); err != nil {
		return err
	}
	err := c.write(ctx, "delete map entry", http.MethodDelete, c.dialect.entry(mapName, key), nil, http.StatusNoContent)
	return reason(err, ErrNoEntry, saysNoEntry)
}

// bulkLimit is the payload up to which the API's bulk call adds lines in place of replacing the map.
const bulkLimit = 8 << 10

// ReplaceEntries replaces a map of the running worker at once, so that no request meets a part of it; the file stays
// as it is. The API does so only for a payload above 8 KiB: below it the error is ErrTooSmall and nothing was called.
// Afterwards the map is read back: ErrNotApplied means that it holds something else now (the API loses the last entry
// of some payloads and commits the rest of one that was refused in part). The caller then mends it entry by entry.
func (c *Client) ReplaceEntries(ctx context.Context, mapName string, entries []Entry) error {
	const op = "replace map entries"
	if err := checkMapName(mapName); err != nil {
		return err
	}
	rows, err := bulkPayload(op, entries)
	if err != nil {
		return err
	}
	if err := c.write(ctx, op, http.MethodPut, c.dialect.bulk(mapName), rows, http.StatusCreated); err != nil {
		return err
	}
	held, err := c.Entries(ctx, mapName)
	if err != nil {
		return fmt.Errorf("%s: read back: %w", op, err)
	}
	return compareEntries(op, entries, held)
}

func bulkPayload(op string, entries []Entry) (models.MapEntries, error) {
	size := 0
	rows := make(models.MapEntries, 0, len(entries))
	for _, e := range entries {
		if err := CheckEntry(e); err != nil {
			return nil, err
		}
		size += len(e.Key) + len(e.Value) + len(" \n")
		rows = append(rows, &models.MapEntry{Key: e.Key, Value: e.Value})
	}
	if len(Duplicates(entries)) > 0 {
		return nil, &InvalidError{Field: "key", Why: "it stands twice"}
	}
	if size <= bulkLimit {
		return nil, &Error{Op: op, Reason: ErrTooSmall}
	}
	return rows, nil
}

func compareEntries(op string, want, held []Entry) error {
	left := make(map[string]string, len(want))
	for _, e := range want {
		left[e.Key] = e.Value
	}
	foreign := 0
	for _, e := range held {
		if value, ok := left[e.Key]; ok && value == e.Value {
			delete(left, e.Key)
		} else {
			foreign++
		}
	}
	if len(left)+foreign > 0 {
		return notApplied(op, "%d entries are missing, %d are not ours or double", len(left), foreign)
	}
	return nil
}

func checkMapEntry(mapName string, e Entry) error {
	if err := checkMapName(mapName); err != nil {
		return err
	}
	return CheckEntry(e)
}

// write sends a JSON body, or none for nil, and wants one status.
func (c *Client) write(ctx context.Context, op, method string, to target, body any, want int) error {
	r := request{op: op, method: method, target: to, wants: []int{want}}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return &Error{Op: op, Reason: ErrInvalid, Message: "body cannot be encoded"}
		}
		r.body, r.contentType = text, jsonBody
	}
	_, err := c.do(ctx, r)
	return err
}

// saysNoEntry reads a 404. A stopped HAProxy, a missing map and a proxy on the way answer 404 too, and the API answers
// a PUT that did happen with an empty one: only HAProxy's own words count.
func saysNoEntry(e *Error) bool {
	if e.Status != http.StatusNotFound || e.Reason != nil {
		return false
	}
	return strings.Contains(e.said, "Key not found") || strings.Contains(e.said, "entry not found")
}

// reason gives an error its meaning where it has none yet and the test holds. Trying again does not help then.
func reason(err, meaning error, test func(*Error) bool) error {
	var e *Error
	if errors.As(err, &e) && e.Reason == nil && test(e) {
		e.Reason, e.Retryable = meaning, false
	}
	return err
}
