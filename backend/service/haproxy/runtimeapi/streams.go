package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// cutRounds bounds how often a worker is looked at; a stream that was shut down ends a moment later.
	cutRounds = 25
	// sparingRounds are those in which streams to other pools on the same connection are left alone.
	sparingRounds = 5
	shortestPause = 5 * time.Millisecond
	longestPause  = 250 * time.Millisecond
)

// Cut ends every running stream whose row of grants.map is gone: live is asked with the key "<subject>|<environment>/<pool>".
// It looks at the running worker and, where the master socket is known, at every older one. It answers how many streams
// it ended, also beside an error, and returns without an error when none is left.
//
// HAProxy does not say whose a stream is, only from which address and port it comes; the session table says who used that
// connection for which pool. A connection is one person's unless a proxy in front shares its connections among people:
// then all streams of the connection to that pool are ended, since which of them is whose cannot be told, and a stream
// that must end is not left for the sake of another. Streams to another pool that somebody may still use on the
// connection are spared, unless the row does not come to rest without them. No other connection is touched.
//
// Right before it ends a stream Cut asks who it is. What cannot be excluded: that the stream ends by itself in the moment
// between that answer and the command, and HAProxy gives its memory to a new stream, which is ended instead.
//
// A request that passed the look-up of its row just before the row went, and is not in the table yet, is seen by the next
// call alone.
func (c *Client) Cut(ctx context.Context, live func(key string) bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	total := 0
	var errs []error
	cut := func(w worker) error {
		n, err := c.cut(ctx, w, live)
		total += n
		return err
	}
	if c.runtime != nil {
		if err := cut(worker{socket: *c.runtime}); err != nil {
			errs = append(errs, fmt.Errorf("running worker: %w", err))
		}
	} else if err := c.cutRunning(ctx, cut); err != nil {
		errs = append(errs, err)
	}
	if c.master != nil {
		_, err := c.eachOld(ctx, cut)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return total, fmt.Errorf("cut streams: %w", err)
	}
	return total, nil
}

// cutRunning reaches the running worker through the master.
func (c *Client) cutRunning(ctx context.Context, cut func(worker) error) error {
	p, err := c.processes(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range p.running {
		if err := cut(c.worker(pid)); err != nil {
			errs = append(errs, fmt.Errorf("running worker %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// cut ends the streams of one worker.
func (c *Client) cut(ctx context.Context, w worker, live func(string) bool) (int, error) {
	ended := map[string]bool{} // by number: one that takes its time to end is not counted twice
	pause := shortestPause
	for round := range cutRounds {
		rows, unread := w.rows(ctx)
		if rows == nil && unread != nil {
			return len(ended), unread
		}
		gone, others := part(rows, live)
		if len(gone) == 0 {
			return len(ended), unread
		}
		spare := func(stream) bool { return false }
		if round < sparingRounds && len(others) > 0 {
			var err error
			if spare, err = c.sparing(ctx, w, gone, others); err != nil {
				return len(ended), err
			}
		}
		if err := w.end(ctx, gone, spare, ended); err != nil {
			return len(ended), err
		}
		if err := wait(ctx, pause); err != nil {
			return len(ended), err
		}
		pause = min(2*pause, longestPause)
	}
	return len(ended), errors.New("streams of rows that are gone still run")
}

// part parts the rows into those that are gone, by address, and the others on the same connections.
func part(rows []row, live func(string) bool) (gone, others map[string][]row) {
	gone, others = map[string][]row{}, map[string][]row{}
	var alive []row
	for _, r := range rows {
		if live(r.grantKey()) {
			alive = append(alive, r)
		} else {
			gone[r.address] = append(gone[r.address], r)
		}
	}
	for _, r := range alive {
		if _, shared := gone[r.address]; shared {
			others[r.address] = append(others[r.address], r)
		}
	}
	return gone, others
}

// sparing tells which streams go to a pool that somebody may still use on their connection, and to no pool of a row that
// is gone. Without pools.map nothing is spared.
func (c *Client) sparing(ctx context.Context, w worker, gone, others map[string][]row) (func(stream) bool, error) {
	if c.mapsDir == "" {
		return func(stream) bool { return false }, nil
	}
	backends, err := w.backends(ctx, c.mapsDir)
	if err != nil {
		return nil, err
	}
	leads := func(rows []row, backend string) bool {
		for _, r := range rows {
			if backends[r.pool] == backend {
				return true
			}
		}
		return false
	}
	return func(s stream) bool { return leads(others[s.address], s.backend) && !leads(gone[s.address], s.backend) }, nil
}

// end shuts down every stream on the connections of rows that are gone, once each.
func (w worker) end(ctx context.Context, gone map[string][]row, spare func(stream) bool, ended map[string]bool) error {
	streams, err := w.streams(ctx)
	if err != nil {
		return err
	}
	for _, s := range streams {
		if _, hit := gone[s.address]; !hit || spare(s) {
			continue
		}
		number, same, err := w.is(ctx, s)
		if err != nil {
			return err
		}
		if !same {
			continue
		}
		done, err := w.shutdown(ctx, s)
		if err != nil {
			return err
		}
		if done {
			ended[number] = true
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
