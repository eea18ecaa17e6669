package decisions

import (
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// object is a mapping of a document.
type object map[string]any

func list[T any](of []T, write func(T) object) []object {
	var all []object
	for _, one := range of {
		all = append(all, write(one))
	}
	return all
}

// put leaves out what is empty.
func (o object) put(name string, values []string) {
	if len(values) > 0 {
		o[name] = values
	}
}

func writeRule(r oracle.Rule) object {
	o := object{"name": r.Name, "description": "Rule " + r.Name + " says so"}
	match := object{}
	match.put("pools", r.Pools)
	match.put("environments", r.Environments)
	match.put("tags", r.Tags)
	o["match"] = match
	if !r.Everybody {
		who := object{}
		who.put("groups", r.Groups)
		who.put("users", r.Users)
		who.put("services", r.Services)
		who.put("agents", r.Agents)
		o["who"] = who
	}
	if len(r.When) > 0 {
		o["when"] = list(r.When, writeCondition)
	}
	if r.Deny {
		o["effect"] = "deny"
		return o
	}
	o["limits"] = writeLimits(r)
	if len(r.Inputs) > 0 {
		o["require"] = list(r.Inputs, writeInput)
	}
	if len(r.Steps) > 0 {
		o["approve"] = writeVote(r)
	}
	if len(r.Auto) > 0 {
		o["auto_approve"] = list(r.Auto, writeCondition)
	}
	if b := r.BreakGlass; b != nil {
		o["break_glass"] = object{
			"groups": b.Groups, "max_duration": b.MaxDuration.String(), "notify": b.Notify,
			"review": object{"groups": b.ReviewGroups, "within": b.ReviewWithin.String()},
		}
	}
	return o
}

func writeCondition(c oracle.Condition) object {
	return object{"condition": c.Text, "message": "You must fit"}
}

func writeLimits(r oracle.Rule) object {
	o := object{"max_duration": r.MaxDuration.String(), "default_duration": r.DefaultDuration.String()}
	if r.MaxTotal != 0 {
		o["max_total"] = r.MaxTotal.String()
	}
	if r.MaxConcurrent != 0 {
		o["max_concurrent"] = r.MaxConcurrent
	}
	if r.PendingFor != 24*time.Hour { // the default
		o["pending_for"] = r.PendingFor.String()
	}
	if r.StartWithin != 168*time.Hour {
		o["start_within"] = r.StartWithin.String()
	}
	if len(r.Hours) > 0 {
		o["hours"] = list(r.Hours, writeHours)
	}
	return o
}

func writeHours(h oracle.Hours) object {
	clock := func(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
	o := object{"from": clock(h.From), "to": clock(h.To)}
	if h.Zone != "Europe/Berlin" { // that of the document
		o["time_zone"] = h.Zone
	}
	if len(h.Days) < 7 {
		var days []string
		for _, d := range h.Days {
			days = append(days, strings.ToLower(d.String()[:3]))
		}
		o["days"] = days
	}
	return o
}

func writeInput(in oracle.Input) object {
	o := object{"name": in.Name, "title": "The " + in.Name}
	if in.Optional {
		o["optional"] = true
	}
	o.put("choices", in.Choices)
	if in.Condition != nil {
		o["condition"], o["message"] = in.Condition.Text, "You must give one that fits"
	}
	return o
}

// writeVote writes one step with several quorums as any_of, and everything else as all_of.
func writeVote(r oracle.Rule) object {
	if len(r.Steps) == 1 && len(r.Steps[0].AnyOf) > 1 {
		return object{"any_of": list(r.Steps[0].AnyOf, writeQuorum)}
	}
	o := object{"all_of": list(r.Steps, func(s oracle.Step) object {
		if len(s.AnyOf) == 1 {
			return writeQuorum(s.AnyOf[0])
		}
		return object{"any_of": list(s.AnyOf, writeQuorum)}
	})}
	if r.Ordered {
		o["ordered"] = true
	}
	return o
}

func writeQuorum(q oracle.Quorum) object {
	o := object{"groups": q.Groups}
	if len(q.Groups) == 1 {
		o = object{"group": q.Groups[0]}
	}
	if q.Count > 1 {
		o["count"] = q.Count
	}
	return o
}
