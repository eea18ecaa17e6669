package dataplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"
)

// Digest stands for a node's answer, byte for byte. The zero value stands for none.
type Digest [sha256.Size]byte

// EntriesUnless is Entries, with the digest of the answer. Where that is known, the node has answered just what it did
// before: nothing is parsed then, and entries is nil. HAProxy's answer has the address of each entry in memory, so that the
// same entries in another worker, or in the same one when they were changed and changed back, have another digest.
func (c *Client) EntriesUnless(ctx context.Context, mapName string, known Digest) (entries []Entry, d Digest, err error) {
	const op = "list map entries"
	if err := checkMapName(mapName); err != nil {
		return nil, d, err
	}
	body := buffers.take()
	defer buffers.giveBack(body)
	if err := c.list(ctx, op, mapName, body); err != nil {
		return nil, d, err
	}
	if d = sha256.Sum256(body.Bytes()); d == known {
		return nil, d, nil
	}
	if entries, err = readEntries(op, body.Bytes()); err != nil {
		return nil, Digest{}, err
	}
	return entries, d, nil
}

// buffers are for answers of which nothing is kept, over all nodes.
var buffers pool

// pool hands out empty buffers.
type pool struct{ free sync.Pool }

// maxPooled is how large a buffer is kept: about 30,000 map entries.
const maxPooled = 4 << 20

func (p *pool) take() *bytes.Buffer {
	if b, ok := p.free.Get().(*bytes.Buffer); ok {
		b.Reset()
		return b
	}
	return new(bytes.Buffer)
}

// giveBack takes a buffer back; nobody may hold on to its bytes.
func (p *pool) giveBack(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		p.free.Put(b)
	}
}
