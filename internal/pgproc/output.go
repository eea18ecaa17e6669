package pgproc

import (
	"bytes"
	"sync"
)

// keep is how much of the server's output is kept, its end.
const keep = 16 << 10

// readyLine is what the server says, in English by its locale, when it takes connections.
const readyLine = "database system is ready to accept connections"

// output keeps the end of what a server says, and notices when it is ready.
type output struct {
	ready chan struct{}

	mu    sync.Mutex
	tail  []byte
	found bool
}

func newOutput() *output { return &output{ready: make(chan struct{})} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, p...)
	if !o.found && bytes.Contains(o.tail, []byte(readyLine)) {
		o.found = true
		close(o.ready)
	}
	if len(o.tail) > keep {
		o.tail = bytes.Clone(o.tail[len(o.tail)-keep:])
	}
	return len(p), nil
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.tail)
}
