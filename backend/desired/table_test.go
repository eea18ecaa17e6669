package desired

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What HAProxy 2.6.12 answered to `show map` for these lines of a map's file.
func TestParseReadsAsHAProxyDoes(t *testing.T) {
	tests := []struct {
		name, text string
		want       Table
	}{
		{"nothing", "", Table{}},
		{"a row", "plain v\n", Table{"plain": "v"}},
		{"blanks before", " lead v\n\ttab v\n", Table{"lead": "v", "tab": "v"}},
		{"a comment", "#comment v\n", Table{}},
		{"no comment after a blank", " #hash v\n", Table{"#hash": "v"}},
		{"no comment within a row", "key v # x\n", Table{"key": "v # x"}},
		{"tabs", "a\tv\nb\t v\nc \tv\n", Table{"a": "v", "b": "v", "c": "v"}},
		{"blanks behind", "trail v  \t\n", Table{"trail": "v"}},
		{"carriage return at the end", "crlf v\r\nk\t\r\n", Table{"crlf": "v", "k": ""}},
		{"carriage return in the key", "cr\rmid v\n", Table{"cr": ""}},
		{"carriage return in the value", "key v\rrest\n", Table{"key": "v"}},
		{"carriage return first", "\rlead v\n", Table{}},
		{"zero byte in the key", "nul\x00key v\n", Table{"nul": ""}},
		{"zero byte in the value", "key v\x00rest\n", Table{"key": "v"}},
		{"empty lines", "\n  \n\r\n", Table{}},
		{"no value", "a\nb \n", Table{"a": "", "b": ""}},
		{"value with a space", "two v w\n", Table{"two": "v w"}},
		{"the first of two counts", "dup a\ndup b\n", Table{"dup": "a"}},
		{"a vertical tab is no blank", "vt\vkey v\n", Table{"vt\vkey": "v"}},
		{"no newline at the end", "last v", Table{"last": "v"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _ := Parse([]byte(test.text))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextIsSortedAndExact(t *testing.T) {
	table := Table{
		"bob@example.com|prod/web":    "1900000000:g2",
		"alice@example.com|prod/web":  "1900000001:g1",
		"alice@example.com|prod/web2": "1900000002:g3",
	}
	const want = "alice@example.com|prod/web 1900000001:g1\n" +
		"alice@example.com|prod/web2 1900000002:g3\n" +
		"bob@example.com|prod/web 1900000000:g2\n"
	if got := string(table.Text()); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	if text := (Table{}).Text(); len(text) != 0 {
		t.Fatalf("an empty map is %q", text)
	}
	again, exact := Parse([]byte(want))
	if !exact || !cmp.Equal(again, table) {
		t.Fatalf("read back %v, exact %v", again, exact)
	}
	for name, other := range map[string]string{
		"another order":      "b v\na v\n",
		"a row twice":        "a v\na v\n",
		"a comment":          "# x\na v\n",
		"an empty line":      "a v\n\n",
		"no last newline":    "a v",
		"two spaces":         "a  v\n",
		"a blank at the end": "a v \n",
		"carriage returns":   "a v\r\n",
		"a zero byte":        "a v\x00\n",
	} {
		if _, exact := Parse([]byte(other)); exact {
			t.Errorf("%s: exact", name)
		}
	}
}

// hostile is what must never be sent to a node or written into a file, as key or value.
var hostile = []string{
	"", " ", "a b", "a\tb", "a\n", "\n", "a\nb c", "a\r", "a\x00", "a\x7f", "a\x1b", "a;b", "a#b", "#a", `a\b`, `a"b`, "a'b",
	"a%b", "a$b", "a,b", "a<b", "a*b", "a?b", "a=b", "a&b", "a(b", "a[b", "a{b", "a!b", "a~b", "a^b", "a`b",
	"\u00e9", "\u212a", "\uff5c", "a\xff", strings.Repeat("a", 257),
}

func TestCheckRefusesHostileRows(t *testing.T) {
	for _, h := range hostile {
		if err := NewSheet(Table{"good": "v", h: "v"}).Check(); err == nil {
			t.Errorf("the key %q passed", h)
		}
		if err := NewSheet(Table{"good": "v", "key": h}).Check(); err == nil {
			t.Errorf("the value %q passed", h)
		}
	}
}

func TestCheckLetsEveryRowOfOursPass(t *testing.T) {
	subject := strings.Repeat("a", 116) + "@example.com"
	table := Table{
		subject + "|" + strings.Repeat("e", 31) + "/" + strings.Repeat("p", 63): "1900000000:" + strings.Repeat("g", 64),
		"service:deploy-bot|pr-17/a.b_c":                                        "1900000000:g1",
		"a.b_c+d@x-y.example|prod/web":                                          "1900000000:0190a0b0-c0d0-7000-8000-000000000000",
		"prod":                                                                  LeaseOff,
		"web.example.com":                                                       "prod/web",
		"prod/web":                                                              "be_web",
		"issuer|k_-Aa09":                                                        "/etc/haproxy/keys/k_-Aa09.pem",
	}
	if err := NewSheet(table).Check(); err != nil {
		t.Fatal(err)
	}
	if err := NewSheet(Table{strings.Repeat("a", 256): strings.Repeat("v", 256)}).Check(); err != nil {
		t.Fatal(err)
	}
	if err := NewSheet(Table{}).Check(); err != nil {
		t.Fatal(err)
	}
}

// A row that passes Check is read back as it was written; whatever else is in a file, reading it settles.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"alice@example.com|prod/web 1900000000:g1\n", "a v\nb w\n", " #a\tb\r\n", "a\x00b\n", "\r\n\n", "a\va v\n", "# x\na v", "dup a\ndup b\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		table, exact := Parse(text)
		if exact != (string(table.Text()) == string(text)) {
			t.Fatalf("exact %v, and it writes %q", exact, table.Text())
		}
		for key, value := range table {
			if key == "" || strings.ContainsAny(key, " \t\r\n\x00") || strings.ContainsAny(value, "\r\n\x00") || strings.Trim(value, " \t") != value {
				t.Fatalf("row %q %q", key, value)
			}
		}
		if NewSheet(table).Check() != nil {
			return
		}
		again, exact := Parse(table.Text())
		if !exact || !cmp.Equal(again, table) {
			t.Fatalf("%v was read back as %v, exact %v", table, again, exact)
		}
	})
}
