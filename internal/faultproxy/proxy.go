// Package faultproxy stands between two programs of a test and breaks what passes: a TCP proxy on loopback whose faults are
// put in and taken out while it runs. It is toxiproxy, run within the test's process.
//
// It imports the standard library and toxiproxy only, and is for tests.
package faultproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/sirupsen/logrus"
)

// quiet keeps toxiproxy from printing each connection.
var quiet = sync.OnceFunc(func() { logrus.SetOutput(io.Discard) })

// Proxy passes on to one address. Its methods may be called from several goroutines, but one fault at a time is put in.
type Proxy struct{ proxy *toxiproxy.Proxy }

// Start listens on a free port of 127.0.0.1 and passes every connection on to upstream, a host:port, which need not be there
// yet. Close ends it.
func Start(upstream string) (*Proxy, error) {
	quiet()
	p := &Proxy{proxy: toxiproxy.NewProxy()}
	p.proxy.Name, p.proxy.Listen, p.proxy.Upstream = upstream, "127.0.0.1:0", upstream
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("start fault proxy: %w", err)
	}
	return p, nil
}

// Address is the host:port to connect to; it stays the same.
func (p *Proxy) Address() string { return p.proxy.Listen }

// Cut ends all connections and refuses new ones, as a program does that is down.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Swallow keeps connections and lets nothing through in either direction, as a network does that is parted.
func (p *Proxy) Swallow() error {
	return p.add("upstream", "timeout", map[string]int64{"timeout": 0})
}

// Delay holds every piece of an answer back for a time.
func (p *Proxy) Delay(by time.Duration) error {
	return p.add("downstream", "latency", map[string]int64{"latency": by.Milliseconds()})
}

// Throttle lets answers through at so many kilobytes a second.
func (p *Proxy) Throttle(kilobytes int64) error {
	return p.add("downstream", "bandwidth", map[string]int64{"rate": kilobytes})
}

// CutAnswersAfter ends each connection when so many bytes of answers have passed on it, in the middle of one.
func (p *Proxy) CutAnswersAfter(n int64) error {
	return p.add("downstream", "limit_data", map[string]int64{"bytes": n})
}

func (p *Proxy) add(stream, kind string, attributes map[string]int64) error {
	raw, err := json.Marshal(map[string]any{"type": kind, "stream": stream, "attributes": attributes})
	if err != nil {
		return fmt.Errorf("put in fault %s: %w", kind, err)
	}
	if _, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("put in fault %s: %w", kind, err)
	}
	return nil
}

// Heal takes all faults out. Connections that suffered one may end.
func (p *Proxy) Heal() error {
	p.proxy.Toxics.ResetToxics()
	if err := p.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		return fmt.Errorf("heal fault proxy: %w", err)
	}
	return nil
}

// Close ends all connections and stops listening. It may be called twice.
func (p *Proxy) Close() { p.proxy.Stop() }
