package bench

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// clients is how many connections a round uses.
const clients = 8

// variant is one way to let a request through, and what it took.
type variant struct {
	name    string
	pid     int
	request string
	lines   []*line
	spent   []float64 // us a request, by round
}

// measureRequest measures what one request costs HAProxy: by turns, so that what else the machine does meets all alike.
func measureRequest(t *testing.T, r *report, size sizes) {
	service, sink := startService(t), logSink(t)
	one := grant.Grant{ID: tokencorpus.GrantID, Subject: tokencorpus.Subject, ExpiresAt: time.Now().Add(time.Hour)}
	variants := []*variant{
		passThrough(t, "pass-through", "", service.port), passThrough(t, "pass-through with HAProxy's own log", sink, service.port),
		enforced(t, "RS256", settings{log: sink}, service.port, one), enforced(t, "warm cache", settings{log: sink, cache: true}, service.port, one),
		enforced(t, "RS256 without a log", settings{}, service.port, one), enforced(t, "warm cache without a log", settings{cache: true}, service.port, one),
	}
	for round := range size.rounds + 1 {
		for _, v := range variants {
			spent := v.round(t, size.requests)
			if round > 0 { // the first one warms
				v.spent = append(v.spent, spent)
			}
		}
	}
	goals := map[string]float64{"RS256": 2.2, "warm cache": 1.6}
	base := median(variants[0].spent)
	r.add("request: pass-through", base, "us CPU")
	for _, v := range variants[1:] {
		r.times("request: "+v.name, median(v.spent), "us CPU", "pass-through", base, goals[v.name])
	}
	plain := variants[1]
	for _, v := range variants[2:4] {
		r.times("request: "+v.name+", both with a log", median(v.spent), "us CPU", plain.name, median(plain.spent), 0)
	}
}

// round sends requests and returns what one took.
func (v *variant) round(t *testing.T, requests int) float64 {
	t.Helper()
	before := cpu(t, v.pid)
	turns := max(1, requests/clients)
	for range turns {
		for _, l := range v.lines {
			if err := l.send(v.request); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range v.lines {
			if status, err := l.answer(); err != nil || status != http.StatusOK {
				t.Fatalf("%s: status %d, %v", v.name, status, err)
			}
		}
	}
	return float64(cpu(t, v.pid)-before) / float64(time.Microsecond) / float64(turns*clients)
}

func newVariant(t *testing.T, name, address, token string, process *haproxyproc.Process) *variant {
	t.Helper()
	pid, err := process.WorkerPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := &variant{name: name, pid: pid, request: requestText(token)}
	for range clients {
		v.lines = append(v.lines, dial(t, address))
	}
	return v
}

// passThrough checks nothing; the log is HAProxy's own of HTTP, if there is an address for it.
func passThrough(t *testing.T, name, log string, servicePort int) *variant {
	t.Helper()
	address, logging := fmt.Sprintf("127.0.0.1:%d", freePort(t)), ""
	global := ""
	if log != "" {
		global, logging = "  log "+log+" len 8192 local0\n", "  log global\n  option httplog\n"
	}
	process := startPlain(t, fmt.Sprintf("global\n  nbthread 1\n  maxconn 1000\n%sdefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n%s"+
		"frontend pass\n  bind %s\n  default_backend pass\nbackend pass\n  server s1 127.0.0.1:%d\n", global, logging, address, servicePort))
	return newVariant(t, name, address, "none", process)
}

// enforced checks everything, for one grant.
func enforced(t *testing.T, name string, s settings, servicePort int, one grant.Grant) *variant {
	t.Helper()
	s.maps = map[string][]byte{
		"grants.map": fmt.Appendf(nil, "%s|%s %d:%s\n", one.Subject, tokencorpus.Pool, one.ExpiresAt.Unix(), one.ID),
		"leases.map": fmt.Appendf(nil, "%s %d\n", tokencorpus.Environment, one.ExpiresAt.Unix()),
	}
	n := render(t, s, servicePort)
	process, err := haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: n.config, Dir: n.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newVariant(t, name, n.address, n.token(one), process)
}

// logSink reads a log and forgets it.
func logSink(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 16<<10)
		for {
			if _, _, err := conn.ReadFrom(buffer); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().String()
}
