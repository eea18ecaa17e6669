package grant

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// long is an address of n bytes.
func long(n int) string { return strings.Repeat("a", n-len("@example.com")) + "@example.com" }

// names is what may and what must not become a subject. person and parsed are the answers; empty means refused.
var names = []struct{ in, person, parsed string }{
	{"alice@example.com", "alice@example.com", "alice@example.com"},
	{"Alice@Example.COM", "alice@example.com", ""},
	{"a.b_c+d-e@x-y.example", "a.b_c+d-e@x-y.example", "a.b_c+d-e@x-y.example"},
	{"0@0.a", "0@0.a", "0@0.a"},
	{"AZaz@AZ.az", "azaz@az.az", ""},
	{"_-+.-@4.xn--p1ai", "_-+.-@4.xn--p1ai", "_-+.-@4.xn--p1ai"},
	{"a@" + strings.Repeat("b", 63) + ".com", "a@" + strings.Repeat("b", 63) + ".com", "a@" + strings.Repeat("b", 63) + ".com"},
	{long(128), long(128), long(128)},
	{long(129), "", ""},
	{strings.ToUpper(long(128)), long(128), ""},

	// Never a person, whatever an identity provider says of a name; canonical only from the store.
	{"service:deploy-bot", "", "service:deploy-bot"},
	{"agent:triage", "", "agent:triage"},
	{"Service:deploy-bot", "", ""},
	{"SERVICE:DEPLOY-BOT", "", ""},
	{"service:", "", ""},
	{"agent:", "", ""},
	{"service:a@example.com", "", ""},
	{"service:a+b", "", ""},
	{"service:service:a", "", ""},
	{"agent:Triage", "", ""},
	{" service:a", "", ""},
	{"robot:a", "", ""},
	{"system:anonymous", "", ""},
	{"service:" + strings.Repeat("a", 120), "", "service:" + strings.Repeat("a", 120)},
	{"service:" + strings.Repeat("a", 121), "", ""},

	// What would end, split or comment out a row, a header or a line of a log.
	{"", "", ""},
	{"alice", "", ""},
	{"@example.com", "", ""},
	{"alice@", "", ""},
	{"@", "", ""},
	{"a@b@c", "", ""},
	{"alice@example.com\n", "", ""},
	{"\nalice@example.com", "", ""},
	{"alice@example.com\r\nX-User: root", "", ""},
	{"alice\x00@example.com", "", ""},
	{"alice@example.com\x00", "", ""},
	{"alice\x7f@example.com", "", ""},
	{"alice\x1b[2J@example.com", "", ""},
	{"alice\t@example.com", "", ""},
	{"alice @example.com", "", ""},
	{" alice@example.com", "", ""},
	{"alice@example.com ", "", ""},
	{"alice@example.com|prod/web", "", ""},
	{"alice|x@example.com", "", ""},
	{"alice@example.com/x", "", ""},
	{"../alice@example.com", "", ""},
	{"#alice@example.com", "", ""},
	{"alice@example.com;show info", "", ""},
	{`alice\@example.com`, "", ""},
	{`"alice"@example.com`, "", ""},
	{"alice'@example.com", "", ""},
	{"alice@[127.0.0.1]", "", ""},
	{"alice@example.com:80", "", ""},
	{"alice@example_x.com", "", ""},
	{"alice@x+y.com", "", ""},
	{"<alice@example.com>", "", ""},
	{"alice%40example.com", "", ""},
	{"alice,bob@example.com", "", ""},

	// The same mailbox in another form, or none at all: two subjects for one person could approve each other.
	{"alice@example.com.", "", ""},
	{"ALICE@EXAMPLE.COM.", "", ""},
	{"alice@example.com..", "", ""},
	{"alice@.example.com", "", ""},
	{"alice@example..com", "", ""},
	{"alice@example", "", ""}, // a resolver completes it
	{"alice@localhost", "", ""},
	{"a@b", "", ""},
	{".@.", "", ""},
	{"alice@.", "", ""},
	{".alice@example.com", "", ""},
	{"alice.@example.com", "", ""},
	{"al..ice@example.com", "", ""},
	{"alice@-example.com", "", ""},
	{"alice@example-.com", "", ""},
	{"alice@xn--example-.com", "", ""}, // Punycode of example
	{"alice@example.com-", "", ""},
	{"alice@example.-com", "", ""},
	{"alice@127.0.0.1", "", ""},
	{"alice@127.1", "", ""},
	{"alice@example.0", "", ""},
	{"alice@0x7f000001", "", ""},
	{"a@" + strings.Repeat("b", 64) + ".com", "", ""},
	{"a@b." + strings.Repeat("c", 64), "", ""},

	// Look-alikes: one of them becoming ASCII would make one person out of two.
	{"alice@example.com\u200b", "", ""},
	{"\ufeffalice@example.com", "", ""},
	{"\u202ealice@example.com", "", ""},
	{"alice\u00a0@example.com", "", ""},
	{"\u212aate@example.com", "", ""},        // Kelvin sign: strings.ToLower makes it k
	{"\u017fam@example.com", "", ""},         // long s: folds to s
	{"al\u0130ce@example.com", "", ""},       // dotted I: lower-cases to i and a dot
	{"al\u0131ce@example.com", "", ""},       // dotless i
	{"\u0430lice@example.com", "", ""},       // Cyrillic a
	{"alice\uff20example.com", "", ""},       // full-width at
	{"alice@example\u3002com", "", ""},       // ideographic full stop
	{"\uff41lice@example.com", "", ""},       // full-width a
	{"ALIC\u00c9@example.com", "", ""},       // with an accent
	{"alic\u0065\u0301@example.com", "", ""}, // and as two
	{"alice\xff@example.com", "", ""},        // no UTF-8 at all
	{"\xc1\xa1lice@example.com", "", ""},     // an overlong a
}

