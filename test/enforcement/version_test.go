package enforcement

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// defused is what HAProxy 3 does to some requests that 2.6 hands to the rules: it takes the harm out of them itself, and then
// they pass as the ordinary requests that they have become.
const defused = "defused"

// sinceThree are the probes that HAProxy 3.0 answers by itself, or defuses, before any rule sees them.
var sinceThree = map[string]string{
	"request: a list of hosts":                          malformed,
	"request: a list of hosts, ours last":               malformed,
	"request: host with user":                           malformed,
	"request: host with path":                           malformed,
	"request: host with space":                          malformed,
	"request: host with tab":                            malformed,
	"request: host with NUL":                            malformed,
	"request: host with another alphabet":               malformed,
	"request: host that is a pool's name":               malformed,
	"request: host folded":                              malformed,
	"http2: authority with user":                        malformed,
	"http2: authority with path":                        malformed,
	"request: absolute target without path":             defused,
	"http2: asterisk":                                   defused,
	"request: upgrade to h2c":                           defused,
	"request: upgrade to h2c in another case":           defused,
	"request: upgrade to h2c in a second line":          defused,
	"request: upgrade to websocket and h2c in one line": defused,
}

// unseenSinceThree are mutants that no request can show on HAProxy 3.0 either.
var unseenSinceThree = []excuse{
	{"!{ path -m beg / }", missing, "HAProxy 3 makes a path of every target, or refuses it"},
}

// excuses are those of the HAProxy that is tested.
func excuses() []excuse {
	if major() == "2" {
		return unseen
	}
	return slices.Concat(unseen, unseenSinceThree)
}

// expected is what comes of a probe on the HAProxy that is tested, of which why is known for 2.6.
func expected(name, why string) string {
	if other := sinceThree[name]; other != "" && major() != "2" {
		return other
	}
	return why
}

// major is the first number of HAProxy's version.
var major = sync.OnceValue(func() string {
	program, err := haproxyproc.Find()
	if err != nil {
		panic(err)
	}
	output, err := exec.Command(program, "-v").Output()
	found := regexp.MustCompile(`version ([0-9]+)\.`).FindSubmatch(output)
	if err != nil || found == nil {
		panic(fmt.Sprintf("%s does not tell its version: %v: %s", program, err, output))
	}
	return string(found[1])
})

// turnedAway expects the request to be refused for that reason, or to reach the service without its harm.
func (w *world) turnedAway(request, why string) error {
	if why != defused {
		return w.refused(request, why)
	}
	a, err := w.send(request)
	if err != nil {
		return err
	}
	return checkDefused(a)
}

// checkDefused wants the service to have seen an ordinary request for itself: no upgrade but to a WebSocket, and a path.
func checkDefused(a answer) error {
	if a.status != http.StatusOK {
		return fmt.Errorf("status %d: %.200s", a.status, a.body)
	}
	var s seen
	if err := json.Unmarshal(a.body, &s); err != nil {
		return fmt.Errorf("read what the service saw: %w", err)
	}
	for _, upgrade := range s.Header.Values("Upgrade") {
		if upgrade != "websocket" {
			return fmt.Errorf("the service saw Upgrade: %q", upgrade)
		}
	}
	path := strings.TrimPrefix(s.URI, "http://"+host) // the whole address is passed on as it came
	if s.Header.Get("Http2-Settings") != "" || s.Host != host || !strings.HasPrefix(path, "/") {
		return fmt.Errorf("the service saw %q of %q, %v", s.URI, s.Host, s.Header)
	}
	return nil
}
