package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

// judgement asks of each grant whether it stands before and after a change.
type judgement struct {
	before, after *policy.Policy
	facts         *known
	logins        loginReader // nil if there is no store
	at            time.Time
	found         judged
	pools         []grant.Pool // of the grants
}

// judge reads the grants where the command line says that they are.
func (t terminal) judge(ctx context.Context, s scope, config *gatewayconfig.Config, j *judgement) error {
	j.found.Ends = []ending{}
	switch s.grants {
	case "":
		return j.stored(ctx, config)
	case "-":
		return j.lines(ctx, "standard input", t.in)
	default:
		return j.file(ctx, s.grants)
	}
}

func (j *judgement) file(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	return errors.Join(j.lines(ctx, path, f), f.Close())
}

// maxLine is more than any grant takes: its texts are bounded where they are written.
const maxLine = 1 << 20

func (j *judgement) lines(ctx context.Context, name string, in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	n := 0
	for scanner.Scan() {
		n++
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		g, err := decode(scanner.Bytes())
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := j.grant(ctx, g); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%s:%d: read grants: %w", name, n+1, err)
	}
	return nil
}

// decode checks what a store has checked: a file is anybody's, and a name that is not canonical is no grant's.
func decode(line []byte) (grant.Grant, error) {
	g, err := store.DecodeGrant(line)
	if err != nil {
		return g, err
	}
	if _, err := grant.ParseSubject(string(g.Subject)); err != nil {
		return g, fmt.Errorf("subject: %w", err)
	}
	if _, err := grant.NewPool(g.Pool.Environment, g.Pool.Name); err != nil {
		return g, fmt.Errorf("pool: %w", err)
	}
	switch g.State {
	case grant.Pending, grant.Approved, grant.Active:
	default:
		if !g.State.Final() {
			return g, fmt.Errorf("state: there is no %q", clip(string(g.State)))
		}
	}
	return g, nil
}

// clip shortens what an error repeats of a file.
func clip(s string) string { return fmt.Sprintf("%.32s", s) }

// grant judges one; what has ended stays as it is.
func (j *judgement) grant(ctx context.Context, g grant.Grant) error {
	if g.State.Final() {
		return nil
	}
	facts, err := j.of(ctx, g)
	if err != nil {
		return err
	}
	j.found.Judged++
	if !slices.Contains(j.pools, g.Pool) {
		j.pools = append(j.pools, g.Pool)
	}
	before, after := policy.Judge(ctx, j.before, g, facts), policy.Judge(ctx, j.after, g, facts)
	switch {
	case before.Undecided || after.Undecided:
		j.found.Undecided++
	case !before.Stands && !after.Stands:
		j.found.Neither++
	case !after.Stands:
		j.found.Ends = append(j.found.Ends, endingOf(g, after))
	}
	return nil
}

func endingOf(g grant.Grant, v policy.Verdict) ending {
	e := ending{
		ID: g.ID, Subject: string(g.Subject), Pool: g.Pool.String(), State: string(g.State),
		Cause: string(v.Cause), Explanation: v.Explanation,
	}
	if !g.ExpiresAt.IsZero() {
		e.ExpiresAt = &g.ExpiresAt
	}
	return e
}

// of are the facts of a grant as the gateway has them: an agent has no groups, and those in its grant are its owner's.
func (j *judgement) of(ctx context.Context, g grant.Grant) (policy.Facts, error) {
	f := policy.Facts{Groups: g.Groups, Tags: j.facts.tags[g.Pool], At: j.at}
	who := g.Subject
	if g.Owner != "" {
		who, f.Groups = g.Owner, nil
		if !g.GroupsAt.IsZero() {
			f.OwnerGroups = nonNil(g.Groups)
		}
	}
	groups, known, err := j.newest(ctx, who, g.GroupsAt)
	switch {
	case err != nil:
		return f, err
	case known && g.Owner != "":
		f.OwnerGroups = nonNil(groups)
	case known:
		f.Groups = groups
	}
	return f, nil
}

// newest are somebody's groups: as the command line says, else those of a login that is not older than the grant's.
func (j *judgement) newest(ctx context.Context, who grant.Subject, since time.Time) ([]string, bool, error) {
	if groups, given := j.facts.groups[who]; given {
		return groups, true, nil
	}
	if j.logins == nil || !who.IsPerson() {
		return nil, false, nil
	}
	login, err := j.logins.Login(ctx, who)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read groups: %w", err)
	}
	return login.Groups, !login.At.Before(since), nil
}

// nonNil tells "in no group" from "not known".
func nonNil(groups []string) []string {
	if groups == nil {
		return []string{}
	}
	return groups
}
