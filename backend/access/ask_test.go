package access_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// A window opens when it was to, not before, and ends when it was to.
func TestAWindowOpensAtItsTimeAndEndsAtItsTime(t *testing.T) {
	w := newWorld(t)
	v := w.window(alice, time.Hour)
	start := begin.Add(time.Hour).Truncate(time.Second)
	w.equal("state", v.Grant.State, grant.Approved)
	w.equal("start", v.Grant.StartsAt, start)
	w.equal("events", w.verbs(), []grant.Verb{grant.Request, grant.Complete})
	w.equal("nobody waits for nodes", len(w.enforcer.awaited), 0)
	_, _, err := w.service.IssueToken(t.Context(), alice, v.Grant.ID)
	w.equal("no token before", code(err), access.Conflict)
	w.pass(time.Hour - 601*time.Millisecond)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("a millisecond before", w.stored(v.Grant.ID).State, grant.Approved)
	w.pass(time.Millisecond)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	g := w.stored(v.Grant.ID)
	w.equal("at its time", g.State, grant.Active)
	w.equal("end", g.ExpiresAt, start.Add(15*time.Minute))
}

// A window that needs approval opens with the approval if it has begun, and ends when it was to all the same.
func TestAWindowThatIsApprovedLateIsOpenForTheRest(t *testing.T) {
	w := newWorld(t)
	a := ask("prod", "db")
	a.StartsAt = begin.Add(10 * time.Minute)
	early, late := w.requested(alice, a), w.requested(dave, a)
	early = w.approve(early)
	w.equal("before its time", early.Grant.State, grant.Approved)
	w.pass(20 * time.Minute)
	late = w.approve(late)
	w.equal("in its time", late.Grant.State, grant.Active)
	w.equal("end", late.Grant.ExpiresAt, a.StartsAt.Add(15*time.Minute).Truncate(time.Second))
}

// Who names no duration is given the rule's default: at once, in a window, after an approval, and in an emergency that of
// emergencies. A refusal names what it was about.
func TestWhoNamesNoDurationIsGivenTheDefault(t *testing.T) {
	for name, c := range map[string]struct {
		of     string
		starts time.Time
		urgent bool
		want   time.Duration
		ends   time.Time
	}{
		"at once":         {"staging", time.Time{}, false, 20 * time.Minute, begin.Add(20 * time.Minute).Truncate(time.Second)},
		"in a window":     {"staging", begin.Add(time.Hour), false, 20 * time.Minute, begin.Add(80 * time.Minute).Truncate(time.Second)},
		"with approval":   {"prod", time.Time{}, false, 7 * time.Minute, begin.Add(time.Hour + 7*time.Minute).Truncate(time.Second)},
		"in an emergency": {"prod", time.Time{}, true, 5 * time.Minute, begin.Add(5 * time.Minute).Truncate(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.inForce(`{version: 1, name: defaults, rules: [
			  {name: staging, match: {environments: [staging]}, who: {groups: [eng]}, limits: {max_duration: 1h, default_duration: 20m}},
			  {name: prod, match: {environments: [prod]}, who: {groups: [eng]}, limits: {max_duration: 1h, default_duration: 7m},
			   approve: {all_of: [{group: sre}]},
			   break_glass: {groups: [eng], max_duration: 5m, notify: [sre], review: {groups: [sre], within: 1h}}}]}`)
			v := w.requested(alice, access.Ask{Environment: c.of, Pool: "db", Reason: "to look", StartsAt: c.starts, BreakGlass: c.urgent})
			if v.Grant.State == grant.Pending {
				w.equal("asked for", v.Grant.Duration, c.want)
				w.pass(time.Hour)
				v = w.approve(v)
			}
			w.pass(c.starts.Sub(begin))
			w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
			g := w.stored(v.Grant.ID)
			w.equal("given", []any{g.State, g.Duration, g.ExpiresAt}, []any{grant.Active, c.want, c.ends})
			w.judge()
			w.equal("stands", w.stored(g.ID).State, grant.Active)
		})
	}
	w := newWorld(t)
	w.inForce(`{version: 1, name: defaults, rules: [{name: staging, match: {environments: [staging]}, who: {groups: [eng]},
	  when: [{condition: "false", message: No}], limits: {max_duration: 1h, default_duration: 20m}}]}`)
	_, err := w.service.Request(t.Context(), alice, access.Ask{Environment: "staging", Pool: "db", Reason: "to look"}, w.key())
	w.equal("refused", code(err), access.Forbidden)
	w.equal("for", w.last().Grant.Duration, 20*time.Minute)
}

func TestAWindowBeginsAheadAndNotTooFar(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		at   time.Time
		want access.Code
	}{
		"now":                       {begin, invalid},
		"a minute ago":              {begin.Add(-time.Minute), invalid},
		"in this second":            {begin.Add(300 * time.Millisecond), invalid}, // whole seconds: that is the one that runs
		"further than the rule has": {begin.Add(169 * time.Hour), no},
		"in more than a year":       {begin.Add(367 * 24 * time.Hour), invalid},
		"in the year 292277026596":  {time.Unix(1<<62, 0), invalid},
		"as far as the rule has":    {begin.Add(168 * time.Hour), ok},
	} {
		a := ask("staging", "db")
		a.StartsAt = c.at
		who := person("p"+w.key(), "eng")
		_, err := w.service.Request(t.Context(), who, a, w.key())
		w.equal(name, code(err), c.want)
		_, err = w.service.Preview(t.Context(), who, a)
		if want := c.want; want != no {
			w.equal(name+", preview", code(err), want)
		}
	}
}

