package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

// scope is the command line of impact: what the change is looked at for.
type scope struct {
	grants, config    string
	pools             pools
	tags, known       assignments
	at                moment
	json, failOnOpens bool
}

func (t terminal) impact(ctx context.Context, args []string) error {
	s := scope{tags: assignments{}, known: assignments{}}
	flags := t.options("impact", "[options] OLD NEW")
	s.register(flags)
	files, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(files) != 2 {
		flags.Usage()
		return fmt.Errorf("%w: name two files or folders, OLD and NEW", errUsage)
	}
	if s.at.IsZero() {
		s.at.Time = t.now()
	}
	result, err := t.compare(ctx, s, files[0], files[1])
	if err != nil {
		return err
	}
	write := result.write
	if s.json {
		write = result.writeJSON
	}
	if err := write(t.out); err != nil {
		return err
	}
	if result.Old.FailedTests+result.New.FailedTests > 0 {
		return errTests
	}
	if s.failOnOpens && result.Opens {
		return errOpens
	}
	return nil
}

func (s *scope) register(flags *flag.FlagSet) {
	flags.StringVar(&s.grants, "grants", "", "judge the grants of this `file`, one a line in the store's form; - is standard input")
	flags.StringVar(&s.config, "c", "", "the gateway's configuration `file`: its pools, their tags, and, without --grants, the grants in its store")
	flags.Var(&s.pools, "pool", "compare `environment/pool`, several between commas, in place of the configuration's pools")
	flags.Var(s.tags, "tags", "the tags of a pool, `environment/pool=pci,internal`; may be given more than once")
	flags.Var(s.known, "groups-of", "somebody's groups now, `alice@example.com=a,b`, in place of those in the grant; may be given more than once")
	flags.Var(&s.at, "at", "look at it as of this `time`, as in 2026-03-02T10:00:00+01:00; now if not given")
	flags.BoolVar(&s.json, "json", false, "print JSON")
	flags.BoolVar(&s.failOnOpens, "fail-on-opens", false, "exit with 3 if the change opens anything")
}

func (t terminal) compare(ctx context.Context, s scope, oldPath, newPath string) (*result, error) {
	facts, err := s.facts()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	before, err := load(oldPath)
	if err != nil {
		return nil, err
	}
	after, err := load(newPath)
	if err != nil {
		return nil, err
	}
	t.warn(before)
	t.warn(after)
	var config *gatewayconfig.Config
	if s.config != "" {
		read, err := gatewayconfig.Read(s.config)
		if err != nil {
			return nil, err
		}
		config = &read
		facts.configured(read.Fleet)
	}
	r := &result{Old: versionOf(before), New: versionOf(after)}
	j := &judgement{before: before.Policy, after: after.Policy, facts: facts, at: s.at.Time}
	if s.grants != "" || config != nil {
		if err := t.judge(ctx, s, config, j); err != nil {
			return nil, err
		}
		r.Grants = &j.found
	}
	mentioned, err := outlineOf(slices.Concat(before.sources, after.sources))
	if err != nil {
		return nil, err
	}
	plan := newPlan(mentioned, facts, s.pools, s.at.Time)
	if mentioned.tags {
		plan.noteUntagged(facts, j.pools)
	}
	if err := plan.compare(ctx, before.Policy, after.Policy, r); err != nil {
		return nil, err
	}
	return r, nil
}

// version names a policy.
type version struct {
	Policy string `json:"policy"`
	Hash   string `json:"hash"`
	// FailedTests counts the tests of its documents that fail: no gateway takes it then.
	FailedTests int `json:"failed_tests,omitempty"`
}

func versionOf(p tried) version {
	name, hash := p.Version()
	return version{name, hash, len(p.failed)}
}

// result is what impact prints.
type result struct {
	Old       version   `json:"old"`
	New       version   `json:"new"`
	Grants    *judged   `json:"grants,omitempty"` // absent if there were none to look at
	Pools     []string  `json:"pools"`
	Questions int       `json:"questions"` // how many were put to each of the two
	Notes     []string  `json:"notes,omitempty"`
	Changes   []*change `json:"changes"`
	Opens     bool      `json:"opens"` // one of the changes opens something

	told map[[3]string][]*change // by kind, pool and kind of asker
}

// judged is what becomes of the grants.
type judged struct {
	Judged int `json:"judged"` // pending, approved or active
	// Ends are those that stand under OLD and not under NEW.
	Ends []ending `json:"ends"`
	// Neither counts those that do not stand under OLD either: not this change ends them.
	Neither int `json:"stand_under_neither"`
	// Undecided counts those of which one of the two could not say in time.
	Undecided int `json:"undecided"`
}

// ending is a grant that the change would end.
type ending struct {
	ID          string     `json:"id"`
	Subject     string     `json:"subject"`
	Pool        string     `json:"pool"`
	State       string     `json:"state"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	Cause       string     `json:"cause"`
	Explanation string     `json:"explanation"`
}
