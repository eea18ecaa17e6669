package haproxycfg

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// field is one text of an input that reaches a file.
type field struct {
	name  string
	value *string
	empty bool // it may be empty
	dash  bool // it may begin with a hyphen: it is never a word of its own, but a part of a map's row
}

func fields(in *Input) []field {
	pool, provider := &in.Environments[1].Pools[0], &in.IdentityProviders[0]
	return []field{
		{name: "issuer", value: &in.Issuer}, {name: "clutch_url", value: &in.ClutchURL},
		{name: "maps_dir", value: &in.MapsDir}, {name: "keys_dir", value: &in.KeysDir}, {name: "pages_dir", value: &in.PagesDir},
		{name: "environment", value: &in.Environments[1].Name, dash: true}, {name: "pool", value: &pool.Name, dash: true},
		{name: "backend", value: &pool.Backend}, {name: "host", value: &pool.Hosts[0]},
		{name: "server", value: &pool.Servers[0].Name}, {name: "server address", value: &pool.Servers[0].Address},
		{name: "node", value: &in.NodeName, empty: true, dash: true},
		{name: "bind", value: &in.Binds[0].Address}, {name: "certificate", value: &in.Binds[0].Certificate, empty: true},
		{name: "provider", value: &provider.Name}, {name: "provider issuer", value: &provider.Issuer},
		{name: "provider audience", value: &provider.Audience}, {name: "provider kid", value: &provider.KIDs[0]},
		{name: "key kid", value: &in.Keys[1].KID}, {name: "key issuer", value: &in.Keys[1].Issuer, empty: true}, {name: "our kid", value: &in.Keys[0].KID},
		{name: "stats socket", value: &in.Standalone.StatsSocket}, {name: "log", value: &in.Standalone.Log, empty: true},
	}
}

// Each of them would add a directive, a map row or markup if it reached the text as it is.
func TestHostileConfigurationValuesAreRefused(t *testing.T) {
	hostile := []string{
		"x\n  use_backend be_prod", "x\r\nfrontend evil", "x use_backend", "x' if TRUE #", "x\" y", "x\\", "x#y", "x%[env(HOME)]", "%[src]",
		"${HOME}", "$HOME", "x)", "x,upper", "<script>", "x\x00", "x\t", "é", "{", "}", "-f", "--", "",
	}
	for i := range fields(new(cloneOf(goodInput(t)))) {
		for _, value := range hostile {
			in := cloneOf(goodInput(t))
			f := fields(&in)[i]
			if f.dash && strings.HasPrefix(value, "-") || f.empty && value == "" {
				continue
			}
			*f.value = value
			if files, err := Render(in); err == nil {
				t.Errorf("%s: %q is accepted:\n%s", f.name, value, files.Standalone)
			}
		}
	}
}

// FuzzRenderedTextNeverGainsALine puts any text into any field: it is refused, or the configuration and the maps have no
// more lines and words than before.
func FuzzRenderedTextNeverGainsALine(f *testing.F) {
	good := goodInput(f)
	good.Binds[0].Certificate = "/tls/server.pem"
	for i := range fields(&good) {
		for _, value := range []string{"x\n  use_backend be_prod", "ok.example", "/ok/path", "https://ok.example", "' #"} {
			f.Add(uint8(i), value)
		}
	}
	baseline, err := Render(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		in := cloneOf(good)
		all := fields(&in)
		*all[int(which)%len(all)].value = value
		files, err := Render(in)
		if err != nil {
			return
		}
		sameShape(t, "haproxy.cfg", baseline.Standalone, files.Standalone, value)
		for name, text := range files.Maps {
			sameShape(t, name, baseline.Maps[name], text, value)
		}
		for name, text := range files.Pages {
			if bytes.Count(text, []byte("<")) != bytes.Count(baseline.Pages[name], []byte("<")) {
				t.Errorf("page %s gained markup by %q", name, value)
			}
		}
	})
}

var words = regexp.MustCompile(`[^ \t\n]+`)

func sameShape(t *testing.T, name string, want, got []byte, value string) {
	t.Helper()
	if bytes.Count(got, []byte("\n")) > bytes.Count(want, []byte("\n")) || bytes.ContainsAny(got, "\r\x00") {
		t.Errorf("%s gained a line by %q", name, value)
	}
	wantWords, gotWords := len(words.FindAll(want, -1)), len(words.FindAll(got, -1))
	if gotWords > wantWords {
		t.Errorf("%s has %d words, not at most %d, by %q", name, gotWords, wantWords, value)
	}
	if bytes.Count(want, []byte("'"))%2 != bytes.Count(got, []byte("'"))%2 {
		t.Errorf("%s has an odd quote by %q", name, value)
	}
}

