package decisions

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// moves is the life of a grant, by hand: the state that a verb leads to, by the state before.
var moves = map[string]map[string]string{
	"": {"request": "pending"},
	"pending": {
		"approve": "pending", "withdraw": "pending", "complete": "approved", "deny": "denied", "cancel": "cancelled",
		"lapse": "lapsed", "revoke": "revoked",
	},
	"approved": {"activate": "active", "cancel": "cancelled", "lapse": "lapsed", "revoke": "revoked"},
	"active": {
		"ask_extension": "active", "approve": "active", "withdraw": "active", "extend": "active", "deny_extension": "active",
		"cancel_extension": "active", "lapse_extension": "active", "review": "active", "review_overdue": "active", "expire": "expired", "revoke": "revoked",
	},
	"expired": {"review": "expired", "review_overdue": "expired"},
	"revoked": {"review": "revoked", "review_overdue": "revoked"},
}

var causes = []string{"given_up", "approver", "reviewer", "operator", "group_lost", "policy_changed", "lock"}

// chronicle reads a log, one entry after the other, and knows nothing else: what must be true whatever was called.
type chronicle struct {
	revision int64
	hash     [32]byte
	grants   map[string]grant.Grant
	locks    map[string]grant.Lock
	votes    map[string][]oracle.Approval // of the vote that is on, by who was recorded to say yes and no more
}

func newChronicle() *chronicle {
	return &chronicle{grants: map[string]grant.Grant{}, locks: map[string]grant.Lock{}, votes: map[string][]oracle.Approval{}}
}

// add takes the next entry, or says what is wrong with it.
func (c *chronicle) add(e store.Entry) error {
	if err := c.chain(e); err != nil {
		return err
	}
	switch e.Event.Verb {
	case "refuse", "policy", "policy_refused", "drift":
		return nil
	case "lock", "unlock":
		return c.lock(e.Event)
	}
	g, before := e.Event.Grant, c.grants[e.Event.Grant.ID]
	for _, check := range []func(grant.Event, grant.Grant) error{
		c.move, c.names, c.fixed, c.decider, c.vote, c.opening, c.term, c.extension, c.ending,
	} {
		if err := check(e.Event, before); err != nil {
			return err
		}
	}
	c.grants[g.ID] = g
	return c.places(g)
}

// chain: revisions have no gap, and each hash is over all before it. The arithmetic is written out.
func (c *chronicle) chain(e store.Entry) error {
	if e.Revision != c.revision+1 {
		return fmt.Errorf("after revision %d", c.revision)
	}
	input := slices.Concat(c.hash[:], []byte(strconv.FormatInt(e.Revision, 10)), []byte(":"), e.Doc)
	if sum := sha256.Sum256(input); sum != e.Hash || store.Chain(c.hash, e.Revision, e.Doc) != e.Hash {
		return errors.New("the chain of hashes is broken")
	}
	c.revision, c.hash = e.Revision, e.Hash
	return nil
}

func (c *chronicle) lock(e grant.Event) error {
	_, known := c.locks[e.Lock.ID]
	if known != (e.Verb == "unlock") || known == e.Lock.LiftedAt.IsZero() || e.Actor == "" {
		return errors.New("a lock is put once, and lifted once after that")
	}
	c.locks[e.Lock.ID] = e.Lock
	return nil
}

func (c *chronicle) move(e grant.Event, before grant.Grant) error {
	to, ok := moves[string(before.State)][string(e.Verb)]
	switch {
	case e.From != before.State:
		return fmt.Errorf("from %q, but it was %q", e.From, before.State)
	case !ok || to != string(e.Grant.State):
		return fmt.Errorf("from %q to %q is in no table", before.State, e.Grant.State)
	case e.Grant.Version != before.Version+1:
		return fmt.Errorf("version %d after %d", e.Grant.Version, before.Version)
	}
	return nil
}

// names: one spelling for everybody, and the clock and policy have none.
func (c *chronicle) names(e grant.Event, _ grant.Grant) error {
	actor := string(e.Actor)
	if actor != strings.ToLower(actor) || string(e.Grant.Subject) != strings.ToLower(string(e.Grant.Subject)) {
		return fmt.Errorf("a name in another letter case: %q, %q", actor, e.Grant.Subject)
	}
	byClock := slices.Contains([]string{"activate", "expire", "lapse", "lapse_extension", "review_overdue"}, string(e.Verb))
	byEither := slices.Contains([]string{"complete", "revoke"}, string(e.Verb))
	if !byEither && byClock != (actor == "") {
		return fmt.Errorf("by %q", actor)
	}
	owns := string(e.Verb) == "request" || string(e.Verb) == "ask_extension" || strings.HasPrefix(string(e.Verb), "cancel")
	if owns && e.Actor != e.Grant.Subject && e.Actor != e.Grant.Owner {
		return fmt.Errorf("by %q, whose it is not", actor)
	}
	return nil
}

// fixed: what the request said never changes.
func (c *chronicle) fixed(e grant.Event, before grant.Grant) error {
	g := e.Grant
	if before.ID == "" {
		return nil
	}
	if g.Subject != before.Subject || g.Owner != before.Owner || g.Pool != before.Pool || !g.RequestedAt.Equal(before.RequestedAt) ||
		!g.StartsAt.Equal(before.StartsAt) || g.BreakGlass != before.BreakGlass || g.Reason != before.Reason && e.Verb != "extend" {
		return errors.New("it is another grant by now")
	}
	return nil
}

// decider: who decides is a person, and neither who asked nor whom the asking agent belongs to (I11).
func (c *chronicle) decider(e grant.Event, before grant.Grant) error {
	decides := slices.Contains([]string{"approve", "deny", "deny_extension", "review"}, string(e.Verb)) ||
		e.Verb == "complete" && len(before.Steps) > 0 || e.Verb == "extend" && before.Extension.By != 0
	if !decides {
		return nil
	}
	if !strings.Contains(string(e.Actor), "@") || e.Actor == e.Grant.Subject || e.Actor == e.Grant.Owner {
		return fmt.Errorf("%q decided on access of %q, owned by %q", e.Actor, e.Grant.Subject, e.Grant.Owner)
	}
	return nil
}

// vote keeps its own list of who has said yes: an approval is there once, from the event by which it was given until the
// one by which it was taken back.
func (c *chronicle) vote(e grant.Event, before grant.Grant) error {
	given, yes := c.votes[e.Grant.ID], e.Grant.Approvals
	if before.State == "active" {
		yes = e.Grant.Extension.Approvals
		if e.Verb == "extend" && before.Extension.By != 0 {
			yes = e.Grant.Approvals
		}
	}
	switch {
	case e.Verb == "ask_extension":
		given = nil
	case e.Verb == "withdraw":
		given = slices.DeleteFunc(given, func(a oracle.Approval) bool { return a.By == string(e.Actor) })
	case (e.Verb == "approve" || e.Verb == "complete" || e.Verb == "extend" && before.Extension.By != 0) && e.Actor != "":
		for _, a := range given {
			if a.By == string(e.Actor) {
				return fmt.Errorf("%s said yes twice", e.Actor)
			}
		}
		given = append(given, oracle.Approval{By: string(e.Actor)})
	default:
		return nil
	}
	kept := given[:0:0]
	for _, a := range yes {
		if !slices.ContainsFunc(given, func(o oracle.Approval) bool { return o.By == string(a.By) }) {
			return fmt.Errorf("an approval of %s that was not given", a.By)
		}
		kept = append(kept, oracle.Approval{By: string(a.By), Groups: a.Groups})
	}
	// Only in an order may others fall with one that was taken back.
	ordered := e.Grant.Ordered
	if before.State == "active" {
		ordered = before.Extension.Ordered
	}
	if len(kept) != len(given) && !(ordered && e.Verb == "withdraw") {
		return errors.New("an approval is lost or doubled")
	}
	c.votes[e.Grant.ID] = kept
	return nil
}

// opening: nothing opens without the approvals that it needs, nor under a lock.
func (c *chronicle) opening(e grant.Event, before grant.Grant) error {
	g := e.Grant
	steps, ordered := before.Steps, before.Ordered
	if e.Verb == "extend" {
		steps, ordered = before.Extension.Steps, before.Extension.Ordered
	}
	if (e.Verb == "complete" || e.Verb == "extend" || e.Verb == "activate") && !oracle.Met(planSteps(steps), ordered, c.votes[g.ID]) && len(steps) > 0 {
		return errors.New("it opened without the approvals that it needs")
	}
	if e.Verb == "review" && before.State == "active" && e.At.Before(before.ExpiresAt) {
		return errors.New("it was reviewed while it was open")
	}
	if g.BreakGlass && (len(g.Steps) > 0 || len(g.Review.Groups) == 0 || g.Extension.By != 0) {
		return errors.New("an emergency is not approved or extended but reviewed")
	}
	opens := slices.Contains([]string{"request", "approve", "complete", "activate", "ask_extension", "extend"}, string(e.Verb))
	for _, l := range c.locks {
		if opens && c.holds(l, e.At) && covers(l, g) {
			return fmt.Errorf("lock %s held", l.ID)
		}
	}
	return nil
}

