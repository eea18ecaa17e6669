package haproxycfg

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"text/template"
)

//go:embed templates/page.html.tmpl
var pageText string

//go:embed templates/page.css
var pageStyle string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what a refusal page shows. Fields with %[...] are filled in by HAProxy; all of them are names that were
// checked or sentences of ours, never anything that a client sent.
type page struct {
	Title, Action, Style                 string
	Words, Why, Pool, Request, RequestID string
}

// titles and actions of the pages; only those with an action know the pool.
var titles = map[int]string{
	http.StatusBadRequest:         "Request not understood",
	http.StatusUnauthorized:       "Sign-in needed",
	http.StatusForbidden:          "No access",
	http.StatusNotFound:           "No such service",
	http.StatusServiceUnavailable: "Not available right now",
}

var actions = map[int]string{
	http.StatusUnauthorized: "Request access or get a token",
	http.StatusForbidden:    "Request access",
}

func pageFile(status int) string { return fmt.Sprintf("%d.html", status) }

// pages are the refusal pages by file name. clutchURL has passed check: nothing in it needs escaping in HTML.
func pages(clutchURL string) (map[string][]byte, error) {
	files := map[string][]byte{}
	style := styleText()
	for status, title := range titles {
		p := page{
			Title: title, Style: literal(style), Words: "%[var(txn.words)]", Why: "%[var(txn.why)]", RequestID: "%[unique-id]",
		}
		if action, has := actions[status]; has {
			p.Action, p.Pool = action, "%[var(txn.pool)]"
			p.Request = literal(clutchURL) + "/haproxy-access/request?environment=%[var(txn.env)]&amp;pool=%[var(txn.short)]"
		}
		var b bytes.Buffer
		if err := pageTemplate.Execute(&b, p); err != nil {
			return nil, fmt.Errorf("render page %d: %w", status, err)
		}
		files[pageFile(status)] = b.Bytes()
	}
	return files, nil
}

func styleText() string { return strings.ReplaceAll(strings.TrimSpace(pageStyle), "\n", "") }

// contentPolicy allows the page its own style sheet and nothing else.
func contentPolicy() string {
	sum := sha256.Sum256([]byte(styleText()))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// literal keeps HAProxy from reading a per cent sign as the start of something.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }
