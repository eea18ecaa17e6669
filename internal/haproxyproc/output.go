package haproxyproc

import (
	"io"
	"strings"
	"sync"
)

// maxKept bounds what is kept of HAProxy's output for error texts; a chatty
// HAProxy must not grow the memory of a long demo.
const maxKept = 64 << 10

// output passes HAProxy's output on and keeps its end for error texts.
type output struct {
	log io.Writer

	mu   sync.Mutex
	kept []byte
}

// Write never fails: a broken log must not stop HAProxy's output from being read,
// since HAProxy would then block on a full pipe.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, p...)
	if extra := len(o.kept) - maxKept; extra > 0 {
		o.kept = append(o.kept[:0], o.kept[extra:]...)
	}
	if o.log != nil {
		_, _ = o.log.Write(p)
	}
	return len(p), nil
}

// reset forgets what was kept, so that the next text is about what comes now.
func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = o.kept[:0]
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.kept))
}