func planSteps(steps []grant.Step) []oracle.Step {
	var all []oracle.Step
	for _, s := range steps {
		var step oracle.Step
		for _, q := range s.AnyOf {
			step.AnyOf = append(step.AnyOf, oracle.Quorum{Groups: q.Groups, Count: q.Count})
		}
		all = append(all, step)
	}
	return all
}

func (c *chronicle) holds(l grant.Lock, at time.Time) bool {
	return l.LiftedAt.IsZero() && at.Before(l.Until)
}

func covers(l grant.Lock, g grant.Grant) bool {
	return (l.Subject == "" || l.Subject == g.Subject || l.Subject == g.Owner) &&
		(l.Environment == "" || l.Environment == g.Pool.Environment) && (l.Pool == "" || l.Pool == g.Pool.Name)
}

// term: access ends its duration after it began, or after its window did, on a whole second; until it is extended.
func (c *chronicle) term(e grant.Event, before grant.Grant) error {
	g := e.Grant
	switch {
	case e.Verb == "activate":
		from := e.At
		if !g.StartsAt.IsZero() {
			from = g.StartsAt
		}
		if end := from.Add(g.Duration); !g.ExpiresAt.Equal(end.Truncate(time.Second)) || !g.ActivatedAt.Equal(e.At) {
			return fmt.Errorf("it began at %s for %s and ends at %s", e.At, g.Duration, g.ExpiresAt)
		}
		if e.At.Before(g.StartsAt) || !e.At.Before(g.ExpiresAt) {
			return errors.New("it opened outside of its window")
		}
	case e.Verb != "extend" && (!g.ExpiresAt.Equal(before.ExpiresAt) || g.Duration != before.Duration && e.Verb != "request"):
		return errors.New("its end was moved")
	case !g.ActivatedAt.Equal(before.ActivatedAt):
		return errors.New("it began twice")
	}
	return nil
}

// extension: only to a later end, before the end, and by what was asked for.
func (c *chronicle) extension(e grant.Event, before grant.Grant) error {
	g := e.Grant
	if e.Verb != "extend" {
		return nil
	}
	by := g.Duration - before.Duration
	switch asked := before.Extension.By; {
	case by <= 0 || asked != 0 && by != asked:
		return fmt.Errorf("extended by %s, asked for was %s", by, asked)
	case !g.ExpiresAt.Equal(before.ExpiresAt.Add(by)):
		return fmt.Errorf("by %s from %s to %s", by, before.ExpiresAt, g.ExpiresAt)
	case !e.At.Before(before.ExpiresAt):
		return errors.New("extended after its end: there was a gap")
	case g.Extension.By != 0:
		return errors.New("the request for it is still there")
	}
	return nil
}

func (c *chronicle) ending(e grant.Event, before grant.Grant) error {
	g := e.Grant
	switch {
	case e.Verb == "expire" && e.At.Before(before.ExpiresAt), e.Verb == "lapse" && e.At.Before(before.LapsesAt):
		return errors.New("its time has not come")
	case (g.State == "revoked") != (g.Cause != "") || g.Cause != "" && !slices.Contains(causes, string(g.Cause)):
		return fmt.Errorf("%s for the cause %q", g.State, g.Cause)
	case (g.State == "pending" || up(g)) != g.EndedAt.IsZero():
		return fmt.Errorf("%s, ended at %s", g.State, g.EndedAt)
	}
	return nil
}

// places: a subject has one approved or active grant for a pool.
func (c *chronicle) places(g grant.Grant) error {
	for _, other := range c.grants {
		if other.ID != g.ID && other.Subject == g.Subject && other.Pool == g.Pool && up(other) && up(g) {
			return fmt.Errorf("%s is %s as well", other.ID, other.State)
		}
	}
	return nil
}

func up(g grant.Grant) bool { return g.State == "approved" || g.State == "active" }

// quiet is what holds when no call is under way.
func (c *chronicle) quiet(now time.Time) error {
	for _, g := range c.grants {
		for _, l := range c.locks {
			if (g.State == "pending" || up(g)) && c.holds(l, now) && covers(l, g) {
				return fmt.Errorf("%s is %s under lock %s", g.ID, g.State, l.ID)
			}
		}
	}
	return nil
}
