package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The words of a decision, as a test in a document has them.
const (
	wordAllow    = "allow"
	wordApproval = "approval"
	wordDeny     = "deny"
)

func word(d policy.Decision) string {
	switch {
	case !d.Allowed:
		return wordDeny
	case len(d.Steps) > 0:
		return wordApproval
	default:
		return wordAllow
	}
}

// writeExplanation is for people: the decision first, then what each rule said.
func writeExplanation(out io.Writer, r policy.Request, d policy.Decision, findings []policy.Finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("decision", "%s", word(d))
	row("explanation", "%s", plain(d.Explanation))
	if d.Rule != "" {
		row("rule", "%s", d.Rule)
	}
	row("policy", "%s", label(d.Policy, d.Hash))
	row("asked", "%s", asked(r))
	if d.Allowed {
		row("duration", "%s (default %s, at most %s)", span(d.Duration), span(d.DefaultDuration), span(d.MaxDuration))
		writeSteps(row, d)
	}
	for _, input := range d.Inputs {
		row("input", "%s", describeInput(input))
	}
	if d.BreakGlass {
		row("emergency", "%s are told; %s review it within %s of its end", strings.Join(d.Notify, ", "), strings.Join(d.ReviewGroups, ", "), span(d.ReviewWithin))
	} else if d.MayBreakGlass && !r.BreakGlass {
		row("emergency", "this subject could ask past the approvals, with --break-glass")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return writeFindings(out, findings)
}

func writeSteps(row func(name, format string, args ...any), d policy.Decision) {
	for i, step := range d.Steps {
		order := ""
		if d.Ordered && i > 0 {
			order = ", after the step before"
		}
		row(fmt.Sprintf("step %d", i+1), "%s%s", describeStep(step), order)
	}
	if len(d.Steps) > 0 {
		row("waits", "%s at most", span(d.PendingFor))
	}
}

func writeFindings(out io.Writer, findings []policy.Finding) error {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tEFFECT\tOUTCOME\tWHERE\tWHY")
	for _, f := range findings {
		effect := "allow"
		if f.Deny {
			effect = "deny"
		}
		reasons := f.Reasons
		if len(reasons) == 0 {
			reasons = []string{"-"}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Rule, effect, f.Outcome, f.File, plain(reasons[0]))
		for _, reason := range reasons[1:] {
			fmt.Fprintf(w, "\t\t\t\t%s\n", plain(reason))
		}
	}
	return w.Flush()
}

// label names a policy; one of many documents has a name that is longer than a line.
func label(name, hash string) string {
	const most = 60
	if len(name) > most {
		name = name[:most] + "..."
	}
	return fmt.Sprintf("%.12s %s", hash, name)
}

func asked(r policy.Request) string {
	s := fmt.Sprintf("%s for %s", r.Subject, r.Pool)
	if r.Owner != "" {
		s += fmt.Sprintf(", owner %s", r.Owner)
	}
	s += ", at " + r.At.Format(time.RFC3339)
	if !r.StartsAt.IsZero() {
		s += ", to begin " + r.StartsAt.Format(time.RFC3339)
	}
	return s
}

func describeStep(s grant.Step) string {
	var quorums []string
	for _, q := range s.AnyOf {
		quorums = append(quorums, fmt.Sprintf("%d of %s", q.Count, strings.Join(q.Groups, ", ")))
	}
	return strings.Join(quorums, "; or ")
}

func describeInput(i policy.Input) string {
	s := i.Name
	if i.Optional {
		s += " (optional)"
	}
	if len(i.Choices) > 0 {
		s += ", one of " + strings.Join(i.Choices, ", ")
	}
	if i.Title != "" {
		s += ": " + i.Title
	}
	return plain(s)
}

// explanation is what explain prints as JSON. Durations are seconds.
type explanation struct {
	Decision       string         `json:"decision"` // allow, approval or deny
	Explanation    string         `json:"explanation"`
	Rule           string         `json:"rule,omitempty"`
	Policy         string         `json:"policy"`
	Hash           string         `json:"hash"`
	At             time.Time      `json:"at"`
	Seconds        int64          `json:"seconds,omitempty"`
	DefaultSeconds int64          `json:"default_seconds,omitempty"`
	MaxSeconds     int64          `json:"max_seconds,omitempty"`
	Steps          []step         `json:"steps,omitempty"`
	Ordered        bool           `json:"ordered,omitempty"`
	PendingSeconds int64          `json:"pending_seconds,omitempty"`
	Inputs         []input        `json:"inputs,omitempty"`
	BreakGlass     bool           `json:"break_glass,omitempty"`
	Notify         []string       `json:"notify,omitempty"`
	ReviewGroups   []string       `json:"review_groups,omitempty"`
	ReviewSeconds  int64          `json:"review_seconds,omitempty"`
	MayBreakGlass  bool           `json:"may_break_glass,omitempty"`
	TimedOut       bool           `json:"timed_out,omitempty"`
	Rules          []ruleFindings `json:"rules"`
}

type step struct {
	AnyOf []quorum `json:"any_of"`
}

type quorum struct {
	Groups []string `json:"groups"`
	Count  int      `json:"count"`
}

type input struct {
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Choices     []string `json:"choices,omitempty"`
	Optional    bool     `json:"optional,omitempty"`
	Message     string   `json:"message,omitempty"`
}

type ruleFindings struct {
	Rule    string   `json:"rule"`
	Where   string   `json:"where"`
	Effect  string   `json:"effect"`
	Outcome string   `json:"outcome"`
	Reasons []string `json:"reasons,omitempty"`
}

func explanationOf(r policy.Request, d policy.Decision, findings []policy.Finding) explanation {
	e := explanation{
		Decision: word(d), Explanation: d.Explanation, Rule: d.Rule, Policy: d.Policy, Hash: d.Hash, At: r.At,
		Seconds: seconds(d.Duration), DefaultSeconds: seconds(d.DefaultDuration), MaxSeconds: seconds(d.MaxDuration),
		Steps: stepsOf(d.Steps), Ordered: d.Ordered, PendingSeconds: seconds(d.PendingFor), BreakGlass: d.BreakGlass,
		Notify: d.Notify, ReviewGroups: d.ReviewGroups, ReviewSeconds: seconds(d.ReviewWithin),
		MayBreakGlass: d.MayBreakGlass, TimedOut: d.TimedOut, Rules: []ruleFindings{},
	}
	for _, i := range d.Inputs {
		e.Inputs = append(e.Inputs, input(i))
	}
	for _, f := range findings {
		effect := "allow"
		if f.Deny {
			effect = "deny"
		}
		e.Rules = append(e.Rules, ruleFindings{Rule: f.Rule, Where: f.File, Effect: effect, Outcome: string(f.Outcome), Reasons: f.Reasons})
	}
	return e
}

func stepsOf(steps []grant.Step) []step {
	var all []step
	for _, s := range steps {
		var one step
		for _, q := range s.AnyOf {
			one.AnyOf = append(one.AnyOf, quorum{Groups: q.Groups, Count: q.Count})
		}
		all = append(all, one)
	}
	return all
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// writeJSON writes one indented value.
func writeJSON(out io.Writer, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = out.Write(append(raw, '\n'))
	return err
}
