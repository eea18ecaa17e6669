package policy

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

const maxConcurrent = 1000

func (d *decoder) limits(n *yaml.Node, l *limitsSpec, zone string) {
	d.object(n, fields{
		"max_duration":     d.duration(&l.MaxDuration, time.Second),
		"default_duration": d.duration(&l.DefaultDuration, time.Second),
		"max_total":        d.duration(&l.MaxTotal, time.Second),
		"max_concurrent":   d.integer(&l.MaxConcurrent, 1, maxConcurrent),
		"pending_for":      d.duration(&l.PendingFor, time.Second),
		"start_within":     d.duration(&l.StartWithin, 0),
		"hours": func(n *yaml.Node) {
			d.list(n, maxList, func(n *yaml.Node) { l.Hours = append(l.Hours, d.hours(n, zone)) })
		},
	}, "max_duration")
	if l.MaxDuration == 0 {
		return // said already
	}
	if l.DefaultDuration == 0 {
		l.DefaultDuration = l.MaxDuration
	}
	if l.DefaultDuration > l.MaxDuration {
		d.wrong(n, "default_duration is longer than max_duration")
	}
	if l.MaxTotal != 0 && l.MaxTotal < l.MaxDuration {
		d.wrong(n, "max_total is shorter than max_duration")
	}
}

var weekdays = map[string]time.Weekday{
	"mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday,
	"fri": time.Friday, "sat": time.Saturday, "sun": time.Sunday,
}

const midnight = 24 * 60 // the minute that ends a day

func (d *decoder) hours(n *yaml.Node, zone string) hoursSpec {
	h := hoursSpec{Days: [7]bool{true, true, true, true, true, true, true}, From: -1, To: -1, Zone: zone}
	var days []text
	d.object(n, fields{
		"days":      d.set(&days, func(s string) bool { _, ok := weekdays[s]; return ok }, "mon, tue, wed, thu, fri, sat or sun"),
		"from":      d.clock(&h.From, midnight-1),
		"to":        d.clock(&h.To, midnight),
		"time_zone": d.zone(&h.Zone),
	}, "from", "to")
	if len(days) > 0 {
		h.Days = [7]bool{}
	}
	for _, day := range days {
		h.Days[weekdays[day.value]] = true
	}
	if h.From >= 0 && h.From == h.To {
		d.wrong(n, `from and to are the same; the whole day is from "00:00" to "24:00"`)
	}
	h.location, _ = location(h.Zone)
	return h
}

var clockPattern = regexp.MustCompile(`\A([01][0-9]|2[0-4]):([0-5][0-9])\z`)

// clock takes a time of the day as minutes after midnight.
func (d *decoder) clock(into *int, latest int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		t, ok := d.scalar(n)
		if !ok {
			return
		}
		minutes := latest + 1
		if m := clockPattern.FindStringSubmatch(t.value); m != nil {
			hour, _ := strconv.Atoi(m[1]) // two digits, says the pattern
			minute, _ := strconv.Atoi(m[2])
			minutes = 60*hour + minute
		}
		if minutes > latest {
			d.wrong(n, `%q: want a time of the day like "09:00"`, clip(t.value))
			return
		}
		*into = minutes
	}
}

// approve returns the steps of a vote.
func (d *decoder) approve(n *yaml.Node) ([]grant.Step, bool) {
	var ordered bool
	var all, any *yaml.Node
	d.object(n, fields{
		"ordered": d.boolean(&ordered),
		"all_of":  func(n *yaml.Node) { all = n },
		"any_of":  func(n *yaml.Node) { any = n },
	})
	var steps []grant.Step
	switch {
	case n.Kind != yaml.MappingNode:
	case (all == nil) == (any == nil):
		d.wrong(n, "approve has one of all_of and any_of")
	case any != nil && ordered:
		d.wrong(n, "ordered has no meaning with any_of")
	case any != nil:
		steps = []grant.Step{{AnyOf: d.quorums(any)}}
	default:
		d.list(all, grant.MaxSteps, func(n *yaml.Node) { steps = append(steps, d.step(n)) })
	}
	if len(d.problems.list) == 0 {
		if err := grant.CheckSteps(steps); err != nil {
			d.wrong(n, "%s", strings.TrimPrefix(err.Error(), grant.ErrAction.Error()+": "))
		}
	}
	return steps, ordered
}

// step is an element of all_of: one quorum, or several of which one is enough.
func (d *decoder) step(n *yaml.Node) grant.Step {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "any_of" {
				var step grant.Step
				d.object(n, fields{"any_of": func(n *yaml.Node) { step.AnyOf = d.quorums(n) }})
				return step
			}
		}
	}
	return grant.Step{AnyOf: []grant.Quorum{d.quorum(n)}}
}

func (d *decoder) quorums(n *yaml.Node) []grant.Quorum {
	var all []grant.Quorum
	d.list(n, grant.MaxChoices, func(n *yaml.Node) { all = append(all, d.quorum(n)) })
	return all
}

func (d *decoder) quorum(n *yaml.Node) grant.Quorum {
	count := 1
	var one text
	var several []text
	d.object(n, fields{
		"group":  d.matching(&one, isGroup, wantGroup),
		"groups": d.groups(&several),
		"count":  d.integer(&count, 1, grant.MaxQuorum),
	})
	if n.Kind == yaml.MappingNode && (one.value == "") == (len(several) == 0) {
		d.wrong(n, "an approval is by one of group and groups")
	}
	if one.value != "" {
		several = []text{one}
	}
	return grant.Quorum{Groups: values(several), Count: count}
}

// indentation is the number of spaces before the text of a line, from 1.
func (d *decoder) indentation(line int) int {
	rest := d.text
	for range line - 1 {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	return len(rest) - len(bytes.TrimLeft(rest, " "))
}
