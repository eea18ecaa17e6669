package haproxyaccess

import (
	"maps"
	"sync"
	"time"
)

const (
	// repeatAfter is when the same is said again, for as long as it lasts.
	repeatAfter = time.Minute
	// maxSaid is how many different things are said within that time.
	maxSaid = 16
)

// repeats tells what need not be said: what was said a short time ago, or too much. It is safe for concurrent use.
type repeats struct {
	now func() time.Time

	mu   sync.Mutex
	said map[string]time.Time
}

// again reports whether it need not be said; if not, it counts as said now.
func (r *repeats) again(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	maps.DeleteFunc(r.said, func(_ string, at time.Time) bool { return now.Sub(at) >= repeatAfter })
	if _, there := r.said[what]; there || len(r.said) == maxSaid {
		return true
	}
	if r.said == nil {
		r.said = map[string]time.Time{}
	}
	r.said[what] = now
	return false
}
