package dataplane

import "sync"

// kept is a value of which a file is the source: asked for at every call, and where the file has become unreadable, the
// last good value, so that a slip while a file is being replaced does not cut a node off.
type kept[T any] struct {
	read func() (T, error)

	mu     sync.Mutex
	good   T
	have   bool
	failed error
}

// get returns the value of now, else the last good one; an error only where there never was one.
func (k *kept[T]) get() (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	value, err := k.read()
	k.failed = err
	if err == nil {
		k.good, k.have = value, true
		return value, nil
	}
	if k.have {
		return k.good, nil
	}
	return value, err
}

// problem is why the value in use is not that of now; nil if it is.
func (k *kept[T]) problem() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}
