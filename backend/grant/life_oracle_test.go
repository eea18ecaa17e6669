package grant

import (
	"fmt"
	"slices"
	"time"
)

// oracle is a grant's life written a second time, with other means: milliseconds since noon, votes by brute force, and one
// rule a verb. It uses nothing of the code under test but the names of states and verbs, and the shapes of its values.
type oracle struct {
	state    State
	version  int64
	subject  Subject
	owner    Subject
	asks     vote // of the request
	said     []ballotPaper
	window   int // when it begins, milliseconds after noon; 0: none
	lapse    int
	began    int
	given    int
	end      int // once it was active; a multiple of 1000
	duration int // seconds
	more     *wish
	urgent   bool // an emergency
	reviewer Subject
	scolded  int // when it was said that the review is overdue
	endedBy  Subject
	cause    Cause
	endedAt  int
	ended    bool
}

type ballotPaper struct {
	by     Subject
	groups []string
}

// wish is an extension that waits.
type wish struct {
	by    int // seconds
	asks  vote
	said  []ballotPaper
	lapse int
}

// people are those who may decide for anybody but themselves; the others are no persons.
var people = map[Subject]bool{alice: true, bob: true, carol: true, audrey: true}

func (o *oracle) stranger(a Action) bool {
	return people[a.Actor] && a.Actor != o.subject && a.Actor != o.owner
}

// own: the subject, or the owner of the agent.
func (o *oracle) own(a Action) bool {
	return a.Actor == o.subject || o.owner != "" && a.Actor == o.owner
}

// accept carries the action out if it is allowed.
func (o *oracle) accept(a Action, at int) bool {
	rules := map[State]map[Verb]func(Action, int) bool{
		Pending: {
			Approve: o.approve, Complete: o.approve, Withdraw: o.withdraw, Deny: o.deny, Cancel: o.cancel, Lapse: o.lapses, Revoke: o.revoke,
		},
		Approved: {Activate: o.activate, Cancel: o.cancel, Lapse: o.lapses, Revoke: o.revoke},
		Active: {
			AskExtension: o.ask, Approve: o.approve, Withdraw: o.withdraw, Extend: o.extend, DenyExtension: o.denyMore,
			CancelExtension: o.cancelMore, LapseExtension: o.lapseMore, Expire: o.expire, Revoke: o.revoke, DoReview: o.review,
			ReviewOverdue: o.scold,
		},
		Expired: {DoReview: o.review, ReviewOverdue: o.scold},
		Revoked: {DoReview: o.review, ReviewOverdue: o.scold},
	}
	rule := rules[o.state][a.Verb]
	if rule == nil || !rule(a, at) {
		return false
	}
	o.version++
	return true
}

func (o *oracle) finish(to State, a Action, at int) bool {
	o.state, o.ended, o.endedBy, o.endedAt, o.more = to, true, a.Actor, at, nil
	return true
}

// windowEnd is when a window closes: what HAProxy counts in, whole seconds.
func (o *oracle) windowEnd() int { return (o.window + 1000*o.duration) / 1000 * 1000 }

// judge judges a yes for the vote and adds it.
func judge(v vote, said *[]ballotPaper, a Action, last bool) bool {
	var cast [][]string
	for _, p := range *said {
		if p.by == a.Actor {
			return false
		}
		cast = append(cast, p.groups)
	}
	if !v.takes(cast, a.Groups) || v.complete(append(cast, a.Groups)) != last {
		return false
	}
	*said = append(*said, ballotPaper{a.Actor, a.Groups})
	return true
}

func (o *oracle) approve(a Action, at int) bool {
	if o.state == Active {
		return a.Verb == Approve && o.more != nil && o.stranger(a) && at < o.more.lapse && at < o.end && judge(o.more.asks, &o.more.said, a, false)
	}
	if at >= o.lapse {
		return false
	}
	switch {
	case len(o.asks.steps) == 0 && (a.Verb != Complete || a.Actor != ""):
		return false
	case len(o.asks.steps) > 0 && (!o.stranger(a) || !judge(o.asks, &o.said, a, a.Verb == Complete)):
		return false
	}
	if a.Verb == Complete {
		if o.state = Approved; o.window > 0 {
			o.lapse = o.windowEnd()
		}
	}
	return true
}

// recast holds a vote again without who, everybody in the order in which they spoke. Who is not needed now is sent away.
func recast(v vote, said []ballotPaper, who Subject) ([]ballotPaper, bool) {
	var left []ballotPaper
	var cast [][]string
	found := false
	for _, p := range said {
		if p.by == who {
			found = true
		} else if !v.ordered || v.takes(cast, p.groups) {
			left, cast = append(left, p), append(cast, p.groups)
		}
	}
	return left, found
}

func (o *oracle) withdraw(a Action, _ int) (found bool) {
	if o.state == Pending {
		o.said, found = recast(o.asks, o.said, a.Actor)
	} else if o.more != nil {
		o.more.said, found = recast(o.more.asks, o.more.said, a.Actor)
	}
	return found
}

func (o *oracle) deny(a Action, at int) bool {
	return o.stranger(a) && at < o.lapse && o.finish(Denied, a, at)
}

func (o *oracle) cancel(a Action, at int) bool { return o.own(a) && o.finish(Cancelled, a, at) }

func (o *oracle) lapses(a Action, at int) bool {
	return a.Actor == "" && at >= o.lapse && o.finish(Lapsed, a, at)
}

func (o *oracle) expire(a Action, at int) bool {
	return a.Actor == "" && at >= o.end && o.finish(Expired, a, at)
}

