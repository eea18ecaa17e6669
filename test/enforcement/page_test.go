package enforcement

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

const requestURL = clutchURL + "/haproxy-access/request?environment=prod&pool=billing"

// pageProbes ask for each kind of refusal as a person and as a program.
func pageProbes() []probe {
	kinds := []struct {
		why   string
		pool  bool // the answer names the pool
		setup func(*world, func() error) error
		make  func(*world, ...string) string
	}{
		{"bad_method", false, direct, func(w *world, h ...string) string {
			return request("TRACE /<script>", append(h, "Host: "+host, bearer(w.good()))...)
		}},
		{"no_token", true, direct, func(_ *world, h ...string) string { return get(host, h...) }},
		{"bad_signature", true, direct, func(w *world, h ...string) string {
			return get(host, append(h, bearer(w.named("a short signature")))...)
		}},
		{"bad_aud", true, direct, func(w *world, h ...string) string {
			return get(host, append(h, bearer(w.named("aud of another pool")))...)
		}},
		{"no_grant", true, direct, func(w *world, h ...string) string {
			return get(host, append(h, bearer(w.named("sub of somebody else")))...)
		}},
		{"unknown_service", false, direct, func(w *world, h ...string) string { return get("unknown.example", append(h, bearer(w.good()))...) }},
		{"stale", true, func(w *world, f func() error) error {
			return w.changed("leases", "prod", func(string) string { return "" }, f)
		}, func(w *world, h ...string) string { return get(host, append(h, bearer(w.good()))...) }},
	}
	var all []probe
	for _, k := range kinds {
		all = append(all, probe{"json: " + k.why, func(w *world) error {
			return k.setup(w, func() error { return w.jsonIs(k.make(w, "Accept: application/json"), k.why, k.pool) })
		}}, probe{"page: " + k.why, func(w *world) error {
			return k.setup(w, func() error { return w.pageIs(k.make(w, "Accept: text/html,*/*"), k.why, k.pool) })
		}})
	}
	return append(all, probe{"page: the malformed request's JSON", func(w *world) error {
		a, err := w.send("GET /\x00<script> HTTP/1.1\r\nAccept: text/html\r\n\r\n")
		return errors.Join(err, checkRefusal("", a, malformed))
	}}, probe{"page: HEAD has no body", func(w *world) error {
		a, err := w.send(request("HEAD /", "Host: "+host, "Accept: text/html"))
		if err != nil || a.status != 401 || len(a.body) != 0 {
			return fmt.Errorf("status %d, body %q, %w", a.status, a.body, err)
		}
		return nil
	}})
}

func direct(_ *world, f func() error) error { return f() }

func (w *world) jsonIs(request, why string, pool bool) error {
	a, err := w.send(request)
	if err != nil {
		return err
	}
	errs := []error{checkRefusal(request, a, why), checkHeaders(a, why)}
	var fields map[string]any
	if err := json.Unmarshal(a.body, &fields); err != nil {
		return err
	}
	want := map[string]any{"error": why, "pool": "", "request_url": "", "request_id": fields["request_id"]}
	if pool {
		want["pool"], want["request_url"] = tokencorpus.Pool, requestURL
	}
	if fmt.Sprint(fields) != fmt.Sprint(want) {
		errs = append(errs, fmt.Errorf("the answer is %v instead of %v", fields, want))
	}
	if id, _ := fields["request_id"].(string); len(id) != 36 {
		errs = append(errs, fmt.Errorf("the request id is %q", id))
	}
	if a.header.Get("Content-Type") != "application/json" {
		errs = append(errs, fmt.Errorf("content type %q", a.header.Get("Content-Type")))
	}
	return errors.Join(errs...)
}

// checkHeaders are those of every refusal.
func checkHeaders(a answer, why string) error {
	want := map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Retry-After": "", "Www-Authenticate": ""}
	switch statuses[why] {
	case 503:
		want["Retry-After"] = "5"
	case 401:
		want["Www-Authenticate"] = `Bearer realm="haproxy-access", error="invalid_token", error_description="` + why + `"`
		if why == "no_token" {
			want["Www-Authenticate"] = `Bearer realm="haproxy-access"`
		}
	}
	for name, value := range want {
		if got := a.header.Get(name); got != value {
			return fmt.Errorf("%s: %q instead of %q", name, got, value)
		}
	}
	return nil
}

var (
	styleTag  = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	external  = regexp.MustCompile(`(?i)(<script|<img|<link|<iframe|<form|url\(|@import|src=|javascript:|\son[a-z]+=)`)
	linkTag   = regexp.MustCompile(`<a [^>]*href="([^"]*)"`)
	paragraph = regexp.MustCompile(`<p>([^<]+)</p>`)
)

func (w *world) pageIs(request, why string, pool bool) error {
	a, err := w.send(request)
	if err != nil {
		return err
	}
	errs := []error{checkHeaders(a, why)}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	page := string(a.body)
	if a.status != statuses[why] || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		fail("status %d, content type %q", a.status, a.header.Get("Content-Type"))
	}
	style := styleTag.FindStringSubmatch(page)
	if style == nil {
		return fmt.Errorf("no page: %.200q", page)
	}
	sum := sha256.Sum256([]byte(style[1]))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := a.header.Get("Content-Security-Policy"); got != policy {
		fail("policy %q instead of %q", got, policy)
	}
	if a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("Referrer-Policy") != "no-referrer" {
		fail("headers %v", a.header)
	}
	if found := external.FindString(page); found != "" {
		fail("the page has %q", found)
	}
	for _, want := range []string{`<html lang="en">`, "width=device-width", "prefers-color-scheme:dark", "<main>", "<h1>", "<title>", "<code>" + why + "</code>"} {
		if !strings.Contains(page, want) {
			fail("the page lacks %s", want)
		}
	}
	if words := paragraph.FindStringSubmatch(page); words == nil || len(words[1]) < 15 {
		fail("the page does not say why: %q", words)
	}
	if strings.Contains(strings.Replace(page, style[1], "", 1), "%") || strings.Contains(page, "eyJ") || strings.Contains(page, "unknown.example") {
		fail("the page has a per cent sign, a token or the client's host: %s", page)
	}
	link := linkTag.FindStringSubmatch(page)
	switch {
	case pool && statuses[why] != 503 && (link == nil || strings.ReplaceAll(link[1], "&amp;", "&") != requestURL || !strings.Contains(page, tokencorpus.Pool)):
		fail("the page's link is %q, the page %s", link, page)
	case !pool && link != nil:
		fail("the page has a link %q", link)
	}
	return errors.Join(errs...)
}
