package decisions

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

type (
	condition = oracle.Condition
	facts     = oracle.Facts
)

func truth(b bool) oracle.Truth {
	if b {
		return oracle.Yes
	}
	return oracle.No
}

func certain(text string, means func(facts) bool) condition {
	return condition{Text: text, Means: func(f facts) oracle.Truth { return truth(means(f)) }}
}

func berlin(t time.Time) time.Time {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return t.In(zone)
}

// conditions are the expressions of the grammar, each with what it means.
var conditions = []condition{
	certain(`request.duration <= duration("900s")`, func(f facts) bool { return f.Duration <= 15*time.Minute }),
	certain(`request.total <= duration("2h")`, func(f facts) bool { return f.Total <= 2*time.Hour }),
	certain(`subject.kind == "person"`, func(f facts) bool { return f.Kind == "person" }),
	certain(`subject.kind != "agent" || subject.name == "agent:triage"`, func(f facts) bool {
		return f.Kind != "agent" || f.Subject == "agent:triage"
	}),
	certain(`"sre" in subject.groups`, func(f facts) bool { return slices.Contains(f.Groups, "sre") }),
	certain(`!subject.groups.exists(g, g == "leads")`, func(f facts) bool { return !slices.Contains(f.Groups, "leads") }),
	{Text: `"eng" in owner.groups`, Means: func(f facts) oracle.Truth {
		if f.OwnerGroups == nil {
			return oracle.Unknown
		}
		return truth(slices.Contains(f.OwnerGroups, "eng"))
	}},
	certain(`has(owner.groups) && "eng" in owner.groups`, func(f facts) bool { return slices.Contains(f.OwnerGroups, "eng") }),
	{Text: `owner.name == "alice@example.com"`, Means: func(f facts) oracle.Truth {
		if f.Owner == "" {
			return oracle.Unknown
		}
		return truth(f.Owner == alice)
	}},
	certain(`"pci" in pool.tags`, func(f facts) bool { return slices.Contains(f.Tags, "pci") }),
	certain(`pool.environment != "prod" && pool.pool.startsWith("w")`, func(f facts) bool {
		return f.Environment != "prod" && strings.HasPrefix(f.Pool, "w")
	}),
	certain(`!request.extension`, func(f facts) bool { return !f.Extension }),
	certain(`request.break_glass`, func(f facts) bool { return f.BreakGlass }),
	certain(`request.reason.contains("incident")`, func(f facts) bool { return strings.Contains(f.Reason, "incident") }),
	certain(`now.getHours() >= 9`, func(f facts) bool { return f.Now.UTC().Hour() >= 9 }),
	certain(`now.getHours("Europe/Berlin") < 18`, func(f facts) bool { return berlin(f.Now).Hour() < 18 }),
	certain(`request.start.getDayOfWeek("Europe/Berlin") != 0`, func(f facts) bool {
		return berlin(f.Start).Weekday() != time.Sunday
	}),
	certain(`request.start - now <= duration("1h")`, func(f facts) bool { return f.Start.Sub(f.Now) <= time.Hour }),
	{Text: `inputs.ticket == "INC1"`, Means: func(f facts) oracle.Truth {
		ticket, given := f.Inputs["ticket"]
		if !given {
			return oracle.Unknown
		}
		return truth(ticket == "INC1")
	}},
	certain(`!("ticket" in inputs) || inputs.ticket.matches("^(INC|CHG)[0-9]+$")`, func(f facts) bool {
		ticket, given := f.Inputs["ticket"]
		if !given {
			return true
		}
		digits := strings.TrimPrefix(strings.TrimPrefix(ticket, "INC"), "CHG")
		return len(digits) == len(ticket)-3 && digits != "" && strings.Trim(digits, "0123456789") == ""
	}),
}

// drawConditions draws up to most of them. Those of a rule that denies read no inputs: of which rule they would be is
// nothing that a policy should rest on.
func drawConditions(t *rapid.T, most int, inputs bool) []condition {
	var all []condition
	for range below(t, "conditions", most+1) {
		c := pick(t, "condition", conditions...)
		if inputs || !strings.Contains(c.Text, "inputs") {
			all = append(all, condition{Text: c.Text, Means: c.Means})
		}
	}
	return all
}
