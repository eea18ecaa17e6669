package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// maxNamed bounds how many groups a sentence names.
const maxNamed = 10

// sentence ends what the author of a policy wrote with a full stop, if it does not end yet.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

// joinSentences says everything once.
func joinSentences(lacks []lack) string {
	var all []string
	for _, l := range lacks {
		if !slices.Contains(all, l.sentence) {
			all = append(all, l.sentence)
		}
	}
	return strings.Join(all, " ")
}

// or is "a", "a or b", "a, b or c".
func or(names []string) string { return enumerate(names, "or") }

func enumerate(names []string, word string) string {
	if len(names) == 0 {
		return ""
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}

func memberOf(groups []string) string { return "You must be a member of " + or(groups) + "." }

// nobody says what is missing where no rule is about the subject and the pool.
func (e *evaluation) nobody() string {
	known := false
	var groups []string
	for _, i := range e.policy.allows {
		r := &e.policy.rules[i]
		if !r.scope.fits(e.r.Pool, e.r.Tags) {
			continue
		}
		known = true
		if e.r.BreakGlass && r.Emergency == nil {
			continue
		}
		for _, g := range r.who.groups {
			if !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	switch {
	case len(groups) > 0 && !e.r.Subject.IsPerson():
		return "No rule of the policy names you for this pool; groups are for people."
	case len(groups) > maxNamed:
		return fmt.Sprintf("You must be a member of one of %d groups, among them %s.", len(groups), enumerate(groups[:maxNamed], "and"))
	case len(groups) > 0:
		return memberOf(groups)
	case known && e.r.BreakGlass:
		return "No rule of the policy gives you access to this pool in an emergency."
	case known:
		return "No rule of the policy gives you access to this pool."
	default:
		return "No rule of the policy gives access to this pool."
	}
}

// question is an input for the form of the page.
func (in *inputSpec) question() Input {
	message := in.Message
	if message == "" {
		message = fmt.Sprintf("You must fill in %q", in.Title)
	}
	return Input{
		Name: in.Name, Title: in.Title, Description: in.Description, Choices: slices.Clone(in.Choices),
		Optional: in.Optional, Message: sentence(message),
	}
}

func (e *evaluation) atOnce(d time.Duration) string {
	if e.r.StartsAt.After(e.r.At) {
		return fmt.Sprintf("No approval is needed: you have access when its time comes, for %s.", Span(d))
	}
	return fmt.Sprintf("No approval is needed: you have access at once, for %s.", Span(d))
}

func (e *evaluation) emergencySentence(d *Decision) string {
	told := ""
	if len(d.Notify) > 0 {
		told = fmt.Sprintf(" %s will be told.", enumerate(d.Notify, "and"))
	}
	return fmt.Sprintf("You have access at once, in an emergency, for %s.%s A member of %s will review it within %s of its end.",
		Span(d.Duration), told, or(d.ReviewGroups), Span(d.ReviewWithin))
}

// approvalSentence says who must approve, and how long that may take.
func (e *evaluation) approvalSentence(d *Decision) string {
	steps := make([]string, len(d.Steps))
	for i, s := range d.Steps {
		quorums := make([]string, len(s.AnyOf))
		for j, q := range s.AnyOf {
			quorums[j] = quorumPhrase(q)
		}
		if steps[i] = quorums[0]; len(quorums) > 1 {
			steps[i] = "either " + enumerate(quorums, "or else")
		}
	}
	order := ""
	if d.Ordered && len(steps) > 1 {
		order = ", in this order"
	}
	never := "never yourself"
	if e.r.Owner != "" {
		never = "never an agent or its owner"
	}
	return fmt.Sprintf("%s must approve%s; %s. The request waits %s.",
		upperFirst(enumerate(steps, "and")), order, never, e.waits(d.PendingFor))
}

// waits: an extension is in vain when the access has ended.
func (e *evaluation) waits(pending time.Duration) string {
	switch {
	case !e.r.Extension:
		return "for at most " + Span(pending)
	case e.r.Left > 0 && e.r.Left <= pending:
		return "until the access ends"
	default:
		return "for at most " + Span(pending) + ", and not past the end of the access"
	}
}

func quorumPhrase(q grant.Quorum) string {
	if q.Count == 1 {
		return "1 member of " + or(q.Groups)
	}
	return fmt.Sprintf("%d members of %s", q.Count, or(q.Groups))
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Span writes a duration in words: "4 hours", "1 hour 30 minutes", "7 days".
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return count(int64(d/day), "day")
	}
	var parts []string
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int64(d / unit.size); n > 0 {
			parts = append(parts, count(n, unit.name))
			d %= unit.size
		}
	}
	return strings.Join(parts, " ")
}

func count(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// hoursSentence writes hours: "Monday to Friday, 09:00 to 18:00 (Europe/Berlin)".
func hoursSentence(hours []hoursSpec) string {
	all := make([]string, len(hours))
	for i, h := range hours {
		all[i] = fmt.Sprintf("%s, %s to %s (%s)", daysPhrase(h.Days), clockPhrase(h.From), clockPhrase(h.To), h.Zone)
	}
	return strings.Join(all, "; or ")
}

func clockPhrase(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// daysPhrase names runs of days by their ends; a week begins on Monday.
func daysPhrase(days [7]bool) string {
	const week = 7
	day := func(i int) time.Weekday { return time.Weekday((i + 1) % week) }
	var runs []string
	for i := 0; i < week; i++ {
		if !days[day(i)] {
			continue
		}
		first := i
		for i+1 < week && days[day(i+1)] {
			i++
		}
		switch i - first {
		case week - 1:
			return "every day"
		case 0:
			runs = append(runs, day(first).String())
		case 1:
			runs = append(runs, day(first).String(), day(i).String())
		default:
			runs = append(runs, day(first).String()+" to "+day(i).String())
		}
	}
	return enumerate(runs, "and")
}
