package accesslog

import (
	"strings"
	"testing"
	"time"
)

// now is 2026-11-24T15:22:58Z.
var now = time.Unix(1795533778, 0)

// line is what the rendered log-format writes, with some of its values changed: pairs of old and new text.
func line(changes ...string) string {
	return strings.NewReplacer(changes...).Replace(
		`{"ts":1795533777.782,"at":"1795533778123","node":"edge-1","src":"127.0.0.1","id":"6a1b","m":"GET","host":"billing.example","path":"/a","st":200,` +
			`"be":"be_prod_billing","srv":"s1","sub":"alice@example.com","pool":"prod/billing","grant":"G1","token_grant":"T1","jti":"j","decision":"allow","why":"-","tt":3,"term":"----"}`)
}

const (
	bsd  = "<134>Nov 24 15:22:58 haproxy[24076]: "
	deny = `"decision":"deny","why":"`
	pass = `"decision":"allow","why":"-`
)

func TestWhatALineCountsAs(t *testing.T) {
	at := time.UnixMilli(1795533778123)
	used := func(v verdict, grant, node string) event { return event{v, grant, node, at} }
	because := func(why string, more ...string) string {
		return bsd + line(append([]string{pass, deny + why}, more...)...)
	}
	noRow, noToken := []string{`"grant":"G1"`, `"grant":"-"`}, []string{`"token_grant":"T1"`, `"token_grant":"-"`}
	for name, c := range map[string]struct {
		datagram string
		want     event
	}{
		"admitted":                          {bsd + line() + "\n", used(admitted, "G1", "edge-1")},
		"admitted by an identity provider":  {bsd + line(noToken...), used(admitted, "G1", "edge-1")},
		"rfc5424":                           {"<134>1 2026-11-24T15:22:58.784096+00:00 - haproxy 24076 - - " + line(), used(admitted, "G1", "edge-1")},
		"the line's node before the host's": {"<134>Nov 24 15:22:58 other haproxy[24076]: " + line(), used(admitted, "G1", "edge-1")},
		"the host where no node is named":   {"<134>Nov 24 15:22:58 edge-2 haproxy[24076]: " + line(`"node":"edge-1",`, ""), used(admitted, "G1", "edge-2")},
		"the host of rfc5424":               {"<134>1 2026-11-24T15:22:58.784096+00:00 edge-2 haproxy 24076 - - " + line(`"node":"edge-1",`, ""), used(admitted, "G1", "edge-2")},
		"nobody names the node":             {bsd + line(`"node":"edge-1",`, ""), event{verdict: malformed}},

		"the row is gone":                         {because("no_grant", noRow...), used(refused, "T1", "edge-1")},
		"the row is another grant's":              {because("other_grant"), used(refused, "T1", "edge-1")},
		"the row has expired":                     {because("grant_expired"), used(refused, "T1", "edge-1")},
		"the row has expired, no token of ours":   {because("grant_expired", noToken...), used(refused, "G1", "edge-1")},
		"the row is gone, no token of ours":       {because("no_grant", append(noRow, noToken...)...), event{verdict: unattributed}},
		"the token is late and the row is gone":   {because("expired", noRow...), used(refused, "T1", "edge-1")},
		"the token is late, the row another's":    {because("expired"), used(refused, "T1", "edge-1")},
		"the token alone is late":                 {because("expired", `"grant":"G1"`, `"grant":"T1"`), event{verdict: other}},
		"late, no token of ours":                  {because("expired", append(noRow, noToken...)...), event{verdict: other}},
		"the lease has ended":                     {because("stale"), event{verdict: other}},
		"no token":                                {because("no_token", append(noRow, noToken...)...), event{verdict: other}},
		"a reason that is not known":              {because("novel"), event{verdict: other}},
		"HAProxy itself refused":                  {bsd + line(pass, `"decision":"-","why":"-`, `"at":"1795533778123"`, `"at":"-"`), event{verdict: other}},
		"a decision that is not known":            {bsd + line(`"allow"`, `"perhaps"`), event{verdict: other}},
		"a message of HAProxy's":                  {bsd + "Proxy f stopped (cumulated conns: FE: 1, BE: 0).\n", event{verdict: other}},
		"an older log-format without the moment":  {bsd + line(`"at":"1795533778123",`, ""), event{verdict: malformed}},
		"a moment that is none":                   {bsd + line(`"1795533778123"`, `"1795533778.5"`), event{verdict: malformed}},
		"a moment that is far ahead":              {bsd + line(`"1795533778123"`, `"1795533839000"`), event{verdict: malformed}},
		"a moment that is long ago":               {bsd + line(`"1795533778123"`, `"1792900000000"`), event{verdict: malformed}},
		"a moment in seconds":                     {bsd + line(`"1795533778123"`, `"1795533778"`), event{verdict: malformed}},
		"a grant of nothing":                      {bsd + line(`"grant":"G1"`, `"grant":""`), event{verdict: malformed}},
		"a grant with a space":                    {bsd + line(`"grant":"G1"`, `"grant":"G 1"`), event{verdict: malformed}},
		"a grant that is long":                    {bsd + line(`"grant":"G1"`, `"grant":"`+strings.Repeat("g", 65)+`"`), event{verdict: malformed}},
		"a grant that is a number":                {bsd + line(`"grant":"G1"`, `"grant":1`), event{verdict: malformed}},
		"a node with a newline":                   {bsd + line(`"edge-1"`, `"edge-1\n"`), event{verdict: malformed}},
		"a line that was cut":                     {bsd + line()[:300], event{verdict: malformed}},
		"two lines":                               {bsd + line() + "\n" + bsd + line(), event{verdict: malformed}},
		"no frame":                                {line(), event{verdict: malformed}},
		"an empty datagram":                       {"", event{verdict: malformed}},
		"a frame with nothing in it":              {bsd, event{verdict: other}},
		"zeros":                                   {strings.Repeat("\x00", 100), event{verdict: malformed}},
		"names of fields within a value":          {bsd + line(`"path":"/a"`, `"path":"/\",\"grant\":\"EVIL\",\"x\":\""`), used(admitted, "G1", "edge-1")},
		"bytes that are no text in a value":       {bsd + line(`"path":"/a"`, "\"path\":\"/\xff\""), used(admitted, "G1", "edge-1")},
		"a list":                                  {bsd + "[1]", event{verdict: other}},
		"an object with nothing of what is asked": {bsd + `{"a":1}`, event{verdict: other}},
	} {
		t.Run(name, func(t *testing.T) {
			got := newParser(func() time.Time { return now }).event([]byte(c.datagram))
			if got.verdict != c.want.verdict || got.grant != c.want.grant || got.node != c.want.node || !got.at.Equal(c.want.at) {
				t.Errorf("%q counts as %+v, want %+v", c.datagram, got, c.want)
			}
		})
	}
}

