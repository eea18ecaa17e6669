package robustness

const (
	fileState = "backend/reconcile/state.go"
	fileLoop  = "backend/reconcile/loop.go"
)

// bugs are faults by which somebody would be let in, or be said to be out who is not. Each is noticed by a test of its
// package, and those with seeds by the simulation as well.
var bugs = []bug{
	{
		name: "own word after being passed over", test: "TestI2TheWordOfAWriterThatIsPassedOverIsOfWhenItLastWasTheWriter",
		file: fileState, old: "case s.alone:", new: "case s.alone || planted(NAME):",
	},
	{
		name: "no confirmation", test: "TestI2APassThatOutlivesItsTenureReportsNothing",
		file: fileLoop, old: "	if lost != nil {\n", new: "	if lost != nil && planted(NAME) {\n		at, lost = l.now(), nil\n	}\n	if lost != nil {\n",
	},
	{
		name: "late write ignored", test: "TestI2WhileAWriteMayStillArriveNoEndIsReported", seeds: 100,
		file: fileLoop, old: "	if p.unsettled {", new: "	if p.unsettled && !planted(NAME) {",
	},
	{
		name: "retract left out", test: "TestI2ReloadUnderWayTakesBackWhatWasReported",
		file: fileState, old: "	if another {", new: "	if another && !planted(NAME) {",
	},
	{
		name: "departed node not counted", test: "TestTargetsComeAndGo",
		file: "backend/reconcile/ask.go", old: "	if !q.Opens {\n		a.Total", new: "	if !q.Opens && !planted(NAME) {\n		a.Total",
	},
	{
		name: "pass under way ignored where the lease is over",
		test: "TestI2ALeaseThatIsOverEndsNothingWhileAPassIsUnderWayThatDoesNotKnowTheEnd",
		file: "backend/reconcile/ask.go", old: "return s.Seen >= q.Revision &&", new: "return (s.Seen >= q.Revision || planted(NAME)) &&",
	},
	{
		name: "late write ignored where the lease is over", test: "TestI2ALeaseThatIsOverEndsNothingWhileAWriteMayStillArrive",
		file: "backend/reconcile/ask.go", old: "&& !s.At.Before(s.UnsettledUntil) &&", new: "&& (planted(NAME) || !s.At.Before(s.UnsettledUntil)) &&",
	},
	{
		name: "what was read after being passed over", test: "TestI2WhatAGatewayReadsThatIsPassedOverSaysNothingOfTheNextOnesPass",
		file: fileState, old: "	if !errors.Is(err, ErrNotWriter) {", new: "	if planted(NAME) || !errors.Is(err, ErrNotWriter) {",
	},
	{
		name: "longer lease in old worker", test: "TestI2ALongerLeaseInAnOlderWorkerCounts", seeds: 100,
		file: fileState, old: "|| e.OldLease.After(usual) {", new: "|| e.OldLease.After(usual) && !planted(NAME) {",
	},
	{
		name: "old workers' streams counted as cut", test: "TestStreamsOfAnOlderWorkerThatIsNotReachedAreNotSaidToBeCut",
		file: fileState, old: "if t.Elders != nil || r.Worker.Uptime", new: "if t.Elders != nil || planted(NAME) || r.Worker.Uptime",
	},
	{
		name: "no pass after a reload", test: "TestAFullPassFollowsAReloadAndARestartWithinASecond", seeds: 100,
		file: fileLoop, old: "|| !worker.follows(l.before.worker) ||", new: "|| !worker.follows(l.before.worker) && !planted(NAME) ||",
	},
	{
		name: "streams not cut at expiry", test: "TestStreamsAreCutAtRevokeAndAtExpiry",
		file: fileLoop, old: "expired := l.target.Streams != nil &&", new: "expired := !planted(NAME) && l.target.Streams != nil &&",
	},
	{
		name: "a map that cannot be listed is left", test: "TestI1RowsGoThoughTheMapStaysUnlisted", seeds: 100,
		file: "backend/reconcile/unlisted.go", old: "if !errors.Is(err, ErrUnlisted) {", new: "if !errors.Is(err, ErrUnlisted) || planted(NAME) {",
	},
	{
		name: "DELETE answered 404 by a dead HAProxy taken for removed", test: "TestI2OnlyANodesOwnWordCountsAsRemoved",
		file: "backend/service/haproxy/node.go", old: "!errors.Is(err, dataplane.ErrNoEntry) {",
		new: "!errors.Is(err, dataplane.ErrNoEntry) && !(planted(NAME) && errors.Is(err, dataplane.ErrHAProxyDown)) {",
	},
}
