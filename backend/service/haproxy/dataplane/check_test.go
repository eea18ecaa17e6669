package dataplane_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// hostile are texts of which none may reach a node, as a key or as a value. Each was seen to do harm, or is a
// neighbour of one that was.
var hostile = map[string]string{
	"empty":                  "",
	"newline runs a command": "a\nclear map /etc/haproxy/maps/grants.map",
	"carriage return":        "a\r",
	"trailing newline":       "a\n",
	"tab":                    "a\tb",
	"space splits":           "a b",
	"heredoc":                "<<",
	"heredoc with end":       "<<END",
	"next command":           "a;clear map x",
	"map id":                 "#1",
	"quote":                  `a"b`,
	"single quote":           "a'b",
	"backslash":              `a\b`,
	"greater":                "a>b",
	"ampersand":              "a&b",
	"star":                   "a*",
	"variable":               "${HOME}",
	"brace":                  "a{b}",
	"equals":                 "a=b",
	"comma":                  "a,b",
	"percent":                "a%2fb",
	"question mark":          "a?map=x",
	"nul":                    "a\x00b",
	"escape":                 "a\x1b[2J",
	"delete":                 "a\x7f",
	"latin-1":                "a\xe9",
	"umlaut":                 "ä",
	"full width":             "ａ",
	"zero width":             "a\u200bb",
	"bidi":                   "a\u202eb",
	"invalid utf-8":          "a\xff",
	"too long":               strings.Repeat("a", 257),
}

func TestHostileKeyOrValueIsRefusedBeforeAnyCall(t *testing.T) {
	s, c := start(t)
	for name, text := range hostile {
		calls := map[string]func(context.Context) error{
			"add key": func(ctx context.Context) error {
				return c.AddEntry(ctx, grants, dataplane.Entry{Key: text, Value: "1"})
			},
			"add value": func(ctx context.Context) error {
				return c.AddEntry(ctx, grants, dataplane.Entry{Key: "a", Value: text})
			},
			"set key": func(ctx context.Context) error {
				return c.SetEntry(ctx, grants, dataplane.Entry{Key: text, Value: "1"})
			},
			"set value": func(ctx context.Context) error {
				return c.SetEntry(ctx, grants, dataplane.Entry{Key: "a", Value: text})
			},
			"delete": func(ctx context.Context) error { return c.DeleteEntry(ctx, grants, text) },
			"bulk key": func(ctx context.Context) error {
				return c.ReplaceMap(ctx, grants, append(manyEntries(300), dataplane.Entry{Key: text, Value: "1"}))
			},
			"bulk value": func(ctx context.Context) error {
				return c.ReplaceMap(ctx, grants, append(manyEntries(300), dataplane.Entry{Key: "a", Value: text}))
			},
			"file key":     func(ctx context.Context) error { return c.PutMapFile(ctx, grants, []byte("b 1\n"+text+" 1\n")) },
			"file value":   func(ctx context.Context) error { return c.PutMapFile(ctx, grants, []byte("b 1\na "+text+"\n")) },
			"map":          func(ctx context.Context) error { _, err := c.Entries(ctx, text+".map"); return err },
			"map file":     func(ctx context.Context) error { _, err := c.MapFile(ctx, text+".map"); return err },
			"put map file": func(ctx context.Context) error { return c.PutMapFile(ctx, text+".map", nil) },
			"backend":      func(ctx context.Context) error { _, err := c.Servers(ctx, text); return err },
			"add server": func(ctx context.Context) error {
				return c.AddServer(ctx, "be_app", dataplane.Server{Name: text, Address: "127.0.0.1", Port: 1})
			},
			"address": func(ctx context.Context) error {
				return c.AddServer(ctx, "be_app", dataplane.Server{Name: "a", Address: text, Port: 1})
			},
			"remove": func(ctx context.Context) error { return c.RemoveServer(ctx, "be_app", text) },
			"drain":  func(ctx context.Context) error { return c.DrainServer(ctx, "be_app", text) },
			"ready":  func(ctx context.Context) error { return c.ReadyServer(ctx, text, "s1") },
		}
		for call, do := range calls {
			err := do(ctx(t))
			var invalid *dataplane.InvalidError
			if !errors.As(err, &invalid) || !errors.Is(err, dataplane.ErrInvalid) {
				t.Errorf("%s with %s: error is %v, want an InvalidError", call, name, err)
			} else if len(text) > 3 && strings.Contains(err.Error(), text) {
				t.Errorf("%s with %s: the error repeats the text: %v", call, name, err)
			}
		}
	}
	if calls := s.Calls(); len(calls) != 0 {
		t.Errorf("%d calls reached the node, the first is %+v", len(calls), calls[0])
	}
}

