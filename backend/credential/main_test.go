package credential

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// noon is when the tests' tokens are issued.
var noon = time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)

// memory is a store.Keys for tests.
type memory struct {
	mu   sync.Mutex
	keys []store.Key
	fail error // of every call, if set
}

func (m *memory) Keys(context.Context) ([]store.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys), m.fail
}

func (m *memory) AddKey(_ context.Context, k store.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if slices.ContainsFunc(m.keys, func(have store.Key) bool { return have.KID == k.KID }) {
		return store.ErrConflict
	}
	m.keys = append(m.keys, k)
	return nil
}

func (m *memory) SetKeyState(_ context.Context, kid, from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, k := range m.keys {
		if k.KID == kid && k.State == from {
			m.keys[i].State = to
			return nil
		}
	}
	return errors.Join(m.fail, store.ErrConflict)
}

func sealer(t *testing.T, first byte) *Sealer {
	t.Helper()
	s, err := NewSealer(append([]byte{first}, bytes.Repeat([]byte{7}, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pair are two signing keys, sealed by sealer(t, 1). Making one takes a while.
var pair = sync.OnceValue(func() [2]store.Key {
	s, err := NewSealer(append([]byte{1}, bytes.Repeat([]byte{7}, 31)...))
	if err != nil {
		panic(err)
	}
	var made [2]store.Key
	for i := range made {
		if made[i], err = NewKey(s, noon); err != nil {
			panic(err)
		}
	}
	return made
})

// ring is a store with the first key of the pair as current.
func ring() *memory { return &memory{keys: []store.Key{pair()[0]}} }
