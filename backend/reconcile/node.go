package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// Node is one HAProxy as a pass sees it. Nobody else writes to its maps. Every method has a deadline of its own beside
// that of ctx, does nothing once ctx is done, and has errors that hold no secret.
type Node interface {
	// Worker says which worker answers, and what its node's clock shows. HAProxy being down is an error.
	Worker(ctx context.Context) (Worker, error)
	// Rows reads a running map in its order, doubles included. ErrUnlisted and ErrFaultyRow are its errors of a node that
	// answers and cannot list the map.
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

// ErrUnsettled is wrapped by a Node's error where a call that was sent may still be carried out later. An error that wraps
// context.DeadlineExceeded or context.Canceled counts as such without it.
var ErrUnsettled = errors.New("the call may still be carried out")

var (
	// ErrUnlisted is wrapped by the error of Rows where the node answers, but not with the map's rows.
	ErrUnlisted = errors.New("the map's rows cannot be listed")
	// ErrFaultyRow is an ErrUnlisted that stays as long as the row is there which it is about.
	ErrFaultyRow = fmt.Errorf("%w: there is one without a value", ErrUnlisted)
)

// Bulk changes the whole of a running map.
type Bulk interface {
	// Replace replaces it at once: no request meets a part of it. It is not asked for tables of 8 KiB or less.
	Replace(ctx context.Context, m desired.Map, t desired.Table) error
	// Clear empties it, whatever it holds, also where its rows cannot be listed.
	Clear(ctx context.Context, m desired.Map) error
}

// Prober reads single rows of a running map, so that a small change is verified without reading all of it.
type Prober interface {
	// Row answers a key's value, the first of doubles. there is false by HAProxy's own word only: whatever else keeps the
	// row from being read is an error.
	Row(ctx context.Context, m desired.Map, key string) (value string, there bool, err error)
}

// Digest stands for what a node answered, byte for byte. The zero value stands for nothing.
type Digest [32]byte

// Recognizer spares the reading of what was read before, or is known.
type Recognizer interface {
	// RowsUnless is Node.Rows, with the digest of what was answered. Where that is known, rows is nil, and not otherwise.
	RowsUnless(ctx context.Context, m desired.Map, known Digest) (rows []desired.Row, d Digest, err error)
	// FileIs reports whether Node.File would read just that text.
	FileIs(ctx context.Context, m desired.Map, text []byte) (bool, error)
}

// Elders are the workers of before the last reload, reached through HAProxy's master socket.
type Elders interface {
	// Purge takes every row that keep does not have, or has with another value, out of the maps of keep in every older
	// worker. Without an error none of the workers that were there when it began holds one any more; a worker that ends
	// meanwhile is no error.
	Purge(ctx context.Context, keep map[desired.Map]desired.Table) (workers int, err error)
}

// Streams cuts what still runs for rows that are gone.
type Streams interface {
	// Cut ends every stream whose row, by its key in grants.map, live says is gone: in the running worker, and in older ones
	// where they can be reached. It answers how many it ended.
	Cut(ctx context.Context, live func(key string) bool) (cut int, err error)
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

// follows reports whether it can be the same worker as one that was seen before.
func (w Worker) follows(before Worker) bool { return w.PID == before.PID && w.Uptime >= before.Uptime }

// Environment is how an environment is enforced on a node.
type Environment struct {
	Name string
	// Lease is how long the node may trust its rows; zero: off. Shorter ones than desired.ShortestLease are taken as that.
	Lease time.Duration
}

// Target is a node with what it is to serve.
type Target struct {
	Name    string
	Dialect string
	// Settings tells apart two targets of one name: whoever makes them changes it whenever anything behind the interfaces
	// and functions below has changed.
	Settings     string
	Node         Node
	Environments []Environment
	// Fixed is what the node holds beside grants and leases. It is asked for in each pass, since keys change.
	Fixed func(ctx context.Context) (desired.State, error)
	// HardStopAfter is how long an old worker lives after a reload at most.
	HardStopAfter time.Duration
	// ClockBound is how far the node's clock may be off. A node that is behind by more gets no lease.
	ClockBound time.Duration

	// What a node may have beside; nil: it does not.
	Bulk    Bulk
	Prober  Prober
	Elders  Elders
	Streams Streams
	// Recognizer only makes passes cheaper.
	Recognizer Recognizer
}

// normal is the target with leases that a node can hold.
func (t Target) normal() Target {
	t.Environments = slices.Clone(t.Environments)
	for i, e := range t.Environments {
		if e.Lease > 0 {
			t.Environments[i].Lease = max(e.Lease, desired.ShortestLease)
		}
	}
	return t
}

// same reports whether a loop of t can go on for other.
func (t Target) same(other Target) bool {
	return t.Name == other.Name && t.Dialect == other.Dialect && t.Settings == other.Settings &&
		t.HardStopAfter == other.HardStopAfter && t.ClockBound == other.ClockBound &&
		slices.Equal(t.Environments, other.Environments)
}

func (t Target) serves(environment string) bool {
	return slices.ContainsFunc(t.Environments, func(e Environment) bool { return e.Name == environment })
}