func TestHostileNames(t *testing.T) {
	for _, test := range names {
		t.Run(test.in, func(t *testing.T) {
			check := func(what string, got Subject, err error, want string) {
				t.Helper()
				if string(got) != want {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
				if (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrSubject) {
					t.Errorf("%s: error %v", what, err)
				}
				if err != nil && len(test.in) > len("service:") && strings.Contains(err.Error(), test.in) {
					t.Errorf("%s: the error repeats the name: %v", what, err)
				}
			}
			person, err := Person(test.in)
			check("Person", person, err, test.person)
			parsed, err := ParseSubject(test.in)
			check("ParseSubject", parsed, err, test.parsed)
		})
	}
}

func TestMachines(t *testing.T) {
	tests := []struct{ in, want string }{
		{"deploy-bot", "deploy-bot"},
		{"Deploy.Bot_2", "deploy.bot_2"},
		{strings.Repeat("a", 119), strings.Repeat("a", 119)},
		{"", ""},
		{"a b", ""},
		{"a@example.com", ""},
		{"a+b", ""},
		{"a:b", ""},
		{"service:a", ""},
		{"a/b", ""},
		{"a|b", ""},
		{"a\n", ""},
		{"a\x00", ""},
		{"\u212a", ""},
		{"\u0430", ""},
		{strings.Repeat("a", 129), ""},
	}
	kinds := []struct {
		prefix string
		make   func(string) (Subject, error)
	}{{"service:", Service}, {"agent:", Agent}}
	for _, kind := range kinds {
		for _, test := range tests {
			want := test.want
			if want != "" {
				want = kind.prefix + want
			}
			got, err := kind.make(test.in)
			if string(got) != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrSubject) {
				t.Errorf("%s%q: %q, %v; want %q", kind.prefix, test.in, got, err, want)
			}
		}
	}
}

// The prefix counts to the length.
func TestMachinesHaveAtMost128BytesWithTheirPrefix(t *testing.T) {
	if s, err := Service(strings.Repeat("a", 120)); err != nil || len(s) != MaxSubject {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := Service(strings.Repeat("a", 121)); err == nil {
		t.Error("129 bytes")
	}
	if _, err := Agent(strings.Repeat("a", 123)); err == nil {
		t.Error("129 bytes")
	}
}

func TestASubjectIsOfOneKind(t *testing.T) {
	tests := []struct {
		s                      Subject
		person, service, agent bool
	}{
		{"alice@example.com", true, false, false},
		{"service:deploy-bot", false, true, false},
		{"agent:triage", false, false, true},
		{"service@example.com", true, false, false},
		{"", false, false, false},
		{"Alice@example.com", false, false, false},
		{"system:anonymous", false, false, false},
	}
	for _, test := range tests {
		if test.s.IsPerson() != test.person || test.s.IsService() != test.service || test.s.IsAgent() != test.agent {
			t.Errorf("%q: person %v service %v agent %v", test.s, test.s.IsPerson(), test.s.IsService(), test.s.IsAgent())
		}
	}
}

// canonical is the alphabet written a second time, byte by byte.
func canonical(s string, also string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("._-"+also, c) >= 0) {
			return false
		}
	}
	return s != ""
}

func isCanonicalPerson(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	if !found || len(s) > 128 || !canonical(local, "+") || !canonical(domain, "") || strings.Contains(domain, "_") {
		return false
	}
	labels := strings.Split(domain, ".")
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	last := labels[len(labels)-1]
	return !slices.Contains(strings.Split(local, "."), "") && len(labels) > 1 && last[0] >= 'a'
}

func isCanonicalMachine(s string) bool {
	kind, name, found := strings.Cut(s, ":")
	return found && len(s) <= 128 && (kind == "service" || kind == "agent") && canonical(name, "")
}

func FuzzPerson(f *testing.F) {
	for _, n := range names {
		f.Add(n.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Person(in)
		if err != nil {
			if s != "" || !errors.Is(err, ErrSubject) {
				t.Fatalf("%q with %v", s, err)
			}
			if isCanonicalPerson(in) {
				t.Fatalf("refused a canonical address: %v", err)
			}
			return
		}
		if !isCanonicalPerson(string(s)) || !s.IsPerson() || s.IsService() || s.IsAgent() {
			t.Fatalf("%q is no canonical person", s)
		}
		if len(s) != len(in) || !strings.EqualFold(string(s), in) {
			t.Fatalf("%q became %q, which is somebody else", in, s)
		}
		if again, err := Person(string(s)); err != nil || again != s {
			t.Fatalf("again: %q, %v", again, err)
		}
		if parsed, err := ParseSubject(string(s)); err != nil || parsed != s {
			t.Fatalf("parsed: %q, %v", parsed, err)
		}
	})
}

func FuzzParseSubject(f *testing.F) {
	for _, n := range names {
		f.Add(n.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseSubject(in)
		if want := isCanonicalPerson(in) || isCanonicalMachine(in); want != (err == nil) {
			t.Fatalf("%q: error %v, want allowed %v", in, err, want)
		}
		if err != nil {
			if s != "" || !errors.Is(err, ErrSubject) {
				t.Fatalf("%q with %v", s, err)
			}
			return
		}
		if string(s) != in || strings.ContainsAny(in, "|/ \n") {
			t.Fatalf("%q became %q", in, s)
		}
		if s.IsPerson() != isCanonicalPerson(in) {
			t.Fatalf("%q: person %v", s, s.IsPerson())
		}
	})
}