// cloneOf copies all that fields changes.
func cloneOf(in Input) Input {
	environments := in.Environments
	in.Environments = nil
	for _, e := range environments {
		pools := e.Pools
		e.Pools = nil
		for _, p := range pools {
			p.Hosts = append([]string(nil), p.Hosts...)
			p.Servers = append([]Server(nil), p.Servers...)
			e.Pools = append(e.Pools, p)
		}
		in.Environments = append(in.Environments, e)
	}
	in.Binds = append([]Bind(nil), in.Binds...)
	in.Keys = append([]PublicKey(nil), in.Keys...)
	providers := in.IdentityProviders
	in.IdentityProviders = nil
	for _, p := range providers {
		p.KIDs = append([]string(nil), p.KIDs...)
		in.IdentityProviders = append(in.IdentityProviders, p)
	}
	standalone := *in.Standalone
	in.Standalone = &standalone
	return in
}

func TestQuoteMakesOneWordOfAnything(t *testing.T) {
	for value, want := range map[string]string{
		"a": "'a'", "a b": "'a b'", "it's": `'it'\''s'`, `a"b\`: `'a"b\'`, "#": "'#'", "": "''",
	} {
		if got, err := quote(value); err != nil || got != want {
			t.Errorf("quote(%q) = %s, %v; want %s", value, got, err, want)
		}
	}
	for _, value := range []string{"\n", "a\rb", "\x00", "\x7f"} {
		if got, err := quote(value); err == nil {
			t.Errorf("quote(%q) = %s, want an error", value, got)
		}
	}
}

func TestRenderNeedsEveryKeysText(t *testing.T) {
	for name, spoil := range map[string]func(*Input){
		"no text":        func(in *Input) { in.Keys[1].PEM = nil },
		"no key of ours": func(in *Input) { in.Keys = in.Keys[1:] },
		"not a key": func(in *Input) {
			in.Keys[0].PEM = []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		},
		"two keys":           func(in *Input) { in.Keys[0].PEM = append(append([]byte(nil), testKey()...), testKey()...) },
		"another algorithm":  func(in *Input) { in.Keys[0].Alg = "HS256" },
		"not the thumbprint": func(in *Input) { in.Keys[0].KID = "x" },
		"twice the same kid": func(in *Input) { in.Keys = append(in.Keys, in.Keys[0]) },
		"a provider's key":   func(in *Input) { in.Keys = in.Keys[:1] },
		"of no provider":     func(in *Input) { in.Keys = append(in.Keys, PublicKey{Issuer: "idp", KID: "k2", PEM: testKey()}) },
	} {
		in := cloneOf(goodInput(t))
		spoil(&in)
		if _, err := Render(in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The traps of HAProxy 2.6 that the text must never fall into, whatever else changes in it.
func TestRenderedTextAvoidsTheTrapsOfHAProxy(t *testing.T) {
	files, err := Render(goodInput(t))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(files.Standalone)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		for trap, pattern := range map[string]string{
			"the algorithm in a variable":             `jwt_verify\([^"]`,
			"sub() in the direction that overflows":   `var\(txn\.(exp|nbf|iat|lease|grant_exp)\),sub\(`,
			"a negative constant in a comparison":     `-m int [a-z]+ -`,
			"$ at the end of a check":                 `-m reg( -i)? '\^[^']*[^|)]\$'`,
			"the last part of a list for the host":    `req\.hdr\(host\)`,
			"a backend that does not come from a map": `use_backend [^%]`,
		} {
			if strings.HasPrefix(line, "http-request del-header") && strings.HasPrefix(trap, "$") {
				continue
			}
			if regexp.MustCompile(pattern).MatchString(line) {
				t.Errorf("%s: %s", trap, line)
			}
		}
		if len(line) > 2000 {
			t.Errorf("line of %d bytes, HAProxy reads 2047: %.80s", len(line), line)
		}
	}
	if !bytes.Contains(files.Standalone, []byte("hard-stop-after 30s")) {
		t.Error("there is no hard-stop-after")
	}
}

func TestRenderIsDeterministic(t *testing.T) {
	first, err := Render(goodInput(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := Render(goodInput(t))
		if err != nil || !bytes.Equal(first.Standalone, again.Standalone) {
			t.Fatalf("another text from the same input: %v", err)
		}
	}
}

func TestGrantsAndLeasesAreEmptyAtFirst(t *testing.T) {
	in := tempInput(t)
	files, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"grants.map", "leases.map"} {
		if text, there := files.Maps[name]; !there || len(text) != 0 {
			t.Errorf("%s: %q, want an empty file", name, text)
		}
	}
	if _, err := os.Stat(in.MapsDir); err == nil {
		t.Error("rendering wrote files")
	}
}

// Writing a reason over the place holder must never need more memory than the place holder has.
func TestNoReasonIsLongerThanItsPlaceHolder(t *testing.T) {
	seen := map[string]bool{}
	for _, reason := range Reasons() {
		if len(reason.Code) > len(undecided) || seen[reason.Code] || reason.Words == "" {
			t.Errorf("reason %+v: too long, doubled or without words", reason)
		}
		seen[reason.Code] = true
	}
	files, err := Render(goodInput(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`set-var\(txn\.why\) str\(([^)]*)\)`).FindAllSubmatch(files.Enforcement, -1) {
		if code := string(match[1]); !seen[code] && code != undecided && code != "-" {
			t.Errorf("%s is no known reason", code)
		}
	}
}