func (o *oracle) revoke(a Action, at int) bool {
	if a.Cause == "" || a.Cause == "because" {
		return false
	}
	o.cause = a.Cause
	return o.finish(Revoked, a, at)
}

func (o *oracle) activate(a Action, at int) bool {
	if a.Actor != "" || at < o.window || at >= o.lapse || o.window > 0 && at >= o.windowEnd() {
		return false
	}
	o.state, o.began, o.given = Active, at, at
	if o.end = (at + 1000*o.duration) / 1000 * 1000; o.window > 0 {
		o.end = o.windowEnd()
	}
	return true
}

// wishes is whether an extension may be asked for, or given at once.
func (o *oracle) wishes(a Action, at int) bool {
	by := a.Extension.By
	return o.more == nil && o.own(a) && !o.urgent && at < o.end && by >= time.Second && by%time.Second == 0
}

func (o *oracle) ask(a Action, at int) bool {
	lapse := int(a.Extension.LapsesAt.Sub(noon).Milliseconds())
	if !o.wishes(a, at) || len(a.Extension.Steps) == 0 || lapse <= at || lapse > o.end {
		return false
	}
	o.more = &wish{by: int(a.Extension.By / time.Second), asks: voteOf(a.Extension.Steps, a.Extension.Ordered), lapse: lapse}
	return true
}

func (o *oracle) extend(a Action, at int) bool {
	by := int(a.Extension.By / time.Second)
	if o.more == nil {
		if !o.wishes(a, at) || len(a.Extension.Steps) > 0 {
			return false
		}
	} else {
		if a.Extension.By != 0 || !o.stranger(a) || at >= o.more.lapse || at >= o.end || !judge(o.more.asks, &o.more.said, a, true) {
			return false
		}
		by, o.asks, o.said = o.more.by, o.more.asks, o.more.said
	}
	o.end, o.duration, o.given, o.more = o.end+1000*by, o.duration+by, max(at, o.began+1), nil
	return true
}

func (o *oracle) denyMore(a Action, at int) bool {
	if o.more == nil || !o.stranger(a) || at >= o.more.lapse || at >= o.end {
		return false
	}
	o.more = nil
	return true
}

func (o *oracle) cancelMore(a Action, _ int) bool {
	if o.more == nil || !o.own(a) {
		return false
	}
	o.more = nil
	return true
}

func (o *oracle) lapseMore(a Action, at int) bool {
	if o.more == nil || a.Actor != "" || at < o.more.lapse {
		return false
	}
	o.more = nil
	return true
}

// review: the look afterwards, once, when nothing is open any more.
func (o *oracle) review(a Action, at int) bool {
	if !o.urgent || o.end == 0 || o.opens(at) || o.reviewer != "" || !o.stranger(a) || !slices.Contains(a.Groups, "a") {
		return false
	}
	o.reviewer = a.Actor
	return true
}

func (o *oracle) opens(at int) bool { return o.state == Active && at < o.end }

// scold: an emergency of which nobody has taken a look a second after noon, or by its end if that is later, once.
func (o *oracle) scold(a Action, at int) bool {
	if !o.urgent || o.end == 0 || o.reviewer != "" || o.scolded > 0 || a.Actor != "" || at < 1000 || o.opens(at) {
		return false
	}
	o.scolded = at
	return true
}

// agrees compares all that the oracle knows.
func (o *oracle) agrees(g Grant) error {
	clock := func(ms int, set bool) time.Time {
		if !set {
			return time.Time{}
		}
		return after(ms)
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"state", g.State, o.state},
		{"version", g.Version, o.version},
		{"duration", g.Duration, time.Duration(o.duration) * time.Second},
		{"lapse", g.LapsesAt, after(o.lapse)},
		{"activation", g.ActivatedAt, clock(o.began, o.end > 0)},
		{"given", g.GivenAt, clock(o.given, o.end > 0)},
		{"expiry", g.ExpiresAt, clock(o.end, o.end > 0)},
		{"end", g.EndedAt, clock(o.endedAt, o.ended)},
		{"ended by", g.EndedBy, o.endedBy},
		{"cause", g.Cause, o.cause},
		{"review", g.Review.By, o.reviewer},
		{"overdue", g.Review.OverdueAt, clock(o.scolded, o.scolded > 0)},
		{"extension", g.Extension.Asked(), o.more != nil},
		{"waits", g.Waits(), o.state == Pending || o.more != nil},
	} {
		if c.got != c.want {
			return fmt.Errorf("%s: %v, by the oracle %v", c.what, c.got, c.want)
		}
	}
	if err := sameVote(g.Approvals, o.said); err != nil {
		return err
	}
	if o.more == nil {
		return nil
	}
	if e := g.Extension; e.By != time.Duration(o.more.by)*time.Second || e.LapsesAt != after(o.more.lapse) {
		return fmt.Errorf("extension by %v until %v, by the oracle %+v", e.By, e.LapsesAt, *o.more)
	}
	return sameVote(g.Extension.Approvals, o.more.said)
}

// sameVote compares who said yes, and what of: the groups that a vote of the walk could name.
func sameVote(got []Approval, want []ballotPaper) error {
	if len(got) != len(want) {
		return fmt.Errorf("approvals %+v, by the oracle %+v", got, want)
	}
	for i, a := range got {
		for _, group := range a.Groups {
			if a.By != want[i].by || !slices.Contains(want[i].groups, group) {
				return fmt.Errorf("approval %+v, by the oracle %+v", a, want[i])
			}
		}
	}
	return nil
}
