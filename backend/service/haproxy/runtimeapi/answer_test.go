package runtimeapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/runtimeapi"
)

const maps = "/m"

func nothingLives(string) bool { return false }

func keepNothing() map[desired.Map]desired.Table {
	return map[desired.Map]desired.Table{desired.Grants: {}, desired.KIDs: {}}
}

// A socket that does not answer as HAProxy does is an error of both calls, in bounded time, and nothing is ended or
// removed by what it said.
func TestASocketThatMisbehavesIsAnErrorInTime(t *testing.T) {
	write := func(text string) func(*fake, net.Conn, string) {
		return func(_ *fake, c net.Conn, _ string) { _, _ = io.WriteString(c, text) }
	}
	proc := "#<PID>  <type>  <reloads>\n1 master 1\n# workers\n2 worker 0\n# old workers\n3 worker 1\n"
	for name, serve := range map[string]func(*fake, net.Conn, string){
		"hangs":                      func(_ *fake, c net.Conn, _ string) { hang(c) },
		"hangs within an answer":     func(_ *fake, c net.Conn, _ string) { _, _ = io.WriteString(c, proc); hang(c) },
		"closes at once":             write(""),
		"closes within a line":       write("# table: st_haproxyaccess_sess"),
		"closes between lines":       write(proc),
		"answers nothing":            write("\n"),
		"does not know the command":  write("Unknown command: 'show', but maybe one of the following ones is a better match:\n  help\n\n"),
		"lets nobody do it":          write("Permission denied\n\n"),
		"is a web server":            write("HTTP/1.0 400 Bad Request\r\n\r\n<html>\n\n"),
		"is binary":                  write("\x00\x01\xff\n\x00\n\n"),
		"writes a line without end":  write(strings.Repeat("x", 1<<20)),
		"knows a worker with a word": write("1 master 1\n# workers\nx worker 0\n\n"),
		"has no running worker":      write("1 master 1\n# workers\n# old workers\n3 worker 1\n\n"),
		"has no master":              write("# workers\n2 worker 0\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, serve)
			for _, o := range []runtimeapi.Options{{Runtime: "unix:" + f.path}, {Master: "unix:" + f.path}} {
				o.MapsDir, o.ExchangeTimeout, o.CallTimeout = maps, 50*time.Millisecond, 200*time.Millisecond
				c := newClient(t, o)
				begin := time.Now()
				if n, err := c.Cut(t.Context(), nothingLives); err == nil || n != 0 {
					t.Errorf("cut: %d, %v", n, err)
				}
				if n, err := c.Purge(t.Context(), keepNothing()); err == nil {
					t.Errorf("purge: %d, %v", n, err)
				}
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
			}
		})
	}
}

