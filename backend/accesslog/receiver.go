package accesslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	defaultFlush   = time.Second
	defaultTimeout = 5 * time.Second
	defaultQueue   = 10_000
	defaultMost    = 100_000
	defaultMaxLine = 16 << 10
	// drainTime is how long after Stop datagrams are still taken that had reached the system before.
	drainTime = 50 * time.Millisecond
	// errorPause keeps a socket that is broken from using a whole processor.
	errorPause = 10 * time.Millisecond
	// reportSize is how many uses go into one report.
	reportSize = 1000
)

// Options of a Receiver. Listen, Sink, Observer and Now are required.
type Options struct {
	// Listen is "udp:host:port" or "unix:/path" (datagrams).
	Listen string
	// Senders are the networks from which UDP is taken; loopback alone if empty. Who may write to a unix socket is the
	// directory's matter.
	Senders []netip.Prefix
	// Known tells the nodes whose lines count; nil: all.
	Known    func(node string) bool
	Sink     Sink
	Observer Observer
	Now      func() time.Time
	// Queue is how many datagrams wait to be read at most, MaxUses for how many grants and nodes uses are kept that the
	// Sink has not taken, MaxLine how long a datagram is. Defaults if zero.
	Queue, MaxUses, MaxLine int
	// Interval is how often uses are reported, 1s if zero; ReportTimeout bounds one round of reports, 5s if zero.
	Interval, ReportTimeout time.Duration
}

// Receiver is a loop with Start and Stop. Each may be called once more in vain.
type Receiver struct {
	options Options
	tally   *tally
	queue   chan []byte
	due     chan struct{} // the tally is full

	mu         sync.Mutex
	started    bool
	stopped    bool
	connection packetConn
	stop       context.CancelFunc
	done       sync.WaitGroup
}

// New checks the options.
func New(o Options) (*Receiver, error) {
	if o.Sink == nil || o.Observer == nil || o.Now == nil {
		return nil, errors.New("receive access log: Sink, Observer and Now are required")
	}
	if _, _, err := parseListen(o.Listen); err != nil {
		return nil, err
	}
	if len(o.Senders) == 0 {
		o.Senders = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	for _, d := range []struct {
		value    *int
		standard int
	}{{&o.Queue, defaultQueue}, {&o.MaxUses, defaultMost}, {&o.MaxLine, defaultMaxLine}} {
		if *d.value == 0 {
			*d.value = d.standard
		}
		if *d.value < 1 {
			return nil, errors.New("receive access log: a bound is below 1")
		}
	}
	if o.Interval < 0 || o.ReportTimeout < 0 {
		return nil, errors.New("receive access log: a time is negative")
	}
	if o.Interval == 0 {
		o.Interval = defaultFlush
	}
	if o.ReportTimeout == 0 {
		o.ReportTimeout = defaultTimeout
	}
	return &Receiver{options: o, tally: newTally(o.MaxUses), queue: make(chan []byte, o.Queue), due: make(chan struct{}, 1)}, nil
}

// Start opens the socket and begins to receive.
func (r *Receiver) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return nil
	}
	connection, err := listen(r.options.Listen)
	if err != nil {
		return fmt.Errorf("receive access log: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.connection, r.stop, r.started = connection, stop, true
	counted := make(chan struct{})
	r.done.Go(r.receive)
	r.done.Go(func() { defer close(counted); r.readQueue() })
	r.done.Go(func() { r.report(ctx, counted) })
	return nil
}

// Address is where it listens, once it was started.
func (r *Receiver) Address() net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connection == nil {
		return nil
	}
	return r.connection.LocalAddr()
}

// Stop ends the receiving, counts what is in the queue and reports it. It waits for that at most ReportTimeout; what the
// Sink does not take then is told to the Observer as lost.
func (r *Receiver) Stop() {
	r.mu.Lock()
	if r.started && !r.stopped {
		r.stopped = true
		r.stop()
		// This ends receive, which closes the queue.
		r.done.Add(1)
		time.AfterFunc(drainTime, func() { defer r.done.Done(); r.connection.Close() })
	}
	r.mu.Unlock()
	r.done.Wait()
}

// receive moves datagrams into the queue and does nothing slow.
func (r *Receiver) receive() {
	defer close(r.queue)
	buffer := make([]byte, r.options.MaxLine+1)
	for {
		n, from, overflow, err := r.connection.read(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		c := Counts{Kernel: overflow}
		switch {
		case err != nil: // of one datagram: there is nobody to tell but by its count
			c.Malformed = 1
			time.Sleep(errorPause)
		case from.IsValid() && !r.allowed(from):
			c.Sender = 1
		case n > r.options.MaxLine:
			c.Oversize = 1
		default:
			select {
			case r.queue <- append([]byte(nil), buffer[:n]...):
			default:
				c.Overflow = 1
			}
		}
		if c != (Counts{}) {
			r.tally.count(c)
		}
	}
}

func (r *Receiver) allowed(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	for _, network := range r.options.Senders {
		if network.Contains(from) {
			return true
		}
	}
	return false
}

// readQueue counts what is in the queue until that is closed.
func (r *Receiver) readQueue() {
	p := newParser(r.options.Now)
	for datagram := range r.queue {
		use, c := r.judge(p.event(datagram))
		if use != nil && r.tally.add(*use) {
			select {
			case r.due <- struct{}{}:
			default:
			}
		}
		r.tally.count(c)
	}
}

// judge says which use an event is, if it is one, and what it counts as.
func (r *Receiver) judge(e event) (*Use, Counts) {
	switch {
	case e.verdict == other:
		return nil, Counts{Other: 1}
	case e.verdict == unattributed:
		return nil, Counts{Unattributed: 1}
	case e.verdict == malformed:
		return nil, Counts{Malformed: 1}
	case r.options.Known != nil && !r.options.Known(e.node):
		return nil, Counts{UnknownNode: 1}
	case e.verdict == admitted:
		return &Use{GrantID: e.grant, Node: e.node, FirstAdmitted: e.at, LastAdmitted: e.at, Admitted: 1}, Counts{Admitted: 1}
	default:
		return &Use{GrantID: e.grant, Node: e.node, FirstRefusedAfter: e.at, RefusedAfter: 1}, Counts{Refused: 1}
	}
}
