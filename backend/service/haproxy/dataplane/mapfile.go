package dataplane

import (
	"bytes"
	"context"
	"net/http"
)

// emptyFile is how a file without entries is sent and read: the API refuses an empty body, and HAProxy skips an empty
// line.
var emptyFile = []byte("\n")

// MapFile reads the file from which HAProxy fills a map when it reloads, byte for byte as it is on the node's disk;
// a file of one empty line is returned as empty.
func (c *Client) MapFile(ctx context.Context, mapName string) ([]byte, error) {
	if err := checkMapName(mapName); err != nil {
		return nil, err
	}
	a, err := c.do(ctx, request{
		op: "read map file", method: http.MethodGet, target: func(d *dialect) target { return d.mapFile(mapName) },
		wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return nil, err
	}
	if bytes.Equal(a.body, emptyFile) {
		return []byte{}, nil
	}
	return a.body, nil
}

// MapFileIs tells whether the file is just the text, as MapFile reads it. It keeps nothing of what it reads.
func (c *Client) MapFileIs(ctx context.Context, mapName string, text []byte) (bool, error) {
	if err := checkMapName(mapName); err != nil {
		return false, err
	}
	if len(text) == 0 {
		file, err := c.MapFile(ctx, mapName)
		return err == nil && len(file) == 0, err
	}
	compared := &comparer{left: text}
	_, err := c.do(ctx, request{
		op: "read map file", method: http.MethodGet, target: func(d *dialect) target { return d.mapFile(mapName) },
		wants: []int{http.StatusOK}, into: compared,
	})
	return err == nil && compared.same(), err
}

// comparer compares what is written to it with a text.
type comparer struct {
	left    []byte // of the text
	differs bool
}

// Write implements io.Writer.
func (c *comparer) Write(part []byte) (int, error) {
	var same bool
	if c.left, same = bytes.CutPrefix(c.left, part); !same {
		c.differs = true
	}
	return len(part), nil
}

func (c *comparer) same() bool { return !c.differs && len(c.left) == 0 }

// PutMapFile replaces a map's file and does not reload HAProxy: the running worker keeps what it has. The text must
// be lines "key value\n" of the alphabet, without comments; none at all empties the file.
func (c *Client) PutMapFile(ctx context.Context, mapName string, text []byte) error {
	if err := checkMapName(mapName); err != nil {
		return err
	}
	if err := checkFile(text); err != nil {
		return err
	}
	if len(text) == 0 {
		text = emptyFile
	}
	_, err := c.do(ctx, request{
		op: "write map file", method: http.MethodPut, contentType: textBody, body: text, wants: []int{http.StatusNoContent},
		target: func(d *dialect) target { return d.mapFile(mapName).with("skip_reload", "true") },
	})
	return err
}
