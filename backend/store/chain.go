package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Chain is the hash of the entry that follows previous (all zero for the first): SHA-256 over previous, the revision in
// decimal, a colon, and the event's stored form. Any change of any entry changes all hashes after it (I7).
func Chain(previous [32]byte, revision int64, event []byte) [32]byte {
	h := sha256.New()
	h.Write(previous[:])
	h.Write(append(strconv.AppendInt(make([]byte, 0, 24), revision, 10), ':'))
	h.Write(event)
	return [32]byte(h.Sum(nil))
}

// Mark is a place in the log: the entry of a revision, with its hash. The zero value is the place before the first. A mark
// that is kept elsewhere shows later that all up to it is as it was, its end included, which the log alone cannot show.
type Mark struct {
	Revision int64
	Hash     [32]byte
}

// String is the mark as ParseMark reads it: the revision, a colon, and the hash in hex.
func (m Mark) String() string { return fmt.Sprintf("%d:%x", m.Revision, m.Hash) }

// ParseMark reads a mark of an entry, as String writes it.
func ParseMark(text string) (Mark, error) {
	number, hash, _ := strings.Cut(text, ":")
	revision, err := strconv.ParseInt(number, 10, 64)
	if err != nil || revision < 1 {
		return Mark{}, errors.New("read mark: want REVISION:HASH")
	}
	raw, err := hex.DecodeString(hash)
	if err != nil || len(raw) != sha256.Size {
		return Mark{}, errors.New("read mark: the hash is not one of 64 digits in hex")
	}
	return Mark{Revision: revision, Hash: [sha256.Size]byte(raw)}, nil
}
