package haproxyaccess

import (
	"strings"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// observer turns what the loops report into log lines and metrics. Neither holds a secret: the errors of a node hold
// none, and rows are subjects and pools.
type observer struct {
	log   *zap.Logger
	scope tally.Scope
	// What fails again in every pass of a quick loop fills no log.
	snapshots, clock, configs repeats
}

func newObserver(log *zap.Logger, scope tally.Scope) *observer {
	return &observer{log: log, scope: scope, snapshots: repeats{now: time.Now}, clock: repeats{now: time.Now}, configs: repeats{now: time.Now}}
}

// Passed implements reconcile.Observer.
func (o *observer) Passed(node string, r reconcile.Result) {
	s := o.node(node)
	s.Counter("pass").Inc(1)
	s.Counter("writes").Inc(int64(r.Writes))
	s.Timer("pass_time").Record(r.Took)
	s.Gauge("revision").Update(float64(r.Revision))
	s.Gauge("clock_offset_seconds").Update(r.Worker.Offset.Seconds())
	s.Gauge("rows").Update(float64(r.Rows[desired.Grants]))
	for _, removal := range r.Removals {
		s.Timer("removal_lag").Record(removal.Lag())
	}
	o.beside(node, r)
	if r.Kind == reconcile.Full {
		s.Gauge("lease_age_seconds").Update(r.LeaseAge.Seconds())
	}
	if r.Worker.Offset != 0 {
		o.log.Warn("a node's clock is off", zap.String("node", node), zap.Duration("offset", r.Worker.Offset))
	}
	if r.Writes > 0 {
		o.log.Info("node brought in line", zap.String("node", node), zap.Int64("revision", r.Revision),
			zap.Int("writes", r.Writes), zap.Duration("took", r.Took))
	}
}

// beside tells what was done to running streams and older workers, where the node can be asked.
func (o *observer) beside(node string, r reconcile.Result) {
	s := o.node(node)
	s.Counter("streams_cut").Inc(int64(r.StreamsCut))
	if r.StreamsErr != nil {
		s.Counter("streams_failed").Inc(1)
		o.log.Warn("running streams could not be ended; it is tried again", zap.String("node", node), zap.Error(r.StreamsErr))
	}
	if r.EldersErr != nil {
		s.Counter("old_workers_failed").Inc(1)
		o.log.Warn("older workers could not be reached; their rows end with their lease, or with them",
			zap.String("node", node), zap.Error(r.EldersErr))
	}
}

// Elected implements reconcile.Observer.
func (o *observer) Elected(node string, writer bool) {
	value := 0.0
	if writer {
		value = 1
	}
	o.node(node).Gauge("writer").Update(value)
	o.log.Info("who writes to a node has changed", zap.String("node", node), zap.Bool("this_gateway", writer))
}

// Failed implements reconcile.Observer.
func (o *observer) Failed(node string, err error) {
	o.node(node).Counter("pass_failed").Inc(1)
	o.log.Warn("a pass over a node failed", zap.String("node", node), zap.Error(err))
}

// Drifted implements reconcile.Observer.
func (o *observer) Drifted(node string, d reconcile.Drift) {
	o.node(node).Counter("drift").Inc(int64(max(d.Rows, 1)))
	o.log.Error("somebody else changed a map of ours; it is repaired", zap.String("node", node),
		zap.String("map", string(d.Map)), zap.Bool("file", d.File), zap.Bool("unlisted", d.Unlisted), zap.Int("rows", d.Rows),
		zap.Strings("names", d.Names()))
}

// DriftNotKept implements reconcile.Observer.
func (o *observer) DriftNotKept(node string, err error) {
	o.node(node).Counter("drift_not_kept").Inc(1)
	o.log.Error("a drift could not be written to the log of events; it is tried again", zap.String("node", node), zap.Error(err))
}

// clockFailed is told of a pass of the grants' clock that failed.
func (o *observer) clockFailed(err error) {
	o.scope.Counter("clock_failed").Inc(1)
	if o.clock.again(err.Error()) {
		return
	}
	o.log.Error("grants that are due could not be moved on", zap.Error(err))
}

// unreadable is told with every reading of the store which grants cannot be read, none included.
func (o *observer) unreadable(ids []string) {
	o.scope.Gauge("grants_unreadable").Update(float64(len(ids)))
	if len(ids) == 0 || o.snapshots.again(strings.Join(ids, " ")) {
		return
	}
	o.log.Error("grants cannot be read from the store: they are in force nowhere, and a person must look",
		zap.Int("number", len(ids)), zap.Strings("grants", first(ids)))
}

func (o *observer) node(name string) tally.Scope {
	return o.scope.SubScope("node").Tagged(map[string]string{"node": name})
}

// judgeFailed is told of a pass over the open grants that did not judge all of them.
func (o *observer) judgeFailed(err error) {
	o.scope.Counter("judge_failed").Inc(1)
	o.log.Error("open grants could not be judged again; they stand until they can", zap.Error(err))
}

// policyLoaded counts what this gateway took over. That another policy is in force is said by the alarm, once, out of the log.
func (o *observer) policyLoaded() {
	o.scope.Counter("policy_loaded").Inc(1)
	o.policyStale(false)
}

// policyRefused is told of policy files that are no policy.
func (o *observer) policyRefused(err error) {
	o.scope.Counter("policy_refused").Inc(1)
	// A warning: it is the files' mistake, and a trace of our stack would hide it.
	o.log.Warn("the policy's files are refused as a whole; the old policy stays in force", zap.Error(err))
}

// policyStale says whether the files are others than the policy in force.
func (o *observer) policyStale(stale bool) {
	value := 0.0
	if stale {
		value = 1
	}
	o.scope.Gauge("policy_stale").Update(value)
}

func (o *observer) policyNotRecorded(err error) {
	o.scope.Counter("policy_not_recorded").Inc(1)
	o.log.Error("which policy is in force, or was refused, could not be recorded; it is tried again", zap.Error(err))
}

// loginNotKept is told of a login whose groups could not be kept.
func (o *observer) loginNotKept(err error) {
	o.scope.Counter("login_not_kept").Inc(1)
	o.log.Error("the groups of a login could not be kept; they are when its person calls", zap.Error(err))
}

// maxKeys bounds how many names a log line has.
const maxKeys = 20

func first(keys []string) []string {
	if len(keys) > maxKeys {
		return append(append([]string{}, keys[:maxKeys]...), "...")
	}
	return keys
}

// pollFailed is told that the store did not say whether it has changed. What it holds is read at each node's interval
// anyway.
func (o *observer) pollFailed(err error) {
	o.scope.Counter("poll_failed").Inc(1)
	o.log.Warn("the store could not be asked for changes", zap.Error(err))
}