func TestNamesThatTheAPIWouldReadOtherwiseAreRefused(t *testing.T) {
	_, c := start(t)
	for name, err := range map[string]error{
		"dot key":             c.DeleteEntry(ctx(t), grants, "."),
		"dot dot key":         c.DeleteEntry(ctx(t), grants, ".."),
		"map becomes another": c.PutMapFile(ctx(t), "a.b.map", nil),
		"map without suffix":  c.PutMapFile(ctx(t), "grants", nil),
		"map by path":         c.PutMapFile(ctx(t), "../grants.map", nil),
		"map by id":           c.PutMapFile(ctx(t), "#1", nil),
		"dot dot server":      c.RemoveServer(ctx(t), "be_app", ".."),
		"dot dot backend":     c.RemoveServer(ctx(t), "..", "s1"),
		"host name":           c.AddServer(ctx(t), "be_app", dataplane.Server{Name: "a", Address: "localhost", Port: 1}),
		"zone":                c.AddServer(ctx(t), "be_app", dataplane.Server{Name: "a", Address: "fe80::1%eth0", Port: 1}),
		"port 0":              c.AddServer(ctx(t), "be_app", dataplane.Server{Name: "a", Address: "::1"}),
		"port 65536":          c.AddServer(ctx(t), "be_app", dataplane.Server{Name: "a", Address: "::1", Port: 65536}),
		"cut last line":       c.PutMapFile(ctx(t), grants, []byte("a 1\nb 2")),
		"comment":             c.PutMapFile(ctx(t), grants, []byte("# a\n")),
		"empty line":          c.PutMapFile(ctx(t), grants, []byte("a 1\n\n")),
		"two spaces":          c.PutMapFile(ctx(t), grants, []byte("a  1\n")),
		"three words":         c.PutMapFile(ctx(t), grants, []byte("a 1 2\n")),
	} {
		if !errors.Is(err, dataplane.ErrInvalid) {
			t.Errorf("%s: error is %v, want ErrInvalid", name, err)
		}
	}
}

func TestOurLongestNamesPass(t *testing.T) {
	key := strings.Repeat("a", 128) + "|" + strings.Repeat("b", 31) + "/" + strings.Repeat("c", 63)
	for _, e := range []dataplane.Entry{
		{Key: key, Value: "1900000000:01JQZX5W3F4M8T7P9N2R6V0KCD"},
		{Key: "agent:triage|prod/db", Value: strings.Repeat("9", 256)},
		{Key: "a.b+c_d-e@example.com|staging/app", Value: "/etc/haproxy/keys/k1.pub"},
	} {
		if err := dataplane.CheckEntry(e); err != nil {
			t.Errorf("%q: %v", e.Key, err)
		}
	}
}

// FuzzCheckEntry holds the check to a second definition of the alphabet, a table of bytes written out by hand.
func FuzzCheckEntry(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "1")
		f.Add("a", text)
	}
	f.Add("..", "..")
	f.Add(row.Key, row.Value)
	f.Fuzz(func(t *testing.T, key, value string) {
		want := plain(key) && plain(value) && key != "." && key != ".."
		if got := dataplane.CheckEntry(dataplane.Entry{Key: key, Value: value}) == nil; got != want {
			t.Errorf("CheckEntry(%q, %q) passes: %v, want %v", key, value, got, want)
		}
	})
}

func plain(text string) bool {
	if len(text) < 1 || len(text) > 256 {
		return false
	}
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b >= 0x61 && b <= 0x7a, b >= 0x41 && b <= 0x5a, b >= 0x30 && b <= 0x39: // a-z A-Z 0-9
		case b == 0x2e, b == 0x5f, b == 0x3a, b == 0x40: // . _ : @
		case b == 0x2b, b == 0x7c, b == 0x2f, b == 0x2d: // + | / -
		default:
			return false
		}
	}
	return true
}
