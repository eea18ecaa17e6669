package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

// Entry is one line of a map.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Entries reads a map as the running worker has it, in HAProxy's order. The keys and values are as the node holds
// them, unchecked. A key that stands twice is returned twice: HAProxy uses the first. See Duplicates. ErrFaultyRow says that
// there is a row that the API cannot list, and so lists none; it can be removed by its key, or with the whole map.
func (c *Client) Entries(ctx context.Context, mapName string) ([]Entry, error) {
	const op = "list map entries"
	if err := checkMapName(mapName); err != nil {
		return nil, err
	}
	body := buffers.take()
	defer buffers.giveBack(body)
	if err := c.list(ctx, op, mapName, body); err != nil {
		return nil, err
	}
	return readEntries(op, body.Bytes())
}

func (c *Client) list(ctx context.Context, op, mapName string, into io.Writer) error {
	_, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: func(d *dialect) target { return d.entries(mapName) },
		wants: []int{http.StatusOK}, into: into,
	})
	return reason(err, ErrFaultyRow, saysFaultyRow)
}

// readEntries reads a list of entries. The entry in it has what of the specification's is needed: there are many.
func readEntries(op string, body []byte) ([]Entry, error) {
	var entries []Entry
	if err := decode(body, &entries); err != nil {
		return nil, malformed(op, "not a list of map entries")
	}
	if slices.ContainsFunc(entries, func(e Entry) bool { return e.Key == "" }) { // or null
		return nil, malformed(op, "an entry without a key")
	}
	return entries, nil
}

// Entry reads one key of a map as the running worker has it, the first of doubles. there is false only where the API says
// that HAProxy answered and has no such key: every other 404, as that of a stopped HAProxy or of a map that is not
// there, is an error.
//
// The API itself takes a runtime socket that closes without a word for a map without the key, and lists it as empty too
// (measured with 2.9 and 3.2): whoever rests on there being false asks for the Worker afterwards, which such a HAProxy
// does not tell.
func (c *Client) Entry(ctx context.Context, mapName, key string) (value string, there bool, err error) {
	const op = "read map entry"
	if err := checkMapName(mapName); err != nil {
		return "", false, err
	}
	if err := CheckKey(key); err != nil {
		return "", false, err
	}
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: func(d *dialect) target { return d.entry(mapName, key) },
		wants: []int{http.StatusOK}, reads: true,
	})
	if saysKeyAbsent(err, key) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	var row models.MapEntry
	if err := decode(a.body, &row); err != nil || row.Key != key || row.Value == "" {
		return "", false, malformed(op, "not the entry of the key")
	}
	return row.Value, true, nil
}

// saysKeyAbsent reads the 404 to a read of one key: "KEY not found", in /v3 behind the runtime socket's path. Whatever
// HAProxy refuses, and what keeps the API from asking it, has other words and the command before "not found".
func saysKeyAbsent(err error, key string) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound || e.Reason != nil {
		return false
	}
	said, ok := strings.CutSuffix(e.said, key+" not found")
	return ok && (said == "" || strings.HasPrefix(said, "/") && strings.IndexByte(said, ' ') == len(said)-1)
}

// saysFaultyRow reads the 500 to a list: the API's reader of HAProxy's lines ends in an internal error over one with less than
// three fields, as that of a row without a value is (measured with 2.9 and 3.2).
func saysFaultyRow(e *Error) bool {
	return e.Status == http.StatusInternalServerError && strings.Contains(e.Message, "index out of range")
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
	err := c.write(ctx, request{
		op: "add map entry", method: http.MethodPost, target: func(d *dialect) target { return d.entries(mapName) },
		wants: []int{http.StatusCreated},
	}, models.MapEntry{Key: e.Key, Value: e.Value})
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
	err := c.write(ctx, request{
		op: "set map entry", method: http.MethodPut, target: func(d *dialect) target { return d.entry(mapName, e.Key) },
		wants: []int{http.StatusOK},
	}, body)
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
	_, err := c.do(ctx, request{
		op: "delete map entry", method: http.MethodDelete, target: func(d *dialect) target { return d.entry(mapName, key) },
		wants: []int{http.StatusNoContent},
	})
	return reason(err, ErrNoEntry, saysNoEntry)
}

func checkMapEntry(mapName string, e Entry) error {
	if err := checkMapName(mapName); err != nil {
		return err
	}
	return CheckEntry(e)
}

// write sends a JSON body.
func (c *Client) write(ctx context.Context, r request, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return &Error{Op: r.op, Reason: ErrInvalid, Message: "body cannot be encoded"}
	}
	r.body, r.contentType = text, jsonBody
	_, err = c.do(ctx, r)
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
