// Package storetest is the suite that every driver of the store passes: it holds each sentence of package store's
// interfaces. What it expects is written down here by hand, apart from grant and from the drivers: the table of
// transitions, the rebuilding of rows out of events and the hashing of the log.
//
// It imports store and grant.
package storetest

import (
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Store is a driver's open store.
type Store interface {
	store.Grants
	store.History
	store.Logins
	store.Reader
	store.Positions
	store.Keys
	store.AuditLog
	store.Reports
	store.Environments
	store.Verifiable
	Close() error
}

// Harness makes an empty database for one test and returns what opens it, again and again after each Close, with all
// that was kept. What is still open at the test's end is the harness's to close.
type Harness func(t testing.TB) (open func() Store)

// Run holds a driver to the whole suite.
func Run(t *testing.T, h Harness) {
	tests := []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"commit keeps the row and its event", testCommitKeepsRowAndEvent},
		{"commit is all or nothing", testCommitIsAllOrNothing},
		{"commit honours its context", testCommitHonoursContext},
		{"I6 a stale version conflicts", testStaleVersionConflicts},
		{"I6 of racing transitions one wins", testOfRacingTransitionsOneWins},
		{"I6 states move along the table only", testStatesMoveAlongTheTable},
		{"what a request fixed stays", testWhatARequestFixedStays},
		{"one live grant for a subject and pool", testOneLiveGrant},
		{"an idempotency key counts once", testReplayCountsOnce},
		{"old idempotency keys are forgotten", testOldReplaysAreForgotten},
		{"a refusal has an event and no row", testRefusalHasNoRow},
		{"what happens beside grants has an event and no row", testEventsWithoutGrant},
		{"I7 revisions have no gap and come in commit order", testRevisionsInCommitOrder},
		{"I7 a snapshot is the log at its revision", testSnapshotIsTheLog},
		{"I7 the chain verifies and shows tampering", testChainShowsTampering},
		{"list filters", testListFilters},
		{"list shows what a viewer may see", testListVisible},
		{"list pages are stable under inserts", testListPaging},
		{"due is what the clock has to do", testDue},
		{"due follows the row", testDueFollowsTheRow},
		{"I5 reopening keeps all", testReopeningKeepsAll},
		{"audit rows take one answer", testAuditRows},
		{"audit rows are read by time and page", testAuditReading},
		{"positions", testPositions},
		{"keys", testKeys},
		{"one key is current", testOneCurrentKey},
		{"a lock stops what it covers", testLockCovers},
		{"a lock stops what opens, and nothing else", testLockStopsWhatOpens},
		{"a lock is put and lifted once", testLockLife},
		{"locks are listed", testLockLists},
		{"a lock races with openings", testLockRace},
		{"unless the subject's grants have changed", testUnless},
		{"I6 of several that counted the same one wins", testUnlessRace},
		{"history filters, in both directions", testHistoryFilters},
		{"history pages are stable", testHistoryPaging},
		{"head", testHead},
		{"I7 the log is verified by walking it", testVerify},
		{"I7 the log is verified while it grows", testVerifyBesideWriters},
		{"logins never go back", testLogins},
		{"members of a group", testMembers},
		{"an extension waits for its deciders", testWaitingForExtension},
		{"a review waits for its groups", testWaitingForReview},
		{"a review is overdue", testOverdue},
		{"due is the end of an extension's wait", testDueExtension},
		{"any text", testAnyText},
		{"callers that come together do not suffer from each other", testOthersDoNotSuffer},
		{"a place goes over within a change", testPlaceGoesOver},
		{"reports of a grant add up", testReports},
		{"reports that race lose nothing", testReportRace},
		{"the status of a node does not go back", testNodeStatus},
		{"an environment is registered and removed", testEnvironments},
		{"random changes against a model", testRandomChanges},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.test(t, h) })
	}
}
