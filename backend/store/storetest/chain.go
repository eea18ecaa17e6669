package storetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// VerifyChain checks a whole log from its first entry, by its own arithmetic: revisions 1, 2, 3, ..., and each hash is
// SHA-256(hash before, revision in decimal, ':', event's stored form).
func VerifyChain(entries []store.Entry) error {
	previous := make([]byte, sha256.Size)
	for i, e := range entries {
		if e.Revision != int64(i+1) {
			return fmt.Errorf("entry %d has revision %d", i+1, e.Revision)
		}
		doc, err := store.EncodeEvent(e.Event)
		if err != nil {
			return err
		}
		if !bytes.Equal(doc, e.Doc) {
			return fmt.Errorf("the event of revision %d is another than its stored form", e.Revision)
		}
		input := append(append(append([]byte{}, previous...), strconv.Itoa(i+1)+":"...), e.Doc...)
		sum := sha256.Sum256(input)
		if sum != e.Hash {
			return fmt.Errorf("the hash of revision %d is not that of what stands before it", e.Revision)
		}
		previous = sum[:]
	}
	return nil
}
