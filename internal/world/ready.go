package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	pollInterval = 50 * time.Millisecond
	// tryTimeout bounds one look, so that a program that hangs is asked again.
	tryTimeout = 3 * time.Second
)

// poll looks until it is done or ctx ends; then the error has the last one that a look gave.
func poll(ctx context.Context, look func(context.Context) (done bool, err error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		done, err := look(try)
		cancel()
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// client makes a connection for each request: a kept one would outlive the program at its other end.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// answers is a ready check: the URL answers 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, url, "", "")
		return err
	}
}

func get(ctx context.Context, url, username, password string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if username != "" {
		request.SetBasicAuth(username, password)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		// No body: a Data Plane API's echoes the password.
		return nil, fmt.Errorf("ask %s: status %d", url, response.StatusCode)
	}
	return io.ReadAll(response.Body)
}

// WaitEnforcing waits until Enforcing.
func (w *World) WaitEnforcing(ctx context.Context) error {
	return poll(ctx, func(ctx context.Context) (bool, error) {
		err := w.Enforcing(ctx)
		return err == nil, err
	})
}

// Enforcing returns nil when every HAProxy holds a lease of each of its environments that is in the future: the gateway has
// brought the nodes up to date. It asks the Data Plane APIs what HAProxy's memory has.
func (w *World) Enforcing(ctx context.Context) error {
	for _, n := range w.Nodes {
		if err := w.enforcing(ctx, n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return nil
}

// entriesPath is where the rows of leases.map are.
var entriesPath = map[string]string{
	"v2": "/v2/services/haproxy/runtime/maps_entries?map=leases.map",
	"v3": "/v3/services/haproxy/runtime/maps/leases.map/entries",
}

func (w *World) enforcing(ctx context.Context, n *Node) error {
	raw, err := get(ctx, n.dataPlaneURL+entriesPath[w.dialect], dataPlaneUsername, w.secrets[secretDataPlane])
	if err != nil {
		return err
	}
	var rows []struct{ Key, Value string }
	if err := json.Unmarshal(raw, &rows); err != nil {
		return fmt.Errorf("read leases: %w", err)
	}
	leases := make(map[string]string)
	for _, row := range rows {
		leases[row.Key] = row.Value
	}
	for _, name := range n.Environments {
		until, err := strconv.ParseInt(leases[name], 10, 64)
		if err != nil || until <= time.Now().Unix() {
			return fmt.Errorf("environment %s has no lease yet (%q)", name, leases[name])
		}
	}
	return nil
}
