package reconcile

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Node is one HAProxy as a pass sees it. Nobody else writes to its maps. Every method has a deadline of its own beside
// that of ctx, and an error that holds no secret.
type Node interface {
	// Worker says which worker answers, and what its node's clock shows. HAProxy being down is an error.
	Worker(ctx context.Context) (Worker, error)
	// Rows reads a running map in its order, doubles included.
	Rows(ctx context.Context, m desired.Map) ([]desired.Row, error)
	// File reads a map's file: what the next worker will start with.
	File(ctx context.Context, m desired.Map) ([]byte, error)
	// Remove removes every row of the key from the running map. One that is not there is no error; a node that cannot tell
	// is one.
	Remove(ctx context.Context, m desired.Map, key string) error
	Set(ctx context.Context, m desired.Map, r desired.Row) error
	Add(ctx context.Context, m desired.Map, r desired.Row) error
	// WriteFile replaces a map's file and reloads nothing.
	WriteFile(ctx context.Context, m desired.Map, text []byte) error
}

// Worker is HAProxy's worker that answers the runtime API.
type Worker struct {
	PID     int
	Version string
	// Uptime is for how long it has run at least.
	Uptime time.Duration
	// Offset is how far the node's clock is from ours at least: negative if it is behind, zero if no difference shows.
	Offset time.Duration
}

// Snapshot is what the store holds at Revision.
type Snapshot struct {
	Revision int64
	Active   []grant.Grant
}

// Source is the store.
type Source interface {
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Environment is how an environment is enforced on a node.
type Environment struct {
	Name string
	// Lease is how long the node may trust its rows; zero: off.
	Lease time.Duration
}

// Target is a node with what it is to serve.
type Target struct {
	Name         string
	Dialect      string
	Node         Node
	Environments []Environment
	// Fixed is what the node holds beside grants and leases. It is asked for in each pass, since keys change.
	Fixed func(ctx context.Context) (desired.State, error)
	// HardStopAfter is how long an old worker lives after a reload at most.
	HardStopAfter time.Duration
	// ClockBound is how far the node's clock may be off. A node that is behind by more gets no lease.
	ClockBound time.Duration
}

// Drift is what a pass found that nobody of us had done since the last one.
type Drift struct {
	Map     desired.Map
	Foreign []string // keys that somebody added
	Changed []string // keys whose value somebody changed
	Missing []string // keys that somebody removed
	File    bool     // the file was another than we had written
}

// Observer is told what happens; it must not block.
type Observer interface {
	Passed(node string, r Result)
	Failed(node string, err error)
	Drifted(node string, d Drift)
}
