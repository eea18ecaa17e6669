package accesslog

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestFirstLastAndCountOfEachGrantAndNode(t *testing.T) {
	for name, listen := range map[string]string{"udp": "udp:127.0.0.1:0", "unix": "unix:" + socketPath(t)} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			r := start(t, m, func(o *Options) { o.Listen = listen })
			c := dial(t, r)
			// not in the order of their times, as requests of different lengths are logged
			send(t, c, at("G1", "edge-1", 50), at("G1", "edge-1", 10), at("G1", "edge-2", 7), at("G2", "edge-1", 1), at("G1", "edge-1", 30))
			until(t, "the first report", func() bool { return m.use("G1", "edge-1").Admitted == 3 })
			send(t, c, at("G1", "edge-1", 5), at("G1", "edge-1", 90), denied("G1", 120), denied("G1", 100), bsd+"Proxy f stopped")
			until(t, "all datagrams", func() bool { return m.total().sum() == 10 })
			r.Stop()
			wantUse(t, m.use("G1", "edge-1"), Use{FirstAdmitted: millis(5), LastAdmitted: millis(90), FirstRefusedAfter: millis(100), Admitted: 5, RefusedAfter: 2})
			wantUse(t, m.use("G1", "edge-2"), Use{FirstAdmitted: millis(7), LastAdmitted: millis(7), Admitted: 1})
			wantUse(t, m.use("G2", "edge-1"), Use{FirstAdmitted: millis(1), LastAdmitted: millis(1), Admitted: 1})
			if got, want := m.total(), (Counts{Admitted: 7, Refused: 2, Other: 1}); got != want {
				t.Errorf("the counts are %+v, want %+v", got, want)
			}
		})
	}
}

// What had reached us before Stop is reported by it.
func TestStopReportsWhatIsThere(t *testing.T) {
	m := newMemory()
	r := start(t, m, nil)
	c := dial(t, r)
	for i := range 100 {
		send(t, c, at("G1", "edge-1", i))
	}
	r.Stop()
	r.Stop()
	got := m.total()
	if got.sum() != 100 || m.use("G1", "edge-1").Admitted != got.Admitted || got.Lost != 0 {
		t.Errorf("the counts are %+v, %d are reported", got, m.use("G1", "edge-1").Admitted)
	}
}

func TestWhatIsNotTakenIsCounted(t *testing.T) {
	long := at("G1", strings.Repeat("x", 64), 0) + strings.Repeat(" ", 2000)
	for name, c := range map[string]struct {
		change   func(*Options)
		datagram string
		want     Counts
	}{
		"a sender that is not allowed": {func(o *Options) { o.Senders = networks("192.0.2.0/24", "::1/128") }, at("G1", "edge-1", 0), Counts{Sender: 3}},
		"a sender that is allowed":     {func(o *Options) { o.Senders = networks("192.0.2.0/24", "127.0.0.0/8") }, at("G1", "edge-1", 0), Counts{Admitted: 3}},
		"a node that is not known":     {func(o *Options) { o.Known = func(n string) bool { return n == "edge-2" } }, at("G1", "edge-1", 0), Counts{UnknownNode: 3}},
		"a node that is known":         {func(o *Options) { o.Known = func(n string) bool { return n == "edge-1" } }, at("G1", "edge-1", 0), Counts{Admitted: 3}},
		"longer than allowed":          {func(o *Options) { o.MaxLine = 2000 }, long, Counts{Oversize: 3}},
		"as long as allowed":           {func(o *Options) { o.MaxLine = len(at("G1", "edge-1", 0)) }, at("G1", "edge-1", 0), Counts{Admitted: 3}},
		"nonsense":                     {nil, "nonsense", Counts{Malformed: 3}},
		"an empty datagram":            {nil, "", Counts{Malformed: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			r := start(t, m, c.change)
			send(t, dial(t, r), c.datagram, c.datagram, c.datagram)
			until(t, "all datagrams", func() bool { return m.total().sum() == 3 })
			r.Stop()
			if got := m.total(); got != c.want {
				t.Errorf("the counts are %+v, want %+v", got, c.want)
			}
			if m.use("G1", "edge-1").Admitted != c.want.Admitted {
				t.Errorf("reported: %+v", m.use("G1", "edge-1"))
			}
		})
	}
}

// Whoever floods us loses lines, and we know how many.
func TestAFullQueueDropsAndCounts(t *testing.T) {
	m := newMemory()
	blocked, release := make(chan struct{}, 1), make(chan struct{})
	r := start(t, m, func(o *Options) {
		o.Queue = 5
		o.Known = func(string) bool {
			select {
			case blocked <- struct{}{}:
			default:
			}
			<-release
			return true
		}
	})
	c := dial(t, r)
	send(t, c, at("G1", "edge-1", 0))
	<-blocked
	for i := range 50 {
		send(t, c, at("G1", "edge-1", i))
	}
	until(t, "the queue is full", func() bool { return m.total().Overflow == 45 })
	close(release)
	r.Stop()
	if got := m.total(); got.Admitted != 6 || got.Overflow != 45 || m.use("G1", "edge-1").Admitted != 6 {
		t.Errorf("the counts are %+v", got)
	}
}

