package enforcement

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// probe is one request, or a few, and what must come of it. It is a function of its own and not of testing.T, since the
// mutation test runs all probes against each broken configuration and expects an error.
type probe struct {
	name string
	run  func(*world) error
}

// probes are all of them. They leave HAProxy's maps as they found them.
func probes() []probe {
	var all []probe
	for _, part := range [][]probe{corpusProbes(), requestProbes(), goodProbes(), headerProbes(), mapProbes(), pageProbes(), http2Probes(), signatureProbes()} {
		all = append(all, part...)
	}
	return all
}

func TestProbes(t *testing.T) { eachMode(t, testProbes) }

func testProbes(t *testing.T, s *set) {
	w := s.run(t)
	names := map[string]bool{}
	for _, p := range probes() {
		if names[p.name] {
			t.Errorf("two probes are named %q", p.name)
		}
		names[p.name] = true
		t.Run(p.name, func(t *testing.T) {
			if err := p.run(w); err != nil {
				t.Error(err)
			}
		})
	}
	if len(names) < 250 {
		t.Errorf("there are %d probes only", len(names))
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send writes the bytes of one request as they are and reads one answer.
func (w *world) send(request string) (answer, error) {
	connection, err := net.Dial("tcp", w.address)
	if err != nil {
		return answer{}, err
	}
	defer connection.Close()
	return exchange(connection, bufio.NewReader(connection), request)
}

func exchange(connection net.Conn, reader *bufio.Reader, request string) (answer, error) {
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return answer{}, fmt.Errorf("send request: %w", err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read answer's body: %w", err)
	}
	return answer{response.StatusCode, response.Header, body}, nil
}

// request is the text of a request with these header lines.
func request(line string, headers ...string) string {
	return line + " HTTP/1.1\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// get is an ordinary request for a host with these further header lines.
func get(host string, headers ...string) string {
	return request("GET /path?q=1", append([]string{"Host: " + host}, headers...)...)
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// refusal is the JSON of a refusal.
type refusal struct {
	Error      string `json:"error"`
	Pool       string `json:"pool"`
	RequestURL string `json:"request_url"`
	RequestID  string `json:"request_id"`
}

const malformed = "malformed_request"

// statuses are written down here once more, apart from the code: the oracle.
var statuses = map[string]int{
	malformed: 400, "bad_host": 400, "bad_method": 400, "bad_target": 400, "bad_connection": 400, "bad_upgrade": 400, "bad_cookie": 400,
	"no_token": 401, "not_bearer": 401, "many_credentials": 401, "token_too_long": 401, "malformed_token": 401, "bad_alg": 401, "bad_header": 401,
	"duplicate_claim": 401, "bad_iss": 401, "unknown_kid": 401, "bad_signature": 401, "bad_typ": 401, "bad_aud": 401, "bad_exp": 401, "expired": 401,
	"bad_nbf": 401, "not_yet": 401, "bad_iat": 401, "issued_in_future": 401, "email_unverified": 401, "bad_sub": 401, "bad_groups": 401,
	"no_grant": 403, "bad_grant": 403, "grant_expired": 403, "other_grant": 403, "refused": 403,
	"unknown_service": 404, "stale": 503, "no_backend": 503,
}

// refused expects the request to be refused for that reason, and not to reach the service.
func (w *world) refused(request, why string) error {
	before := w.upstream.count.Load()
	a, err := w.send(request)
	if err != nil {
		return err
	}
	var errs []error
	if w.upstream.count.Load() != before {
		errs = append(errs, errors.New("the request reached the service"))
	}
	return errors.Join(append(errs, checkRefusal(request, a, why))...)
}

func checkRefusal(request string, a answer, why string) error {
	if a.status != statuses[why] {
		return fmt.Errorf("status %d instead of %d for %s: %.200s", a.status, statuses[why], why, a.body)
	}
	if strings.HasPrefix(request, "HEAD ") {
		return nil
	}
	if why == malformed {
		// HAProxy cannot parse the request and answers by itself
		if !strings.Contains(string(a.body), "Your browser sent an invalid request") {
			return fmt.Errorf("not HAProxy's own answer: %.200s", a.body)
		}
		return nil
	}
	var r refusal
	if err := json.Unmarshal(a.body, &r); err != nil {
		return fmt.Errorf("read refusal %q: %w", a.body, err)
	}
	if r.Error != why {
		return fmt.Errorf("the reason is %s instead of %s", r.Error, why)
	}
	if why == "unknown_service" && r.Pool != "" {
		return fmt.Errorf("the answer names the pool %q", r.Pool)
	}
	return nil
}

// admitted expects the request to reach the service, once, and returns what it saw.
func (w *world) admitted(request string) (seen, answer, error) {
	before := w.upstream.count.Load()
	a, err := w.send(request)
	if err != nil {
		return seen{}, a, err
	}
	if a.status != http.StatusOK {
		return seen{}, a, fmt.Errorf("status %d instead of 200: %.200s", a.status, a.body)
	}
	if n := w.upstream.count.Load() - before; n != 1 {
		return seen{}, a, fmt.Errorf("the service was reached %d times", n)
	}
	var s seen
	if err := json.Unmarshal(a.body, &s); err != nil {
		return seen{}, a, fmt.Errorf("read what the service saw: %w", err)
	}
	return s, a, nil
}

func corpusProbes() []probe {
	var all []probe
	for _, c := range tokencorpus.Cases() {
		all = append(all, probe{"token: " + c.Name, func(w *world) error {
			if c.Why != "" {
				return w.refused(get(host, bearer(w.token(c))), c.Why)
			}
			s, _, err := w.admitted(get(host, bearer(w.token(c))))
			if err != nil {
				return err
			}
			return s.is(map[string]string{"X-Forwarded-User": tokencorpus.Subject, "X-Forwarded-Groups": c.Groups, "X-Clutch-Grant": tokencorpus.GrantID})
		}})
	}
	return all
}

// is compares headers; an empty value means that there is none.
func (s seen) is(want map[string]string) error {
	for name, value := range want {
		values := s.Header.Values(name)
		if value == "" {
			if len(values) > 0 {
				return fmt.Errorf("the service saw %s: %q", name, values)
			}
			continue
		}
		if len(values) != 1 || values[0] != value {
			return fmt.Errorf("the service saw %s: %q instead of %q", name, values, value)
		}
	}
	return nil
}
