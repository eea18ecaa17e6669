package policy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// lack is what a rule that is about a request misses in it: what the requester reads, and, where that tells less, what
// who keeps the policy reads.
type lack struct{ sentence, detail string }

func details(lacks []lack) []string {
	var all []string
	for _, l := range lacks {
		if l.detail != "" {
			all = append(all, l.detail)
		} else {
			all = append(all, l.sentence)
		}
	}
	return all
}

// checks are gone through in this order, the cheap ones first.
var checks = [...]func(*evaluation, context.Context, *rule, []lack) []lack{
	(*evaluation).lackEmergency,
	(*evaluation).lackDuration,
	(*evaluation).lackRoom,
	(*evaluation).lackTime,
	(*evaluation).lackConditions,
	(*evaluation).lackInputs,
}

// lacks is empty if the rule gives what is asked for. Unless all are wanted, it stops at the first check that finds
// something.
func (e *evaluation) lacks(ctx context.Context, r *rule, all bool) []lack {
	var found []lack
	e.ask(r)
	for _, check := range checks {
		found = check(e, ctx, r, found)
		if e.late || len(found) > 0 && !all {
			break
		}
	}
	return found
}

// must is a lack of which the requester may know everything.
func must(found []lack, format string, args ...any) []lack {
	return append(found, lack{sentence: "You must " + fmt.Sprintf(format, args...)})
}

// lackEmergency: access in an emergency is for some of those whom the rule is for, is now, and is not made longer.
func (e *evaluation) lackEmergency(_ context.Context, r *rule, found []lack) []lack {
	if !e.r.BreakGlass {
		return found
	}
	if !r.emergency.has(e.r.Subject, e.groups) {
		found = must(found, "be a member of %s to take access in an emergency.", or(r.emergency.groups))
	}
	if e.r.StartsAt.After(e.r.At) {
		found = must(found, "begin at once in an emergency.")
	}
	if e.r.Extension {
		found = must(found, "ask anew: access in an emergency is not made longer.")
	}
	return found
}

func (e *evaluation) lackDuration(_ context.Context, r *rule, found []lack) []lack {
	longest := r.Limits.MaxDuration
	if e.r.BreakGlass {
		longest = r.Emergency.MaxDuration
	}
	d := e.duration(r)
	switch {
	case d < time.Second:
		found = must(found, "ask for at least 1 second.")
	case d%time.Second != 0:
		found = must(found, "ask for whole seconds.")
	case e.r.Extension && e.r.Left > 0:
		return e.lackLonger(r, d, found)
	case d > longest:
		found = must(found, "ask for at most %s.", Span(longest))
	}
	if most := r.Limits.MaxTotal; most != 0 && e.total(d) > most {
		found = must(found, "ask for less: access may be open for at most %s in all, with what it is made longer by.", Span(most))
	}
	return found
}

// lackLonger says what of an extension would be possible now: the bounds are on what it comes to, not on what is added.
func (e *evaluation) lackLonger(r *rule, d time.Duration, found []lack) []lack {
	by := d - e.r.Left
	more, bound := r.Limits.MaxDuration-e.r.Left, Span(r.Limits.MaxDuration)+" from now on"
	if most := r.Limits.MaxTotal; most != 0 && most-(e.total(d)-by) < more {
		more, bound = most-(e.total(d)-by), Span(most)+" in all"
	}
	switch {
	case by <= more:
		return found
	case more < time.Second:
		return must(found, "let it end: access may be open for at most %s.", bound)
	default:
		return must(found, "ask for at most %s more: access may be open for at most %s.", Span(more), bound)
	}
}

// lackRoom counts the subject's grants in pools that the rule is about. The tags of those pools are not known here; one
// whose name fits counts.
func (e *evaluation) lackRoom(_ context.Context, r *rule, found []lack) []lack {
	most := r.Limits.MaxConcurrent
	if most == 0 {
		return found
	}
	open := 0
	for _, p := range e.r.Open {
		if r.scope.names(p) {
			open++
		}
	}
	if e.r.crowded && r.name != e.r.roomIn {
		open = most
	}
	if open < most {
		return found
	}
	return must(found, "give back other access first: you have %d here, and the most at a time is %d.", open, most)
}

func (e *evaluation) lackTime(_ context.Context, r *rule, found []lack) []lack {
	begins := e.r.begins()
	ahead := begins.Sub(e.r.At)
	switch within := r.Limits.StartWithin; {
	case ahead <= within:
	case within == 0:
		found = must(found, "begin at once.")
	default:
		found = must(found, "begin within %s.", Span(within))
	}
	covers := func(h hoursSpec) bool { return h.covers(begins) }
	if len(r.Limits.Hours) > 0 && !slices.ContainsFunc(r.Limits.Hours, covers) {
		found = must(found, "begin within these hours: %s.", hoursSentence(r.Limits.Hours))
	}
	return found
}

func (e *evaluation) lackConditions(ctx context.Context, r *rule, found []lack) []lack {
	for i := range r.when {
		c := &r.when[i]
		switch a, why := e.put(ctx, c); a {
		case yes:
		case no:
			found = append(found, lack{sentence: c.message})
		default:
			found = append(found, unchecked(c, why))
		}
	}
	return found
}

func (e *evaluation) lackInputs(ctx context.Context, r *rule, found []lack) []lack {
	for i, in := range r.inputs {
		given := e.r.Inputs[in.Name]
		switch {
		case given == "" && in.Optional:
		case given == "", len(given) > maxAnswer, len(in.Choices) > 0 && !slices.Contains(in.Choices, given):
			found = append(found, lack{sentence: r.form[i].Message})
		case in.condition != nil:
			switch a, why := e.put(ctx, in.condition); a {
			case yes:
			case no:
				found = append(found, lack{sentence: r.form[i].Message})
			default:
				found = append(found, unchecked(in.condition, why))
			}
		}
	}
	return found
}

// unchecked is a condition that could not be told. Its message would be a guess.
func unchecked(c *condition, why string) lack {
	return lack{
		sentence: "A condition for this access could not be checked, and so it is not given.",
		detail:   untold(c.place, why),
	}
}

func unmet(place string) string { return fmt.Sprintf("The condition at %s is not met.", place) }

const couldNotBeChecked = " could not be checked: "

func untold(place, why string) string {
	return fmt.Sprintf("The condition at %s%s%s.", place, couldNotBeChecked, why)
}