// A store that is down for a while costs nothing.
func TestWhatTheSinkDoesNotTakeIsReportedAgain(t *testing.T) {
	m := newMemory()
	m.down = func(context.Context, []Use) error { return errDown }
	r := start(t, m, nil)
	c := dial(t, r)
	send(t, c, at("G1", "edge-1", 3), at("G2", "edge-1", 4))
	until(t, "a failure", func() bool { return m.failures() > 0 })
	send(t, c, at("G1", "edge-1", 1), denied("G1", 9))
	until(t, "all datagrams", func() bool { return m.total().sum() == 4 })
	m.setDown(nil)
	until(t, "a report", func() bool { return m.use("G1", "edge-1").Admitted == 2 })
	r.Stop()
	wantUse(t, m.use("G1", "edge-1"), Use{FirstAdmitted: millis(1), LastAdmitted: millis(3), FirstRefusedAfter: millis(9), Admitted: 2, RefusedAfter: 1})
	wantUse(t, m.use("G2", "edge-1"), Use{FirstAdmitted: millis(4), LastAdmitted: millis(4), Admitted: 1})
	if got := m.total().Lost; got != 0 {
		t.Errorf("%d are lost", got)
	}
}

// While the store is down the memory stays bounded: those go that were used least recently, and it is told how many.
func TestMemoryIsBoundedWhileTheSinkIsDown(t *testing.T) {
	m := newMemory()
	m.down = func(context.Context, []Use) error { return errDown }
	r := start(t, m, func(o *Options) { o.MaxUses = 3 })
	c := dial(t, r)
	for i := range 10 {
		send(t, c, at(fmt.Sprintf("G%d", i), "edge-1", i), at(fmt.Sprintf("G%d", i), "edge-1", i))
	}
	until(t, "all datagrams", func() bool { return m.total().sum() == 20 })
	m.setDown(nil)
	r.Stop()
	kept := int64(0)
	for i := range 10 {
		kept += m.use(fmt.Sprintf("G%d", i), "edge-1").Admitted
	}
	if lost := m.total().Lost; lost < 14 || kept+lost != 20 {
		t.Errorf("%d are kept and %d lost, of 20", kept, lost)
	}
}

// With a store that works, a small memory loses nothing: it is emptied before it is full for long.
func TestAFullMemoryIsReportedAtOnce(t *testing.T) {
	m := newMemory()
	r := start(t, m, func(o *Options) { o.MaxUses, o.Interval = 100, time.Hour })
	c := dial(t, r)
	for round := range 5 {
		for i := range 99 {
			send(t, c, at(fmt.Sprintf("G%d-%d", round, i), "edge-1", i))
		}
		send(t, c, at(fmt.Sprintf("G%d-99", round), "edge-1", 0))
		until(t, "a report", func() bool {
			return m.use(fmt.Sprintf("G%d-0", round), "edge-1").Admitted == 1 && m.use(fmt.Sprintf("G%d-99", round), "edge-1").Admitted == 1
		})
	}
	r.Stop()
	if got := m.total(); got.Lost != 0 || got.Admitted != 500 {
		t.Errorf("the counts are %+v", got)
	}
}

// A store that hangs holds Stop up for its time only, and what it had not taken is told as lost.
func TestStopIsBoundedThoughTheSinkHangs(t *testing.T) {
	m := newMemory()
	m.down = func(ctx context.Context, _ []Use) error { <-ctx.Done(); return ctx.Err() }
	r := start(t, m, func(o *Options) { o.ReportTimeout = 100 * time.Millisecond })
	send(t, dial(t, r), at("G1", "edge-1", 0), denied("G1", 1))
	until(t, "a failure", func() bool { return m.failures() > 0 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.Stop() }()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("stop hangs")
	}
	if got, want := m.total(), (Counts{Admitted: 1, Refused: 1, Lost: 2}); got != want {
		t.Errorf("the counts are %+v, want %+v", got, want)
	}
}

func TestStartAndStopInAnyOrder(t *testing.T) {
	m := newMemory()
	r, err := New(Options{Listen: "udp:127.0.0.1:0", Sink: m, Observer: m, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	r.Stop()
	for range 2 {
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
	}
	r.Stop()
	r.Stop()
}

func TestUnixSocketIsReplacedOnlyIfNobodyHasIt(t *testing.T) {
	path := socketPath(t)
	listen := func() (*Receiver, error) {
		m := newMemory()
		r, err := New(Options{Listen: "unix:" + path, Sink: m, Observer: m, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return r, r.Start()
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(); err == nil {
		t.Error("a file is replaced")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Fatalf("the file is %q, %v", text, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// One that a killed process left behind.
	left, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	r, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if _, err := listen(); err == nil {
		t.Error("a socket that is in use is replaced")
	}
	r.Stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestReceiverOptionsAreChecked(t *testing.T) {
	m := newMemory()
	good := Options{Listen: "udp::0", Sink: m, Observer: m, Now: time.Now}
	for name, change := range map[string]func(*Options){
		"no sink": func(o *Options) { o.Sink = nil }, "no observer": func(o *Options) { o.Observer = nil }, "no clock": func(o *Options) { o.Now = nil },
		"no address": func(o *Options) { o.Listen = "" }, "no port": func(o *Options) { o.Listen = "udp:127.0.0.1" }, "tcp": func(o *Options) { o.Listen = "tcp:127.0.0.1:1" },
		"a path that is not absolute": func(o *Options) { o.Listen = "unix:x.sock" }, "a negative bound": func(o *Options) { o.MaxUses = -1 },
		"a negative time": func(o *Options) { o.Interval = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