// FuzzADatagramIsCountedOrNot: whatever comes, nothing but a grant and a node of the agreed form, at a time that can be,
// is counted as a use.
func FuzzADatagramIsCountedOrNot(f *testing.F) {
	for _, seed := range []string{
		bsd + line(), bsd + line(pass, deny+"no_grant"), "<134>1 2026-11-24T15:22:58.784096+00:00 edge-2 haproxy 24076 - - " + line(),
		bsd + "Proxy f stopped", "<", "<134>1 ", "<134>1 - - - - - - {", bsd + "{}", bsd + `{"decision":"allow","grant":"g","node":"n","at":"1795533778123"}`,
	} {
		f.Add([]byte(seed))
	}
	p := newParser(func() time.Time { return now })
	f.Fuzz(func(t *testing.T, datagram []byte) {
		e := p.event(datagram)
		if e.verdict != admitted && e.verdict != refused {
			if e.verdict < admitted || e.verdict > malformed || e != (event{verdict: e.verdict}) {
				t.Errorf("%+v", e)
			}
			return
		}
		word := func(s string, most int) bool {
			return s != "" && len(s) <= most && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
		}
		if age := now.Sub(e.at); !word(e.grant, 64) || !word(e.node, 63) || age < -time.Minute || age > 30*24*time.Hour {
			t.Errorf("%q counts as %+v", datagram, e)
		}
	})
}
