package enforcement

import (
	"errors"
	"fmt"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// named is the token of the corpus with that name.
func (s *set) named(name string) string {
	for _, c := range tokencorpus.Cases() {
		if c.Name == name {
			return s.token(c)
		}
	}
	panic("no token named " + name)
}

// goodProbes are requests that pass.
func goodProbes() []probe {
	var all []probe
	add := func(name string, f func(*world) string, check func(*world, seen, answer) error) {
		all = append(all, probe{"good: " + name, func(w *world) error {
			s, a, err := w.admitted(f(w))
			if err != nil || check == nil {
				return err
			}
			return check(w, s, a)
		}})
	}
	with := func(name string, check func(*world, seen, answer) error, line string, headers ...string) {
		add(name, func(w *world) string { return request(line, append([]string{bearer(w.good())}, headers...)...) }, check)
	}
	hostIs := func(want string) func(*world, seen, answer) error {
		return func(_ *world, s seen, _ answer) error {
			if s.Host != want {
				return fmt.Errorf("the service saw the host %q instead of %q", s.Host, want)
			}
			return s.is(map[string]string{"X-Forwarded-Host": want})
		}
	}
	cookieIs := func(want string) func(*world, seen, answer) error {
		return func(_ *world, s seen, a answer) error {
			if strings.Contains(string(a.body), "clutch_access") {
				return fmt.Errorf("the service saw our cookie: %s", a.body)
			}
			return s.is(map[string]string{"Cookie": want, "X-Forwarded-User": tokencorpus.Subject})
		}
	}
	get1, hostLine := "GET /path?q=1", "Host: "+host

	add("what the service sees", func(w *world) string { return get(host, bearer(w.good()), "User-Agent: test") }, whole)
	with("host with port", hostIs(host+":8443"), get1, "Host: "+host+":8443")
	with("host in upper case", hostIs("BILLING.Example"), get1, "Host: BILLING.Example")
	with("absolute target of the same host", hostIs(host), "GET http://"+host+"/x", hostLine)
	with("absolute target in another case", func(_ *world, s seen, _ answer) error {
		if !strings.EqualFold(s.Host, host) {
			return fmt.Errorf("the service saw the host %q", s.Host)
		}
		return s.is(map[string]string{"X-Forwarded-Host": host})
	}, "GET HTTP://Billing.example/x", hostLine)
	with("absolute target with the scheme's port", hostIs(host), "GET http://"+host+":80/x", hostLine)
	with("the same host twice: HAProxy passes one on", hostIs(host), get1, hostLine, hostLine)
	with("keep-alive", nil, get1, hostLine, "Connection: keep-alive")
	with("close and TE", nil, get1, hostLine, "Connection: close, TE", "TE: trailers")
	with("headers that are nobody's identity", func(_ *world, s seen, _ answer) error {
		return s.is(map[string]string{
			"User-Agent": "test", "X-Requested-With": "XMLHttpRequest", "X-Csrf-Token": "1", "X-Api-Key": "2", "Accept-Language": "de",
			"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Client-Version": "3", "Content-Type": "text/x", "If-None-Match": `"a"`,
		})
	}, get1, hostLine, "User-Agent: test", "X-Requested-With: XMLHttpRequest", "X-CSRF-Token: 1", "X-API-Key: 2", "Accept-Language: de",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Client-Version: 3", "Content-Type: text/x", `If-None-Match: "a"`)
	with("POST with a body", func(_ *world, s seen, _ answer) error {
		if s.Method != "POST" || s.Body != "hello" {
			return fmt.Errorf("the service saw %s with %q", s.Method, s.Body)
		}
		return nil
	}, "POST /", hostLine, "Content-Length: 5", "X: y\r\n\r\nhello")
	with("length and chunks: the chunks count, and one request alone is seen", func(_ *world, s seen, _ answer) error {
		if s.Body != "hello" || s.ContentLength >= 0 && len(s.TransferEncoding) > 0 {
			return fmt.Errorf("the service saw %q, length %d, coding %q", s.Body, s.ContentLength, s.TransferEncoding)
		}
		return nil
	}, "POST /", hostLine, "Content-Length: 44", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nX: y")
	add("scheme in lower case", func(w *world) string { return get(host, "authorization: bearer "+w.good()) }, nil)
	add("two spaces after the scheme", func(w *world) string { return get(host, "Authorization: Bearer  "+w.good()) }, nil)
	add("spaces around the token", func(w *world) string { return get(host, "Authorization:   Bearer "+w.good()+"  ") }, nil)
	add("a folded Authorization", func(w *world) string { return get(host, "Authorization: Bearer\r\n "+w.good()) }, nil)
	add("our cookie hidden in quotes is taken out", func(w *world) string {
		return get(host, bearer(w.good()), `Cookie: a="x; clutch_access=`+w.good()+`; b=y"`)
	}, cookieIs(`a="x; b=y"`))
	add("cookie alone", func(w *world) string { return get(host, "Cookie: clutch_access="+w.good()) }, cookieIs(""))
	add("cookie first", func(w *world) string { return get(host, "Cookie: clutch_access="+w.good()+"; a=b") }, cookieIs("a=b"))
	add("cookie last", func(w *world) string { return get(host, "Cookie: a=b; clutch_access="+w.good()) }, cookieIs("a=b"))
	add("cookie between others", func(w *world) string { return get(host, "Cookie: a=b; clutch_access="+w.good()+"; c=d") }, cookieIs("a=b; c=d"))
	add("cookie without spaces", func(w *world) string { return get(host, "Cookie: a=b;clutch_access="+w.good()+";c=d") }, cookieIs("a=b;c=d"))
	add("cookie with spaces around the sign", func(w *world) string { return get(host, "Cookie: a=b; clutch_access = "+w.good()+"; c=d") }, cookieIs("a=b; c=d"))
	add("other cookies beside a token", func(w *world) string { return get(host, bearer(w.good()), "Cookie: a=b; c=d") }, cookieIs("a=b; c=d"))
	add("a service account", func(w *world) string {
		claims := tokencorpus.Ours(w.keys).With("sub", "service:deploy-bot").With("aud", "prod/bot").With("grant_id", "BOT")
		return get(serviceHost, bearer(tokencorpus.SignOurs(w.keys, claims)))
	}, func(_ *world, s seen, _ answer) error {
		return s.is(map[string]string{"X-Forwarded-User": "service:deploy-bot", "X-Clutch-Pool": "prod/bot", "X-Clutch-Grant": "BOT"})
	})
	add("the same pool name elsewhere by its own token", func(w *world) string {
		claims := tokencorpus.Ours(w.keys).With("aud", "staging/billing").With("grant_id", "STAGING")
		return get(stagingHost, bearer(tokencorpus.SignOurs(w.keys, claims)))
	}, nil)
	return append(all, setCookieProbes()...)
}

// whole checks every header of ours at once, and that the token is nowhere.
func whole(w *world, s seen, a answer) error {
	errs := []error{s.is(map[string]string{
		"X-Forwarded-User": tokencorpus.Subject, "X-Forwarded-Groups": tokencorpus.Groups, "X-Clutch-Grant": tokencorpus.GrantID,
		"X-Clutch-Pool": tokencorpus.Pool, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": host,
		"Authorization": "", "Cookie": "", "X-Request-Id": s.Header.Get("X-Request-Id"),
	})}
	if len(s.Header.Get("X-Request-Id")) != 36 {
		errs = append(errs, fmt.Errorf("the request id is %q", s.Header.Get("X-Request-Id")))
	}
	if s.URI != "/path?q=1" || s.Host != host {
		errs = append(errs, fmt.Errorf("the service saw %q of %q", s.URI, s.Host))
	}
	for _, part := range strings.Split(w.good(), ".") {
		if strings.Contains(string(a.body), part) {
			errs = append(errs, errors.New("the service saw a part of the token"))
		}
	}
	return errors.Join(errs...)
}

// setCookieProbes: the service cannot put a token into the browser.
func setCookieProbes() []probe {
	var all []probe
	for name, c := range map[string]struct {
		cookie string
		kept   bool
	}{
		"our name":             {"clutch_access=x; Domain=example; Path=/", false},
		"our name, removed":    {"clutch_access=; Max-Age=0", false},
		"spaces":               {"  clutch_access = x", false},
		"no name, but a value": {"=clutch_access=x", false},
		"no sign":              {"clutch_access", false},
		"another name":         {"session=clutch_access; Path=/", true},
		"a longer name":        {"clutch_access_hint=1", true},
	} {
		all = append(all, probe{"set-cookie: " + name, func(w *world) error {
			_, a, err := w.admitted(get(host, bearer(w.good()), "Send-Cookie: "+c.cookie))
			if err != nil {
				return err
			}
			got := a.header.Get("Set-Cookie")
			if want := map[bool]string{true: strings.TrimSpace(c.cookie), false: ""}[c.kept]; got != want {
				return fmt.Errorf("the browser got %q instead of %q", got, want)
			}
			return nil
		}})
	}
	return all
}
