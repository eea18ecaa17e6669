package haproxyaccess

import (
	"go.uber.org/zap"

	"github.com/haproxy-access/clutch-haproxy-access/backend/audit"
	auditservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
)

func newOutbox(p parts, o *observer) *audit.Outbox {
	return audit.New(p.store, []audit.Sink{auditservice.NewGrantSink(p.audit), alarm{o}}, p.store.Writers(), o, audit.Timing{})
}

// SinkFailed implements audit.Observer.
func (o *observer) SinkFailed(sink string, err error) {
	o.scope.Counter("sink_failed").Inc(1)
	o.log.Error("events could not be delivered; they are tried again", zap.String("sink", sink), zap.Error(err))
}

// ChainBroken implements audit.Observer.
func (o *observer) ChainBroken(sink string, revision int64) {
	o.scope.Counter("chain_broken").Inc(1)
	o.log.Error("the log of events was tampered with: nothing is delivered from here on",
		zap.String("sink", sink), zap.Int64("revision", revision))
}
