package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Bad input is refused with its own code and writes nothing.
func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	before := w.verbs()
	const key = "key-bad-input"
	request := func(change func(*access.Ask)) func() error {
		return func() error {
			a := ask("staging", "db")
			change(&a)
			_, err := w.service.Request(t.Context(), alice, a, w.key())
			return err
		}
	}
	list := func(f access.Filter) func() error {
		return func() error { _, err := w.service.List(t.Context(), audrey, f); return err }
	}
	keyed := func(key string) func() error {
		return func() error { _, err := w.service.Request(t.Context(), alice, ask("staging", "db"), key); return err }
	}
	for name, c := range map[string]struct {
		call func() error
		want access.Code
	}{
		"unknown pool":           {request(func(a *access.Ask) { a.Pool = "none" }), access.NotFound},
		"unknown environment":    {request(func(a *access.Ask) { a.Environment = "none" }), access.NotFound},
		"no pool":                {request(func(a *access.Ask) { a.Pool = "" }), access.Invalid},
		"pool with a slash":      {request(func(a *access.Ask) { a.Pool = "db/x" }), access.Invalid},
		"pool with a bar":        {request(func(a *access.Ask) { a.Pool = "db|x" }), access.Invalid},
		"pool with a newline":    {request(func(a *access.Ask) { a.Pool = "db\n" }), access.Invalid},
		"pool in upper case":     {request(func(a *access.Ask) { a.Pool = "DB" }), access.Invalid},
		"pool too long":          {request(func(a *access.Ask) { a.Pool = strings.Repeat("a", 64) }), access.Invalid},
		"environment too long":   {request(func(a *access.Ask) { a.Environment = strings.Repeat("a", 32) }), access.Invalid},
		"a nanosecond":           {request(func(a *access.Ask) { a.Duration = 1 }), access.Invalid},
		"negative duration":      {request(func(a *access.Ask) { a.Duration = -time.Second }), access.Invalid},
		"half a second":          {request(func(a *access.Ask) { a.Duration = 1500 * time.Millisecond }), access.Invalid},
		"no reason":              {request(func(a *access.Ask) { a.Reason = "" }), access.Invalid},
		"only spaces":            {request(func(a *access.Ask) { a.Reason = " \t\n\u00a0" }), access.Invalid},
		"reason too long":        {request(func(a *access.Ask) { a.Reason = strings.Repeat("a", 1001) }), access.Invalid},
		"reason with an escape":  {request(func(a *access.Ask) { a.Reason = "a\x1b[31mb" }), access.Invalid},
		"reason with NUL":        {request(func(a *access.Ask) { a.Reason = "a\x00b" }), access.Invalid},
		"reason with a return":   {request(func(a *access.Ask) { a.Reason = "a\rb" }), access.Invalid},
		"reason with C1":         {request(func(a *access.Ask) { a.Reason = "a\u0085b" }), access.Invalid},
		"reason not UTF-8":       {request(func(a *access.Ask) { a.Reason = "a\xffb" }), access.Invalid},
		"no key":                 {keyed(""), access.Invalid},
		"short key":              {keyed("1234567"), access.Invalid},
		"long key":               {keyed(strings.Repeat("k", 129)), access.Invalid},
		"key with a newline":     {keyed("12345678\n"), access.Invalid},
		"key with a space":       {keyed("1234 5678"), access.Invalid},
		"negative page":          {list(access.Filter{PageSize: -1}), access.Invalid},
		"huge page":              {list(access.Filter{PageSize: 201}), access.Invalid},
		"bad page token":         {list(access.Filter{PageToken: "x"}), access.Invalid},
		"token with a field":     {list(access.Filter{PageToken: "eyJ0IjoxLCJpIjoiZzEiLCJ4IjoxfQ"}), access.Invalid},
		"token with a space":     {list(access.Filter{PageToken: "eyJ0IjoxLCAiaSI6ImcxIn0"}), access.Invalid},
		"hostile subject":        {list(access.Filter{Subject: "alice@example.com|prod/db"}), access.Invalid},
		"subject with a newline": {list(access.Filter{Subject: "alice@example.com\n"}), access.Invalid},
		"subject with a hash":    {list(access.Filter{Subject: "alice#@example.com"}), access.Invalid},
		"subject too long":       {list(access.Filter{Subject: strings.Repeat("a", 128) + "@example.com"}), access.Invalid},
		"subject in upper case":  {list(access.Filter{Subject: "Alice@example.com"}), access.Invalid},
		"preview an unknown pool": {func() error {
			_, err := w.service.Preview(t.Context(), alice, access.Ask{Environment: "staging", Pool: "none"})
			return err
		}, access.NotFound},
		"preview backwards": {func() error {
			_, err := w.service.Preview(t.Context(), alice, access.Ask{Environment: "staging", Pool: "db", Duration: -1})
			return err
		}, access.Invalid},
		"comment with an escape": {func() error {
			_, err := w.service.Approve(t.Context(), bob, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag, Comment: "\x1b"}, key)
			return err
		}, access.Invalid},
		"approve without a key": {func() error {
			_, err := w.service.Approve(t.Context(), bob, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}, "")
			return err
		}, access.Invalid},
		"revoke with a bad reason": {func() error {
			_, err := w.service.Revoke(t.Context(), oscar, access.Revocation{GrantID: v.Grant.ID, Reason: "\x7f"}, key)
			return err
		}, access.Invalid},
		"revoke an unknown grant": {func() error {
			_, err := w.service.Revoke(t.Context(), oscar, access.Revocation{GrantID: "' OR 1=1 --"}, key)
			return err
		}, access.NotFound},
		"get an unknown grant":  {func() error { _, err := w.service.Get(t.Context(), oscar, "\x00"); return err }, access.NotFound},
		"token for no grant":    {func() error { _, _, err := w.service.IssueToken(t.Context(), alice, ""); return err }, access.NotFound},
		"servers of no pool":    {func() error { _, err := w.service.Servers(t.Context(), oscar, "prod", "none"); return err }, access.NotFound},
		"servers of a bad pool": {func() error { _, err := w.service.Servers(t.Context(), oscar, "prod", "*"); return err }, access.Invalid},
		"server without a key": {func() error {
			_, err := w.service.AddServer(t.Context(), oscar, "prod", "db", access.Server{}, "")
			return err
		}, access.Invalid},
		"server of an odd caller": {func() error {
			_, err := w.service.RemoveServer(t.Context(), access.Caller{}, "prod", "db", "s", key)
			return err
		}, access.Forbidden},
	} {
		if got := code(c.call()); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	// A caller without a subject has no group that helps.
	_, err := w.service.Request(t.Context(), access.Caller{Groups: []string{"eng"}}, ask("staging", "db"), w.key())
	w.equal("no subject", code(err), access.Invalid)
	w.equal("events", w.verbs(), before)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
}