const inputPolicy = `
version: 1
name: inputs
rules:
  - name: all
    match: {pools: ["*/*"]}
    who: {groups: [eng]}
    limits: {max_duration: 1h}
    require:
      - {name: ticket, title: Ticket, condition: 'inputs.ticket.matches("^INC[0-9]+$")', message: You must give an incident}
      - {name: where, title: Where, choices: [home, office], optional: true, message: You must say where}
`

// What policy asks for must be answered; the answers stay with the grant and with the refusal.
func TestInputsThatPolicyAsksForMustFit(t *testing.T) {
	for name, c := range map[string]struct {
		inputs map[string]string
		lacks  string
	}{
		"none":                {nil, "You must give an incident"},
		"one that is no INC":  {map[string]string{"ticket": "CHG1"}, "You must give an incident"},
		"no choice":           {map[string]string{"ticket": "INC1", "where": "moon"}, "You must say where"},
		"all":                 {map[string]string{"ticket": "INC1", "where": "home"}, ""},
		"without an optional": {map[string]string{"ticket": "INC1"}, ""},
		"more than asked":     {map[string]string{"ticket": "INC1", "other": "x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.inForce(inputPolicy)
			a := ask("staging", "db")
			a.Inputs = c.inputs
			v, err := w.service.Request(t.Context(), alice, a, w.key())
			w.equal("kept", w.last().Grant.Inputs, c.inputs)
			if c.lacks == "" {
				w.equal("code", code(err), ok)
				w.equal("inputs", v.Grant.Inputs, c.inputs)
				return
			}
			w.equal("code", code(err), access.Forbidden)
			if !strings.Contains(err.Error(), c.lacks) {
				t.Errorf("message %q", err)
			}
		})
	}
}

func TestInputsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.inForce(inputPolicy)
	many := map[string]string{"ticket": "INC1"}
	for i := range access.MaxInputs {
		many[fmt.Sprintf("x%d", i)] = "y"
	}
	most := map[string]string{"ticket": "INC1"}
	for i := range access.MaxInputs - 1 {
		most[fmt.Sprintf("x%d", i)] = strings.Repeat("y", access.MaxText)
	}
	for name, c := range map[string]struct {
		inputs map[string]string
		want   access.Code
	}{
		"one too many":   {many, invalid},
		"a long answer":  {map[string]string{"ticket": strings.Repeat("1", access.MaxText+1)}, invalid},
		"an escape":      {map[string]string{"ticket": "INC1\x1b"}, invalid},
		"upper case":     {map[string]string{"Ticket": "INC1"}, invalid},
		"no name":        {map[string]string{"": "INC1"}, invalid},
		"a newline":      {map[string]string{"ticket\n": "INC1"}, invalid},
		"a long name":    {map[string]string{strings.Repeat("a", 33): "INC1"}, invalid},
		"as many as may": {most, ok},
	} {
		a := ask("staging", "db")
		a.Inputs = c.inputs
		_, err := w.service.Preview(t.Context(), alice, a)
		w.equal(name+", preview", code(err), c.want)
		_, err = w.service.Request(t.Context(), alice, a, w.key())
		w.equal(name, code(err), c.want)
	}
}

// Access in an emergency is given at once, says who is told, and must be reviewed; those who may are named by policy.
func TestBreakGlassOpensAtOnceAndAsksForAReview(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	for name, c := range map[string]access.Caller{
		"not on call": alice, "on call, and not for this pool": person("x", "oncall"), "a service": robot, "an agent": triage,
	} {
		_, err := w.service.Request(t.Context(), c, urgent, w.key())
		w.equal(name, code(err), access.Forbidden)
		w.equal(name+": the event says that it was asked for as such", w.last().Grant.BreakGlass, true)
	}
	long := urgent
	long.Duration += time.Second
	_, err := w.service.Request(t.Context(), erin, long, w.key())
	w.equal("too long", code(err), access.Forbidden)
	v := w.requested(erin, urgent)
	w.equal("state", v.Grant.State, grant.Active)
	w.equal("break glass", v.Grant.BreakGlass, true)
	w.equal("told", v.Grant.Notify, []string{"security"})
	w.equal("review", v.Grant.Review, grant.Review{Groups: []string{"security"}, DueAt: begin.Add(30*time.Minute + 24*time.Hour)})
	w.equal("who must approve otherwise sees nothing", w.sees(carol, v.Grant.ID), unknown)
	// Not asked for as such it waits, though the same person asks.
	w.equal("without", w.request(person("erin2", "eng", "oncall"), "prod", "db").Grant.State, grant.Pending)
}

// The window of a request that lapses before anybody approves it never opens.
func TestAWindowDoesNotWaitLongerThanItLasts(t *testing.T) {
	w := newWorld(t)
	a := ask("prod", "db")
	a.StartsAt = begin.Add(time.Minute)
	v := w.requested(alice, a)
	w.equal("lapses", v.Grant.LapsesAt, a.StartsAt.Truncate(time.Second).Add(15*time.Minute))
	w.pass(17 * time.Minute)
	_, err := w.service.Approve(t.Context(), w.fresh(bob), shown(v), w.key())
	w.equal("approve", code(err), access.Conflict)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("state", w.stored(v.Grant.ID).State, grant.Lapsed)
}
