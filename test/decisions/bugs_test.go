package decisions

const (
	fileVote     = "backend/grant/vote.go"
	fileAdvance  = "backend/grant/advance.go"
	fileBallot   = "backend/grant/ballot.go"
	fileMatching = "backend/grant/matching.go"
	fileEvaluate = "backend/policy/evaluate.go"
	fileLack     = "backend/policy/lack.go"
	fileDecide   = "backend/access/decide.go"
)

// bugs are faults of which each would let somebody in, or keep somebody in, or lose what was decided.
var bugs = []bug{
	{name: "self-approval", quick: true, edits: []edit{
		{fileVote, "if a.Actor == g.Subject || a.Actor == g.Owner {", "if a.Actor == g.Owner {"},
		{fileDecide, "case c.Subject == g.Subject || c.Subject == g.Owner ||", "case c.Subject == g.Owner ||"},
	}},
	{name: "approval by the owner of the agent", edits: []edit{
		{fileVote, "if a.Actor == g.Subject || a.Actor == g.Owner {", "if a.Actor == g.Subject {"},
		{fileDecide, "case c.Subject == g.Subject || c.Subject == g.Owner ||", "case c.Subject == g.Subject ||"},
	}},
	{name: "a name in another letter case", quick: true, edits: []edit{
		{"backend/grant/subject.go", "personPattern  = regexp.MustCompile(`\\A", "personPattern  = regexp.MustCompile(`(?i)\\A"},
	}},
	{name: "a name with a dot at its end", edits: []edit{
		{"backend/grant/subject.go", "(` + inner + `)?\\z`)", "(` + inner + `)?\\.?\\z`)"},
	}},
	{name: "an agent has its owner's groups", edits: []edit{
		{"backend/access/caller.go", "c.OwnerGroups, c.GroupsAt, c.GroupsSource =", "c.Groups = m.Groups; c.OwnerGroups, c.GroupsAt, c.GroupsSource ="},
	}},
	{name: "an approver of another step's group counts", edits: []edit{
		{fileBallot, "return slices.ContainsFunc(q.Groups, func(g string) bool { return slices.Contains(groups, g) })", "return len(groups) > 0"},
	}},
	{name: "an approver in no group of the vote", edits: []edit{
		{fileDecide, "return member(c.Groups, groups)", "return len(groups) > 0"},
		{fileBallot, "return slices.ContainsFunc(q.Groups, func(g string) bool { return slices.Contains(groups, g) })", "return true"},
	}},
	{name: "AND read as OR", quick: true, edits: []edit{
		{fileMatching, "return people <= len(approvals) && seated(quorums, approvals) == people", "return seated(quorums, approvals) > 0"},
	}},
	{name: "all of a vote's counts are one", edits: []edit{
		{fileMatching, "people += q.Count", "people++"},
	}},
	{name: "the order of steps is ignored", edits: []edit{
		{fileBallot, "	if b.Ordered {\n		at := b.current()\n		return", "	if at := b.current(); false {\n		return"},
	}},
	{name: "the same person approves twice", edits: []edit{
		{fileVote, "func(old Approval) bool { return old.By == a.Actor }) {\n		return fmt.Errorf(\"%w: you have approved", "func(old Approval) bool { return false }) {\n		return fmt.Errorf(\"%w: you have approved"},
	}},
	{name: "expiry counts from the request", quick: true, edits: []edit{
		{fileAdvance, "	return at.Add(g.Duration).Truncate(time.Second)", "	if g.StartsAt.IsZero() {\n		at = g.RequestedAt\n	}\n	return at.Add(g.Duration).Truncate(time.Second)"},
	}},
	{name: "a window opens before its time", edits: []edit{
		{fileAdvance, "if at.Before(g.StartsAt) {", "if false {"},
		{"backend/access/request.go", "now.Before(g.StartsAt)", "false"},
	}},
	{name: "a grant is active for a second more than asked", edits: []edit{
		{fileAdvance, "Truncate(time.Second)\n}", "Truncate(time.Second).Add(time.Second)\n}"},
	}},
	{name: "what has lapsed can still be approved", edits: []edit{
		{fileVote, "if !at.Before(g.waitsUntil()) || ", "if "},
	}},
	{name: "an extension counts from now", edits: []edit{
		{"backend/grant/extend.go", "g.ExpiresAt.Add(e.By), g.Duration+e.By", "at.Truncate(time.Second).Add(e.By), g.Duration+e.By"},
	}},
	{name: "an extension after the end: a gap", edits: []edit{
		{"backend/grant/extend.go", "if !at.Before(g.ExpiresAt) {", "if false {"},
		{"backend/access/extend.go", "if !g.Live(s.Now()) {", "if g.State != grant.Active {"},
	}},
	{name: "approvals of the request count for the extension", edits: []edit{
		{fileAdvance, "g.Extension.Approvals, g.Extension.RequestedAt = nil, at", "g.Extension.Approvals, g.Extension.RequestedAt = g.Approvals, at"},
	}},
	{name: "an extension is not judged by its total", edits: []edit{
		{fileEvaluate, "return max(e.r.Total, duration)", "return duration"},
	}},
	{name: "a withdrawn approval stays", edits: []edit{
		{fileVote, "if a.By != who && (!b.Ordered || b.Takes(a.Groups)) {", "if b.Takes(a.Groups) {"},
	}},
	{name: "deny does not win", edits: []edit{
		{fileEvaluate, "e.deny(ctx, rule); denier != nil {", "e.deny(ctx, rule); denier != nil && chosen == nil {"},
	}},
	{name: "a rule that denies and cannot be checked does not", edits: []edit{
		{fileEvaluate, "case failed:\n			why = untold(", "case failed:\n			return false, untold("},
	}},
	{name: "a condition that cannot be checked is met", edits: []edit{
		{fileLack, "case yes:\n		case no:\n			found = append(found, lack{sentence: c.message})", "case yes, failed:\n		case no:\n			found = append(found, lack{sentence: c.message})"},
	}},
	{name: "any of the conditions of auto_approve is enough", edits: []edit{
		{fileEvaluate, "		case yes:\n		case no:\n			e.note(r, Allows,", "		case yes:\n			return true, message\n		case no:\n			e.note(r, Allows,"},
	}},
	{name: "one grant more than max_concurrent", edits: []edit{
		{fileLack, "if open < most {", "if open <= most {"},
	}},
	{name: "hours are not looked at for a window", edits: []edit{
		{fileLack, "return h.covers(begins)", "return h.covers(e.r.At)"},
	}},
	{name: "hours over midnight belong to the next day", edits: []edit{
		{"backend/policy/hours.go", "yesterday := (day + 6) % 7", "yesterday := day"},
	}},
	{name: "a star crosses the slash", edits: []edit{
		{"backend/policy/glob.go", "return g.environment.match(p.Environment) && g.name.match(p.Name)", "return g.environment.match(p.Environment) || g.name.match(p.Name)"},
	}},
	{name: "break-glass for everybody whom the rule is for", edits: []edit{
		{fileLack, "if !r.emergency.has(e.r.Subject, e.groups) {", "if false {"},
	}},
	{name: "break-glass for as long as other access", edits: []edit{
		{fileLack, "longest = r.Emergency.MaxDuration", "_ = longest"},
	}},
	{name: "an emergency is reviewed while it is open", edits: []edit{
		{"backend/grant/vote.go", "if g.Live(at) {", "if false && g.Live(at) {"},
	}},
	{name: "one's own emergency is reviewed by oneself", edits: []edit{
		{fileVote, "case a.Actor == g.Subject, a.Actor == g.Owner:", "case false:"},
	}},
	{name: "groups of yesterday approve", edits: []edit{
		{"backend/access/caller.go", "age > s.GroupsMaxAge ||", "age > 100*s.GroupsMaxAge ||"},
	}},
	{name: "an old token brings lost groups back", edits: []edit{
		{"backend/access/directory.go", "(at.Before(known.At) || at.Equal", "(at.Equal"},
		{"backend/store/sqlstore/login.go", "WHERE excluded.at > known.at OR", "WHERE excluded.at <> known.at OR"},
	}},
	{name: "policy is not asked again before it opens", edits: []edit{
		{fileDecide, "d := s.Policy.Evaluate(ctx, r)", "_, d := r, policy.Decision{Allowed: true, Steps: g.Ballot().Steps, Ordered: g.Ballot().Ordered}"},
	}},
	{name: "lost update: the etag is not looked at", edits: []edit{
		{fileDecide, "	if d.Etag != etag(r.Grant) {\n		return store.Record{}, changed(r.Grant)\n	}\n	if do", "	if do"},
	}},
	{name: "lost update: the store takes any version", test: racing, edits: []edit{
		{"backend/store/batch/ledger.go", "if g.Version != old.Version+1 || e.From != old.State {", "if false {"},
	}},
	{name: "what was decided on has changed", test: racing, edits: []edit{
		{"backend/store/batch/ledger.go", "s != nil && l.known.Last[s.Subject] > s.Revision {", "s != nil && false {"},
	}},
	{name: "replayed approval: the same call is carried out again", edits: []edit{
		{"backend/access/idempotency.go", "return r, true, nil", "return none, false, nil"},
		{"backend/store/batch/ledger.go", "if l.known.Replays[keyOf(*r)] {", "if false {"},
	}},
	{name: "a key stands for another call", edits: []edit{
		{"backend/access/idempotency.go", "case r.Body != c.body:", "case false:"},
	}},
	{name: "two live grants of one subject and pool", edits: []edit{
		{"backend/store/batch/ledger.go", "case taken && other != g.ID:", "case false:"},
		{"backend/access/request.go", "case !over(r.Grant, s.Now()):", "case false:"},
	}},
	{name: "the same is waited for twice", edits: []edit{
		{"backend/access/request.go", "if g.Pool == p {", "if false {"},
	}},
	{name: "a lock does not stop what opens", edits: []edit{
		{"backend/grant/transition.go", "case Request, Approve, Complete, Activate, AskExtension, Extend:", "case Approve, Complete, Activate, AskExtension, Extend:"},
	}},
	{name: "a lock of the owner leaves the agent", edits: []edit{
		{"backend/grant/lock.go", "l.Subject == subject || l.Subject == owner)", "l.Subject == subject)"},
	}},
	{name: "a lock leaves what is open", edits: []edit{
		{"backend/access/lock.go", "done, failed, _ := s.endAll(ctx, ends)", "done, failed, _ := s.endAll(ctx, ends[:0])"},
	}},
	{name: "the judge goes by the groups of the request", edits: []edit{
		{"backend/access/judge.go", "if known && !m.At.Before(g.GroupsAt) {", "if known && m.At.Before(g.GroupsAt) {"},
	}},
	{name: "a token for the owner of the agent", edits: []edit{
		{"backend/access/token.go", "if c.Subject != r.Grant.Subject {", "if c.Subject != r.Grant.Subject && c.Subject != r.Grant.Owner {"},
	}},
	{name: "a token after the end", edits: []edit{
		{"backend/access/token.go", "if !r.Grant.Live(now) {", "if r.Grant.State != \"active\" {"},
	}},
	{name: "anybody who sees a grant ends it", edits: []edit{
		{"backend/access/revoke.go", "case mayDecide(c, g), c.", "case s.maySee(c, g), c."},
	}},
	{name: "who reviews a pool's emergencies ends everything there", edits: []edit{
		{"backend/policy/evaluate.go", "all = append(all, grant.Ballot{Steps: r.Steps}.Groups()...)",
			"if all = append(all, grant.Ballot{Steps: r.Steps}.Groups()...); r.Emergency != nil {\n\t\t\tall = append(all, values(r.Emergency.ReviewGroups)...)\n\t\t}"},
	}},
	{name: "an approval of somebody who has left since", edits: []edit{
		{fileDecide, "case known && m.At.After(a.At) && ", "case false && known && m.At.After(a.At) && "},
	}},
	{name: "somebody who is locked decides", edits: []edit{
		{"backend/access/lock.go", "if l.Subject != \"\" && l.Covers(who, \"\", p) {", "if false && l.Covers(who, \"\", p) {"},
	}},
	{name: "what waits ends because time passes", edits: []edit{
		{"backend/policy/judge.go", "r.At, r.StartsAt = g.RequestedAt, g.StartsAt", "r.At, r.StartsAt = f.At, g.StartsAt"},
	}},
	{name: "an extension is judged by the words of the request", edits: []edit{
		{"backend/grant/extend.go", "g.Reason, g.Inputs = e.Reason, e.Inputs", "g.Inputs = e.Inputs"},
	}},
}
