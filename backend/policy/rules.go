package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Rule gives members of Groups access to Pools.
type Rule struct {
	Name string
	// Pools are full names, <environment>/<pool>; * stands for any run of characters but the slash.
	Pools           []string
	Groups          []string
	MaxDuration     time.Duration
	DefaultDuration time.Duration // zero: MaxDuration
	// ApproverGroups, if there are any, are the groups of which one member must approve.
	ApproverGroups []string
	PendingFor     time.Duration // zero: DefaultPendingFor
}

// DefaultPendingFor is how long a request waits for approval where the rule says nothing.
const DefaultPendingFor = 24 * time.Hour

// Rules is an Engine over a list of rules: the first that names the pool decides. Make one with Compile.
type Rules struct {
	rules []Rule
	hash  string
}

var (
	namePattern = regexp.MustCompile(`\A[a-z0-9._-]{1,63}\z`)
	globPattern = regexp.MustCompile(`\A[a-z0-9._*-]{1,31}/[a-z0-9._*-]{1,63}\z`)
)

// Compile checks the rules and makes an engine of them. The error joins one error for each field that is wrong.
func Compile(rules []Rule) (*Rules, error) {
	var errs []error
	names := map[string]bool{}
	for i, r := range rules {
		for _, err := range r.check() {
			errs = append(errs, fmt.Errorf("rules[%d]%w", i, err))
		}
		if names[r.Name] {
			errs = append(errs, fmt.Errorf("rules[%d].name: %q is the name of another rule", i, r.Name))
		}
		names[r.Name] = true
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	compiled := make([]Rule, len(rules))
	for i, r := range rules {
		if r.DefaultDuration == 0 {
			r.DefaultDuration = r.MaxDuration
		}
		if r.PendingFor == 0 {
			r.PendingFor = DefaultPendingFor
		}
		// Copies: what a caller does to its lists later must not change what was checked and hashed.
		r.Pools, r.Groups = slices.Clone(r.Pools), slices.Clone(r.Groups)
		r.ApproverGroups = sorted(r.ApproverGroups)
		compiled[i] = r
	}
	raw, err := json.Marshal(compiled)
	if err != nil {
		return nil, fmt.Errorf("hash rules: %w", err)
	}
	sum := sha256.Sum256(raw)
	return &Rules{rules: compiled, hash: hex.EncodeToString(sum[:])}, nil
}

func (r Rule) check() []error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("."+field+": "+format, args...))
	}
	if !namePattern.MatchString(r.Name) {
		wrong("name", "want 1 to 63 characters of a-z, 0-9, . _ -")
	}
	if len(r.Pools) == 0 {
		wrong("pools", "name at least one")
	}
	for j, p := range r.Pools {
		if !globPattern.MatchString(p) {
			wrong(fmt.Sprintf("pools[%d]", j), "want <environment>/<pool>, with * for any run of characters")
		}
	}
	if len(r.Groups) == 0 || slices.Contains(r.Groups, "") {
		wrong("groups", "name at least one, none of them empty")
	}
	if slices.Contains(r.ApproverGroups, "") {
		wrong("approver_groups", "a group's name is empty")
	}
	if r.MaxDuration < time.Second || r.MaxDuration%time.Second != 0 {
		wrong("max_duration", "want a positive number of whole seconds")
	}
	if r.DefaultDuration < 0 || r.DefaultDuration%time.Second != 0 || r.DefaultDuration > max(r.MaxDuration, 0) {
		wrong("default_duration", "want a positive number of whole seconds, at most max_duration")
	}
	if r.PendingFor < 0 {
		wrong("pending_for", "want a positive duration")
	}
	return errs
}

// Evaluate implements Engine.
func (e *Rules) Evaluate(_ context.Context, r Request) Decision {
	rule, ok := e.rule(r.Pool)
	if !ok {
		return Decision{Hash: e.hash, Explanation: "No rule of the policy gives anybody access to this pool."}
	}
	d := Decision{
		Rule: rule.Name, Hash: e.hash, Duration: r.Duration, PendingFor: rule.PendingFor,
		DefaultDuration: rule.DefaultDuration, MaxDuration: rule.MaxDuration,
	}
	if d.Duration == 0 {
		d.Duration = rule.DefaultDuration
	}
	if len(rule.ApproverGroups) > 0 {
		d.Steps = []grant.Step{{Groups: slices.Clone(rule.ApproverGroups), Count: 1}}
	}
	switch {
	case !intersect(rule.Groups, r.Groups):
		d.Explanation = fmt.Sprintf("You must be a member of %s to ask for this pool.", anyOf(rule.Groups))
	case d.Duration < time.Second:
		d.Explanation = "You must ask for at least one second."
	case d.Duration%time.Second != 0:
		d.Explanation = "You must ask for whole seconds."
	case d.Duration > rule.MaxDuration:
		d.Explanation = fmt.Sprintf("You must ask for at most %s.", rule.MaxDuration)
	case len(d.Steps) > 0:
		d.Allowed = true
		d.Explanation = fmt.Sprintf("A member of %s must approve; you cannot approve your own request.", anyOf(rule.ApproverGroups))
	default:
		d.Allowed = true
		d.Explanation = fmt.Sprintf("Members of %s have access at once, for at most %s.", anyOf(rule.Groups), rule.MaxDuration)
	}
	return d
}

// Approvers implements Engine.
func (e *Rules) Approvers(p grant.Pool) []string {
	rule, ok := e.rule(p)
	if !ok {
		return nil
	}
	return slices.Clone(rule.ApproverGroups)
}

func (e *Rules) rule(p grant.Pool) (Rule, bool) {
	for _, r := range e.rules {
		for _, glob := range r.Pools {
			// The pattern was checked in Compile, so Match cannot fail; if it did, it would not match.
			if ok, err := path.Match(glob, p.String()); err == nil && ok {
				return r, true
			}
		}
	}
	return Rule{}, false
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func anyOf(groups []string) string {
	if len(groups) == 1 {
		return groups[0]
	}
	return strings.Join(groups[:len(groups)-1], ", ") + " or " + groups[len(groups)-1]
}

func sorted(groups []string) []string {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	return slices.Compact(groups)
}
