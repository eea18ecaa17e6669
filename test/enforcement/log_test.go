package enforcement

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// line is a line of the access log.
type line struct {
	TS                                                                    float64
	At, Node, Src, ID, M, Host, Path, Be, Srv, Sub, Pool, Grant, JTI, Why string
	TokenGrant                                                            string `json:"token_grant"`
	Decision, Term                                                        string
	St, TT                                                                int
}

// logged waits for the line of a request.
func (w *world) logged(id string) (line, error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for text := range strings.Lines(w.log.String()) {
			if !strings.HasSuffix(text, "\n") || !strings.Contains(text, `"id":"`+id+`"`) {
				continue
			}
			var l line
			decoder := json.NewDecoder(strings.NewReader(text[strings.Index(text, "{"):]))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&l); err != nil {
				return line{}, fmt.Errorf("read log line %q: %w", text, err)
			}
			return l, nil
		}
	}
	return line{}, fmt.Errorf("no log line has the id %s", id)
}

// I14: no secret in logs.
func TestLogIsJSONWithoutSecrets(t *testing.T) {
	w := newWorld(t)
	s, _, err := w.admitted(request("GET /path?token=secret-in-the-query", "Host: "+host, bearer(w.good()), "Cookie: a=secret-in-a-cookie"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := w.logged(s.Header.Get("X-Request-Id"))
	if err != nil {
		t.Fatal(err)
	}
	want := line{
		TS: l.TS, At: l.At, Node: nodeName, Src: "127.0.0.1", ID: l.ID, M: "GET", Host: host, Path: "/path", Be: "be_prod_billing", Srv: "s1", Sub: tokencorpus.Subject,
		Pool: tokencorpus.Pool, Grant: tokencorpus.GrantID, TokenGrant: tokencorpus.GrantID, JTI: tokencorpus.JTI, Decision: "allow", Why: "-", Term: l.Term, St: 200, TT: l.TT,
	}
	if l != want {
		t.Errorf("the line is %+v instead of %+v", l, want)
	}
	if age := time.Since(time.UnixMilli(int64(l.TS * 1000))); age < -time.Minute || age > time.Minute {
		t.Errorf("the line is %s old", age)
	}

	a, err := w.send(request(`GET /"x\y?q`, "Host: "+host, bearer(w.named("a changed payload")), "Cookie: a=secret-in-a-cookie"))
	if err != nil {
		t.Fatal(err)
	}
	var r refusal
	if err := json.Unmarshal(a.body, &r); err != nil {
		t.Fatal(err)
	}
	if l, err = w.logged(r.RequestID); err != nil {
		t.Fatal(err)
	}
	if l.Why != "bad_signature" || l.Decision != "deny" || l.St != 401 || l.Sub != "-" || l.Srv != "<NOSRV>" || !strings.HasPrefix(l.Path, `/"x\y`) {
		t.Errorf("the line is %+v", l)
	}

	// Every refusal of the table at once, and what cannot be parsed.
	for _, p := range probes() {
		if err := p.run(w); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
	last, _, err := w.admitted(get(host, bearer(w.good())))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.logged(last.Header.Get("X-Request-Id")); err != nil {
		t.Fatal(err)
	}
	text, lines := w.log.String(), 0
	for text := range strings.Lines(text) {
		if !strings.Contains(text, `"decision"`) {
			continue
		}
		lines++
		if !json.Valid([]byte(strings.TrimSpace(text[strings.Index(text, "{"):]))) {
			t.Errorf("no JSON: %q", text)
		}
	}
	if lines < 600 {
		t.Errorf("there are %d lines only", lines)
	}
	for _, secret := range append(strings.Split(w.good(), "."), "secret-in-the-query", "secret-in-a-cookie", "access_token") {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// Each quote becomes two characters in the line.
func TestLogLineOfALongRequestIsWhole(t *testing.T) {
	w := newWorld(t)
	s, _, err := w.admitted(request("GET /"+strings.Repeat(`"`, 6000), "Host: "+host, bearer(w.good())))
	if err != nil {
		t.Fatal(err)
	}
	l, err := w.logged(s.Header.Get("X-Request-Id"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "/" + strings.Repeat(`"`, 511); l.Path != want {
		t.Errorf("the path is %d bytes long: %q", len(l.Path), l.Path)
	}
}