func TestTheCallersContextEndsACall(t *testing.T) {
	asked := make(chan struct{}, 1)
	f := newFake(t, func(_ *fake, c net.Conn, _ string) { asked <- struct{}{}; hang(c) })
	c := newClient(t, runtimeapi.Options{Runtime: "unix:" + f.path, ExchangeTimeout: time.Minute, CallTimeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := c.Cut(ctx, nothingLives); !errors.Is(err, context.Canceled) {
		t.Errorf("cut: %v", err)
	}
}

const (
	tableHead = "# table: st_haproxyaccess_sessions, type: string, size:102400, used:1\n"
	tableRow  = "0x5589: key=alice@example.com|prod/billing|127.0.0.1:4001 use=1 exp=7199 shard=0 http_req_cnt=1\n"
	sessRow   = "0x7f01: proto=tcpv4 src=127.0.0.1:4001 fe=fe_haproxyaccess be=be_b srv=s1 ts=00 epoch=0 age=1s calls=3 rate=0 cpu=0 lat=0 rq[f=1h]\n"
)

func detail(reference, source, frontend, backend string) string {
	return reference + ": [24/Nov/2026:15:22:58.782953] id=7 proto=tcpv4 source=" + source + "\n" +
		"  flags=0xc4a, conn_retries=0, conn_exp=<NEVER> conn_et=0x000 srv_conn=0x561c, pend_pos=(nil) waiting=0 epoch=0\n" +
		"  frontend=" + frontend + " (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:28080\n" +
		"  backend=" + backend + " (id=3 mode=http) addr=127.0.0.1:54574\n\n"
}

// Between the list and the command a stream may end and its memory go to somebody else's.
func TestAReferenceThatIsAnotherStreamsByNowIsNotShutDown(t *testing.T) {
	for name, c := range map[string]struct {
		now  string
		want bool
	}{
		"the same":         {detail("0x7f01", "127.0.0.1:4001", "fe_haproxyaccess", "be_b"), true},
		"another client":   {detail("0x7f01", "127.0.0.1:4002", "fe_haproxyaccess", "be_b"), false},
		"another frontend": {detail("0x7f01", "127.0.0.1:4001", "fe_other", "be_b"), false},
		"another backend":  {detail("0x7f01", "127.0.0.1:4001", "fe_haproxyaccess", "be_c"), false},
		"nobody":           {"Session not found.\n\n", false},
		"nothing":          {"\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			ended := false
			f := scripted(t, func(command string) string {
				switch command {
				case "show table st_haproxyaccess_sessions":
					if ended {
						return tableHead + strings.Replace(tableRow, "use=1", "use=0", 1) + "\n"
					}
					return tableHead + tableRow + "\n"
				case "show sess": // with one from the same address to somebody else's frontend, and our own connection
					return sessRow + strings.NewReplacer("0x7f01", "0x7f02", "fe_haproxyaccess", "fe_other").Replace(sessRow) +
						"0x7f03: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00\n\n"
				case "show sess 0x7f01":
					if !c.want {
						ended = true
					}
					return c.now
				case "shutdown session 0x7f01":
					ended = true
					return "\n"
				}
				t.Errorf("unexpected command %q", command)
				return ""
			})
			n, err := newClient(t, runtimeapi.Options{Runtime: "unix:" + f.path}).Cut(t.Context(), nothingLives)
			if err != nil || n != map[bool]int{true: 1}[c.want] || f.sent("shutdown") != c.want {
				t.Errorf("cut %d, %v: %q", n, err, f.commands())
			}
		})
	}
}

// A stream that does not end though it was shut down is counted once, and told.
func TestAStreamThatDoesNotEndIsAnError(t *testing.T) {
	f := scripted(t, func(command string) string {
		switch {
		case strings.HasPrefix(command, "show table"):
			return tableHead + tableRow + "\n"
		case command == "show sess":
			return sessRow + "\n"
		case strings.HasPrefix(command, "show sess "):
			return detail("0x7f01", "127.0.0.1:4001", "fe_haproxyaccess", "be_b")
		}
		return "\n"
	})
	n, err := newClient(t, runtimeapi.Options{Runtime: "unix:" + f.path, CallTimeout: 300 * time.Millisecond}).Cut(t.Context(), nothingLives)
	if n != 1 || err == nil {
		t.Errorf("cut %d, %v", n, err)
	}
}

// The rows that can be read are acted on, and the one that cannot is not passed over in silence.
func TestARowThatCannotBeReadDoesNotHideTheOthers(t *testing.T) {
	ended := false
	f := scripted(t, func(command string) string {
		odd := tableHead + "0x5588: key=a|b|c|d use=1 exp=1 \n"
		switch {
		case strings.HasPrefix(command, "show table") && ended:
			return odd + "\n"
		case strings.HasPrefix(command, "show table"):
			return odd + tableRow + "\n"
		case command == "show sess":
			return sessRow + "\n"
		case strings.HasPrefix(command, "show sess "):
			return detail("0x7f01", "127.0.0.1:4001", "fe_haproxyaccess", "be_b")
		}
		ended = true
		return "\n"
	})
	n, err := newClient(t, runtimeapi.Options{Runtime: "unix:" + f.path}).Cut(t.Context(), nothingLives)
	if n != 1 || err == nil || !strings.Contains(err.Error(), "a|b|c|d") {
		t.Errorf("cut %d, %v", n, err)
	}
}

// The answers of two versions to "show proc", as they are.
const (
	proc26 = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"24073           master          2 [failed: 0]   0d00h04m49s     2.6.12-1+deb12u4\n# workers\n" +
		"29777           worker          0               0d00h00m01s     2.6.12-1+deb12u4\n# old workers\n" +
		"24114           worker          1               0d00h04m47s     2.6.12-1+deb12u4\n# programs\n\n"
	proc30 = "#<PID>          <type>          <reloads>       <uptime>        <version>       \n" +
		"40              master          2 [failed: 0]   0d00h04m49s     3.0.11-1+deb13u1\n# workers\n" +
		"78              worker          0               0d00h00m01s     3.0.11-1+deb13u1\n# old workers\n" +
		"60              worker          1               0d00h04m47s     3.0.11-1+deb13u1\n" +
		"50              worker          2               0d00h09m47s     3.0.11-1+deb13u1\n# programs\n" +
		"55              other           0               0d00h00m01s     -\n\n"
	mapList = "# id (file) description\n0 (/m/grants.map) pattern loaded from file '/m/grants.map' used by map at file 'h.cfg' line 20. curr_ver=0 next_ver=0 entry_cnt=1\n" +
		"1 (/m/kids.map) pattern loaded from file '/m/kids.map' used by map\n2 (/elsewhere/other.map) pattern loaded\n\n"
)

func TestPurgeAsksEveryOlderWorkerAndNeverTheRunningOne(t *testing.T) {
	for name, c := range map[string]struct {
		proc string
		old  []string
	}{
		"2.6": {proc26, []string{"@!24114"}}, "3.0": {proc30, []string{"@!60", "@!50"}},
		"none": {strings.Replace(proc26, "24114           worker", "24114           program", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := scripted(t, func(command string) string {
				switch {
				case command == "show proc":
					return c.proc
				case strings.HasSuffix(command, "show map"):
					return mapList
				}
				return "\n"
			})
			n, err := newClient(t, runtimeapi.Options{Master: "unix:" + f.path, MapsDir: maps}).Purge(t.Context(), keepNothing())
			if err != nil || n != len(c.old) {
				t.Fatalf("purge: %d, %v", n, err)
			}
			var asked []string
			for _, command := range f.commands() {
				if worker, _, ok := strings.Cut(command, " show map /m/grants.map"); ok {
					asked = append(asked, worker)
				}
				if command != "show proc" && !slices.Contains(c.old, strings.Fields(command)[0]) {
					t.Errorf("%q was sent", command)
				}
			}
			if !slices.Equal(asked, c.old) {
				t.Errorf("%q were asked", asked)
			}
		})
	}
}

// Each old worker's fault is its own: the other one is done, and the fault is told unless the worker has ended.
func TestPurgeOfOneWorkerThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		ends   bool
		want   string
	}{
		"has ended":                   {"Can't find the target PID matching the prefix '@!60'\n", true, ""},
		"ends while it answers":       {"# id (file) description\n", true, ""},
		"is not known, but is listed": {"Can't find the target PID matching the prefix '@!60'\n", false, "older worker 60"},
		"answers half":                {"# id (file) description\n", false, "older worker 60"},
		"keeps its maps elsewhere":    {strings.ReplaceAll(mapList, "(/m/", "(/old/"), false, "/old/"},
		"has no map of ours":          {"# id (file) description\n0 (/x/y.map) pattern\n\n", false, ""},
		"answers without heading":     {"\n", false, "no heading"},
	} {
		t.Run(name, func(t *testing.T) {
			ended := false
			f := scripted(t, func(command string) string {
				switch {
				case command == "show proc" && ended:
					return strings.Replace(proc30, "60              worker          1               0d00h04m47s     3.0.11-1+deb13u1\n", "", 1)
				case command == "show proc":
					return proc30
				case command == "@!60 show map":
					ended = c.ends
					return c.answer
				case strings.HasSuffix(command, "show map"):
					return mapList
				}
				return "\n"
			})
			_, err := newClient(t, runtimeapi.Options{Master: "unix:" + f.path, MapsDir: maps}).Purge(t.Context(), keepNothing())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("purge: %v", err)
			}
			if !f.sent("@!50 show map /m/kids.map") {
				t.Error("the other worker was not asked")
			}
		})
	}
}

