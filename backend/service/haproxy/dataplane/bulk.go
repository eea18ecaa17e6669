package dataplane

import (
	"context"
	"net/http"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

// chunk is the most bytes that the API hands to HAProxy at once, and the payload up to which its bulk call adds lines
// in place of replacing the map.
const chunk = 8 << 10

// ReplaceMap replaces a whole map of the running worker at once, so that no request meets a part of it; the file stays
// as it is. The API does so only for more than 8 KiB of lines "key value\n": for less, and for none, the error is
// ErrTooSmall and nothing was called. A key that stands twice is ErrInvalid.
//
// The answer is no proof: /v2 commits the rest of a payload of which HAProxy refused a part. The caller reads the map
// afterwards.
func (c *Client) ReplaceMap(ctx context.Context, mapName string, entries []Entry) error {
	const op = "replace map"
	if err := checkMapName(mapName); err != nil {
		return err
	}
	rows, err := bulkPayload(op, entries)
	if err != nil {
		return err
	}
	return c.write(ctx, request{
		op: op, method: http.MethodPut, target: func(d *dialect) target { return d.bulk(mapName) }, slow: true,
		wants: []int{http.StatusCreated},
	}, rows)
}

// ClearMap empties a map of the running worker; the file stays as it is. It does so whatever is in the map, also where that
// cannot be listed.
func (c *Client) ClearMap(ctx context.Context, mapName string) error {
	if err := checkMapName(mapName); err != nil {
		return err
	}
	_, err := c.do(ctx, request{
		op: "clear map", method: http.MethodDelete, target: func(d *dialect) target { return d.bulk(mapName) },
		wants: []int{http.StatusNoContent},
	})
	return err
}

func bulkPayload(op string, entries []Entry) (models.MapEntries, error) {
	size := 0
	lines := make([]int, len(entries))
	rows := make(models.MapEntries, len(entries))
	for i, e := range entries {
		if err := CheckEntry(e); err != nil {
			return nil, err
		}
		lines[i] = len(e.Key) + len(e.Value) + len(" \n")
		size += lines[i]
		rows[i] = &models.MapEntry{Key: e.Key, Value: e.Value}
	}
	if len(Duplicates(entries)) > 0 {
		return nil, &InvalidError{Field: "key", Why: "it stands twice"}
	}
	if size <= chunk {
		return nil, &Error{Op: op, Reason: ErrTooSmall}
	}
	first, late, ok := blanks(lines)
	if !ok {
		return nil, &Error{Op: op, Reason: ErrTooSmall, Message: "it cannot be split so that the api takes it whole"}
	}
	rows[0].Value = strings.Repeat(" ", first) + rows[0].Value
	before := rows[len(rows)-2]
	before.Value = strings.Repeat(" ", late) + before.Value
	return rows, nil
}

// blanks works out how many blanks must stand before the first value and before the last but one, so that the API
// takes the payload whole. HAProxy drops blanks between key and value, so they change nothing but the lines' lengths
// (measured with HAProxy 2.6). No other length of payload needs them:
//
//   - where no chunk has more lines than fit, each being filled to the byte, the API adds the first chunk to the map
//     and drops the others;
//   - a last line that begins a chunk is lost;
//   - a last line that fills a chunk to the byte makes the rest of that chunk come twice.
//
// lines are the lengths of more than one chunk's worth of lines, each far below a chunk.
func blanks(lines []int) (first, late int, ok bool) {
	const longest = 2*MaxLength + len(" \n")
	for first = range 2 {
		// The last but one must be moved into another chunk than the line before it, which takes less than the length of
		// the two last lines.
		for late = range 2*longest + 1 {
			if takenWhole(lines, first, late) {
				return first, late, true
			}
		}
	}
	return 0, 0, false
}

// takenWhole tells whether the API hands every line of a payload to HAProxy, once, and as a replacement.
func takenWhole(lines []int, first, late int) bool {
	filled, split, fits := 0, false, true
	for i, length := range lines {
		switch i {
		case 0:
			length += first
		case len(lines) - 2:
			length += late
		}
		filled += length
		fits = filled < chunk
		switch {
		case filled == chunk:
			filled = 0
		case filled > chunk:
			split, filled = true, length // this line begins the next chunk
		}
	}
	return split && fits
}
