package haproxyaccess

import (
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"

	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// observer turns what the loops report into log lines and metrics. Neither holds a secret: the errors of a node hold
// none, and rows are subjects and pools.
type observer struct {
	log   *zap.Logger
	scope tally.Scope
}

func newObserver(log *zap.Logger, scope tally.Scope) *observer {
	return &observer{log: log, scope: scope}
}

// maxKeys bounds how many rows a log line names.
const maxKeys = 20

// Passed implements reconcile.Observer.
func (o *observer) Passed(node string, r reconcile.Result) {
	s := o.node(node)
	s.Counter("pass").Inc(1)
	s.Counter("writes").Inc(int64(r.Writes))
	s.Timer("pass_time").Record(r.Took)
	s.Gauge("revision").Update(float64(r.Revision))
	s.Gauge("clock_offset_seconds").Update(r.Worker.Offset.Seconds())
	if r.Worker.Offset != 0 {
		o.log.Warn("a node's clock is off", zap.String("node", node), zap.Duration("offset", r.Worker.Offset))
	}
	if r.Writes > 0 {
		o.log.Info("node brought in line", zap.String("node", node), zap.Int64("revision", r.Revision),
			zap.Int("writes", r.Writes), zap.Duration("took", r.Took))
	}
}

// Failed implements reconcile.Observer.
func (o *observer) Failed(node string, err error) {
	o.node(node).Counter("pass_failed").Inc(1)
	o.log.Warn("a pass over a node failed", zap.String("node", node), zap.Error(err))
}

// Drifted implements reconcile.Observer.
func (o *observer) Drifted(node string, d reconcile.Drift) {
	n := len(d.Foreign) + len(d.Changed) + len(d.Missing)
	o.node(node).Counter("drift").Inc(int64(max(n, 1)))
	o.log.Error("somebody else changed a map of ours; it is repaired", zap.String("node", node),
		zap.String("map", string(d.Map)), zap.Bool("file", d.File), zap.Strings("foreign", first(d.Foreign)),
		zap.Strings("changed", first(d.Changed)), zap.Strings("missing", first(d.Missing)))
}

// clockFailed is told of a pass of the grants' clock that failed.
func (o *observer) clockFailed(err error) {
	o.scope.Counter("clock_failed").Inc(1)
	o.log.Error("grants that are due could not be moved on", zap.Error(err))
}

func (o *observer) node(name string) tally.Scope {
	return o.scope.SubScope("node").Tagged(map[string]string{"node": name})
}

func first(keys []string) []string {
	if len(keys) > maxKeys {
		return append(append([]string{}, keys[:maxKeys]...), "...")
	}
	return keys
}