func TestPurgeTellsOfRowsThatComeBack(t *testing.T) {
	f := scripted(t, func(command string) string {
		switch {
		case command == "show proc":
			return proc26
		case strings.HasSuffix(command, "show map"):
			return mapList
		case strings.HasSuffix(command, "show map /m/grants.map"):
			return "0x1 alice@example.com|prod/billing 1:G\n\n"
		}
		return "\n"
	})
	if _, err := newClient(t, runtimeapi.Options{Master: "unix:" + f.path, MapsDir: maps}).Purge(t.Context(), keepNothing()); err == nil {
		t.Error("purge has no error")
	}
	if !f.sent("@!24114 del map /m/grants.map #0x1") {
		t.Errorf("sent: %q", f.commands())
	}
}

func TestPurgeWantsToKnowWhatToKeep(t *testing.T) {
	f := scripted(t, func(string) string { return "\n" })
	c := newClient(t, runtimeapi.Options{Master: "unix:" + f.path, MapsDir: maps})
	for _, m := range []desired.Map{desired.Grants, desired.KIDs} {
		keep := keepNothing()
		delete(keep, m)
		if _, err := c.Purge(t.Context(), keep); err == nil {
			t.Errorf("purge without %s has no error", m)
		}
	}
	if len(f.commands()) != 0 {
		t.Errorf("sent: %q", f.commands())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []runtimeapi.Options{
		{}, {Runtime: "/run/a.sock"}, {Runtime: "unix:a.sock"}, {Runtime: "unix:"}, {Runtime: "tcp:10.0.0.1"}, {Runtime: "tcp::99"},
		{Runtime: "http://x"}, {Master: "udp:10.0.0.1:9"}, {Runtime: "unix:/a", MapsDir: "m"}, {Runtime: "unix:/a", MapsDir: "/m x"},
		{Runtime: "unix:/a", MapsDir: "/m;quit"}, {Runtime: "unix:/a", MapsDir: "/m/"}, {Runtime: "unix:/a", MapsDir: "/m\nquit"},
	} {
		if _, err := runtimeapi.New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	for _, o := range []runtimeapi.Options{{Runtime: "unix:/a"}, {Master: "tcp:[::1]:9999"}, {Runtime: "tcp:node:1", MapsDir: "/etc/haproxy/maps"}} {
		if c, err := runtimeapi.New(o); err != nil || c.HasMaster() != (o.Master != "") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