func TestWhatIsAtTheEdgeIsAllowed(t *testing.T) {
	w := newWorld(t)
	a := ask("staging", "db")
	a.Duration, a.Reason = time.Second, strings.Repeat("ä", 499)+"\n\t"
	_, err := w.service.Request(t.Context(), alice, a, "12345678")
	w.equal("smallest", code(err), ok)
	a = ask("staging", "app")
	a.Duration = time.Hour
	_, err = w.service.Request(t.Context(), alice, a, strings.Repeat("k", 128))
	w.equal("largest", code(err), ok)
}

func TestAServiceWithoutOneOfItsPartsIsNotMade(t *testing.T) {
	w := newWorld(t)
	full := w.service.Config
	for name, change := range map[string]func(*access.Config){
		"store":     func(c *access.Config) { c.Grants = nil },
		"policy":    func(c *access.Config) { c.Policy = nil },
		"catalog":   func(c *access.Config) { c.Catalog = nil },
		"enforcer":  func(c *access.Config) { c.Enforcer = nil },
		"tokens":    func(c *access.Config) { c.Tokens = nil },
		"fleet":     func(c *access.Config) { c.Fleet = nil },
		"history":   func(c *access.Config) { c.History = nil },
		"directory": func(c *access.Config) { c.Directory = nil },
		"source":    func(c *access.Config) { c.Source = nil },
		"age":       func(c *access.Config) { c.GroupsMaxAge = 0 },
		"clock":     func(c *access.Config) { c.Now = nil },
		"ids":       func(c *access.Config) { c.NewID = nil },
		"auditors":  func(c *access.Config) { c.Auditors = []string{""} },
		"operators": func(c *access.Config) { c.Operators = []string{"operators", ""} },
	} {
		config := full
		change(&config)
		if _, err := access.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
