package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// question is the command line of explain.
type question struct {
	as, owner           string
	groups, ownerGroups names
	tags                names
	pools, open         pools
	duration, total     length
	extension           bool
	at, start           moment
	reason              string
	inputs              assignments
	breakGlass, json    bool
}

func (t terminal) explain(ctx context.Context, args []string) error {
	q := question{inputs: assignments{}}
	flags := t.options("explain", "--as SUBJECT --pool ENVIRONMENT/POOL [options] FILE...")
	q.register(flags)
	files, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		flags.Usage()
		return fmt.Errorf("%w: name a file or a folder", errUsage)
	}
	request, err := q.request(t.now())
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	compiled, err := load(files...)
	if err != nil {
		return err
	}
	t.warn(compiled)
	decision, findings := compiled.Explain(ctx, request)
	if q.json {
		return writeJSON(t.out, explanationOf(request, decision, findings))
	}
	return writeExplanation(t.out, request, decision, findings)
}

func (q *question) register(flags *flag.FlagSet) {
	flags.StringVar(&q.as, "as", "", "who asks: `alice@example.com`, service:deploy-bot or agent:triage")
	flags.Var(&q.groups, "groups", "the `groups` of who asks, between commas")
	flags.StringVar(&q.owner, "owner", "", "the `person` that an agent works for")
	flags.Var(&q.ownerGroups, "owner-groups", "the owner's `groups`; not given: they are not known")
	flags.Var(&q.pools, "pool", "what is asked for, `environment/pool`")
	flags.Var(&q.tags, "tags", "the pool's `tags`, between commas")
	flags.Var(&q.duration, "for", "for how `long`, such as 90m; the rule's default if not given")
	flags.Var(&q.total, "total", "how `long` it would be open in all, of an extension; as --for if not given")
	flags.BoolVar(&q.extension, "extension", false, "a grant is to be made longer")
	flags.Var(&q.at, "at", "the `time` of asking, as in 2026-03-02T10:00:00+01:00; now if not given")
	flags.Var(&q.start, "start", "the `time` at which it is to begin; at once if not given")
	flags.StringVar(&q.reason, "reason", "", "the requester's reason")
	flags.Var(q.inputs, "input", "an answer that policy asks for, `name=value`; may be given more than once")
	flags.BoolVar(&q.breakGlass, "break-glass", false, "ask past the approvals, in an emergency")
	flags.Var(&q.open, "open", "another `environment/pool` that is open to who asks; may be given more than once")
	flags.BoolVar(&q.json, "json", false, "print JSON")
}

// request checks the command line as the gateway checks a call: policy is asked about canonical names only.
func (q *question) request(now time.Time) (policy.Request, error) {
	subject, err := grant.ParseSubject(q.as)
	if err != nil {
		return policy.Request{}, fmt.Errorf("--as: %w", err)
	}
	if len(q.pools) != 1 {
		return policy.Request{}, fmt.Errorf("--pool: name one pool")
	}
	r := policy.Request{
		Subject: subject, Groups: q.groups.list, Pool: q.pools[0], Tags: q.tags.list,
		Duration: q.duration.Duration, Total: q.total.Duration, Extension: q.extension, StartsAt: q.start.Time,
		At: q.at.Time, Reason: q.reason, Inputs: q.inputs, BreakGlass: q.breakGlass, Open: q.open,
	}
	if r.At.IsZero() {
		r.At = now
	}
	if subject.IsAgent() != (q.owner != "") {
		return policy.Request{}, fmt.Errorf("--owner: an agent has an owner, and nobody else has")
	}
	if q.ownerGroups.given && q.owner == "" {
		return policy.Request{}, fmt.Errorf("--owner-groups: there is no --owner")
	}
	if q.owner != "" {
		if r.Owner, err = grant.ParseSubject(q.owner); err != nil {
			return policy.Request{}, fmt.Errorf("--owner: %w", err)
		}
		if !r.Owner.IsPerson() {
			return policy.Request{}, fmt.Errorf("--owner: an owner is a person")
		}
		r.OwnerGroups = q.ownerGroups.list
	}
	return r, nil
}
