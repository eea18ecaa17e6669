package lab

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// reach is X of invariant I1 with what a busy machine adds: how long after its end a grant may still admit at a node that is
// reached. The measured time is printed.
const reach = 5 * time.Second

// window is when a grant was open by the record of events.
type window struct {
	subject, pool string
	from, to      time.Time
	// revoked says that somebody ended it; otherwise it ends by the clock, and HAProxy knows when.
	revoked bool
}

// ledger is the record of events, as far as it opens and closes grants, by the grants' ids.
func (l *lab) ledger() map[string]window {
	l.T.Helper()
	all := map[string]window{}
	page := ""
	for {
		answer := l.Do(stage.Audrey, "haproxyaccess/listEvents", object{
			"verbs": []string{"activate", "extend", "revoke"}, "oldestFirst": true, "pageSize": 200, "pageToken": page,
		})
		for _, raw := range answer["events"].([]any) {
			e := raw.(object)
			id := e["grantId"].(string)
			w := all[id]
			switch e["verb"] {
			case "activate":
				w = window{
					subject: e["subject"].(string), pool: fmt.Sprint(e["environment"], "/", e["pool"]),
					from: l.Time(e["time"]), to: l.Time(e["expireTime"]),
				}
			case "extend":
				w.to = l.Time(e["expireTime"])
			case "revoke":
				w.to, w.revoked = l.Time(e["time"]), true
			}
			all[id] = w
		}
		if page, _ = answer["nextPageToken"].(string); page == "" {
			return all
		}
	}
}

// join ends the probing and holds every admitted request against the record: it was a request of the grant's subject for the
// grant's pool, sent after the grant had opened, and no later than reach after its end. What a grant's status says of a node
// is held to the instant: no request was admitted that was sent after the row was reported as removed there, but where a
// scenario itself brings old rows back.
func (p *prober) join(reach time.Duration, oldRowsComeBack bool) {
	t := p.l.T
	t.Helper()
	p.stop()
	windows := p.l.ledger()
	removed := map[string]map[string]object{}
	worst := time.Duration(0)
	var wrong []string
	for _, one := range p.probes(func(one probe) bool { return one.status == http.StatusOK }) {
		w := windows[one.grant]
		complain := func(what string) { wrong = append(wrong, fmt.Sprintf("%+v: %s", one, what)) }
		if !p.serves(one.host, w.pool) {
			complain("the grant is of another host's pool, or there is none")
		}
		if what := w.wrong(one, reach); what != "" {
			complain(what)
		} else {
			worst = max(worst, one.sent.Sub(w.to))
		}
		if !w.revoked || oldRowsComeBack {
			continue
		}
		if removed[one.grant] == nil {
			removed[one.grant] = p.l.nodeReports(object{"id": one.grant})
		}
		if at, _ := removed[one.grant][one.node]["removeTime"].(string); at != "" && one.sent.After(p.l.Time(at)) {
			complain("its row was reported as removed at " + at)
		}
	}
	p.report(worst)
	require.Empty(t, wrong[:min(len(wrong), 10)], "%d requests were admitted outside a grant", len(wrong))
	admitted := p.probes(func(one probe) bool { return one.status == http.StatusOK })
	refused := p.probes(func(one probe) bool { return one.status != http.StatusOK && one.status != 0 })
	require.NotEmpty(t, admitted, "nothing was admitted: this shows nothing")
	require.NotEmpty(t, refused, "nothing was refused: this shows nothing")
}

// wrong says why a request should not have been admitted by the grant; empty if it may have been.
func (w window) wrong(one probe, reach time.Duration) string {
	switch late := one.sent.Sub(w.to); {
	case w == window{}:
		return "the record has no such grant"
	case w.subject != one.user || w.pool != one.pool:
		return fmt.Sprintf("the grant is %s's for %s", w.subject, w.pool)
	case one.got.Before(w.from):
		return fmt.Sprintf("the grant opened at %s", w.from)
	case !w.revoked && late >= 0:
		return fmt.Sprintf("the grant expired at %s", w.to)
	case late > reach:
		return fmt.Sprintf("the grant was revoked at %s", w.to)
	}
	return ""
}

// By hand: a grant of alice's for prod/billing from 10 to 20 seconds, of which X is 5.
func TestI1TheJoinKnowsWhatIsOutsideAGrant(t *testing.T) {
	at := func(seconds float64) time.Time { return time.Unix(0, int64(seconds*1e9)) }
	expired := window{subject: stage.Alice, pool: "prod/billing", from: at(10), to: at(20)}
	revoked := expired
	revoked.revoked = true
	good := probe{user: stage.Alice, pool: "prod/billing", sent: at(15), got: at(15.1)}
	with := func(change func(*probe)) probe { p := good; change(&p); return p }
	for name, c := range map[string]struct {
		w    window
		p    probe
		fine bool
	}{
		"within":                          {expired, good, true},
		"within one that was revoked":     {revoked, good, true},
		"sent before, answered within":    {expired, with(func(p *probe) { p.sent, p.got = at(9.9), at(10.1) }), true},
		"answered before it opened":       {expired, with(func(p *probe) { p.sent, p.got = at(9.8), at(9.9) }), false},
		"in its last moment":              {expired, with(func(p *probe) { p.sent, p.got = at(19.9), at(21) }), true},
		"as it expired":                   {expired, with(func(p *probe) { p.sent, p.got = at(20), at(21) }), false},
		"soon after it was revoked":       {revoked, with(func(p *probe) { p.sent, p.got = at(25), at(26) }), true},
		"long after it was revoked":       {revoked, with(func(p *probe) { p.sent, p.got = at(25.1), at(26) }), false},
		"somebody else's":                 {expired, with(func(p *probe) { p.user = stage.Bob }), false},
		"for another pool":                {expired, with(func(p *probe) { p.pool = "prod/ops" }), false},
		"by a grant that is not recorded": {window{}, good, false},
	} {
		if what := c.w.wrong(c.p, 5*time.Second); (what == "") != c.fine {
			t.Errorf("%s: %q", name, what)
		}
	}
}

// serves says whether a host is one of a pool's: of a configured one, or by the template's pattern.
func (p *prober) serves(host, pool string) bool {
	for _, known := range p.l.Endpoints().Pools {
		if known.Host == host {
			return known.Environment+"/"+known.Pool == pool
		}
	}
	env, name, _ := strings.Cut(pool, "/")
	return host == name+"."+env+".localhost"
}

// report prints what became of the requests.
func (p *prober) report(worst time.Duration) {
	counts := map[string]int{}
	for _, one := range p.probes(func(probe) bool { return true }) {
		what := one.why
		switch {
		case one.status == 0:
			what = "no answer"
		case one.status == http.StatusOK:
			what = "admitted"
		case what == "":
			what = fmt.Sprint("status ", one.status)
		}
		counts[one.node+" "+what]++
	}
	var lines []string
	for what, n := range counts {
		lines = append(lines, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(lines)
	p.l.T.Logf("probed for %.1f s; admitted last %s after a revocation; %s", time.Since(p.begin).Seconds(), worst.Round(time.Millisecond),
		strings.Join(lines, ", "))
}
