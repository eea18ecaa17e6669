package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

const (
	defaultExchangeTimeout = 2 * time.Second
	defaultCallTimeout     = 5 * time.Second
)

// Options say where a node's sockets are. At least one of Runtime and Master must be set.
type Options struct {
	// Runtime is the runtime API of the running worker, level admin: "unix:/path" or "tcp:host:port".
	Runtime string
	// Master is the master CLI, likewise. Older workers are reached through it alone.
	Master string
	// MapsDir is the directory of the maps on the node, as in the rendered configuration. Purge needs it.
	MapsDir string
	// ExchangeTimeout bounds one question with its answer, 2s if zero; CallTimeout a whole Cut or Purge, 5s if zero.
	ExchangeTimeout, CallTimeout time.Duration
}

// Client cuts streams and purges old workers of one node. It holds no connection between calls, and its methods may be
// called at the same time.
type Client struct {
	runtime, master *socket
	mapsDir         string
	timeout         time.Duration
}

var directory = regexp.MustCompile(`\A(/[A-Za-z0-9._-]+)+\z`)

// New checks the options; it opens no connection.
func New(o Options) (*Client, error) {
	if o.ExchangeTimeout == 0 {
		o.ExchangeTimeout = defaultExchangeTimeout
	}
	c := &Client{mapsDir: o.MapsDir, timeout: o.CallTimeout}
	if c.timeout == 0 {
		c.timeout = defaultCallTimeout
	}
	if o.Runtime == "" && o.Master == "" {
		return nil, errors.New("use runtime api: neither a runtime nor a master socket is named")
	}
	if o.MapsDir != "" && !directory.MatchString(o.MapsDir) {
		return nil, fmt.Errorf("use runtime api: %q is no directory of maps", o.MapsDir)
	}
	for _, s := range []struct {
		text string
		to   **socket
	}{{o.Runtime, &c.runtime}, {o.Master, &c.master}} {
		if s.text == "" {
			continue
		}
		parsed, err := parseSocket(s.text, o.ExchangeTimeout)
		if err != nil {
			return nil, err
		}
		*s.to = &parsed
	}
	return c, nil
}

// HasMaster reports whether older workers can be reached.
func (c *Client) HasMaster() bool { return c.master != nil }

// worker is one worker that takes commands: the running one by its own socket, or any by the master's.
type worker struct {
	socket socket
	prefix command // "@!<pid>" for the master
}

func (w worker) ask(ctx context.Context, read func(i int, line string) error, commands ...command) error {
	prefixed := make([]command, len(commands))
	for i, c := range commands {
		// Each command needs the prefix: what follows a semicolon without one is the master's own.
		prefixed[i] = append(append(command{}, w.prefix...), c...)
	}
	return w.socket.ask(ctx, read, prefixed...)
}

// nothing is for commands that have no answer where they succeed.
func nothing(what string) func(int, string) error {
	return func(_ int, line string) error { return unexpected(what, line) }
}
