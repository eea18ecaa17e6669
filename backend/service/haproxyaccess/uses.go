package haproxyaccess

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/haproxy-access/clutch-haproxy-access/backend/accesslog"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// uses keeps what HAProxy's log says of grants in the store.
type uses struct{ store store.Reports }

// Report implements accesslog.Sink.
func (u uses) Report(ctx context.Context, all []accesslog.Use) error {
	rows := make([]store.GrantReport, len(all))
	for i, use := range all {
		rows[i] = store.GrantReport{
			GrantID: use.GrantID, Node: use.Node, FirstAdmitted: use.FirstAdmitted, LastAdmitted: use.LastAdmitted,
			Admitted: use.Admitted, FirstRefused: use.FirstRefusedAfter, Refused: use.RefusedAfter,
		}
	}
	return u.store.PutReports(ctx, rows)
}

// newReceiver makes the receiver of HAProxy's log; nil where none is configured. known says which nodes there are.
func newReceiver(config *haproxyv1.LogReceiver, known func(string) bool, s store.Reports, o *observer) (*accesslog.Receiver, error) {
	if config == nil {
		return nil, nil
	}
	var senders []netip.Prefix
	for i, text := range config.GetSenders() {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("log_receiver.senders[%d]: want a network such as 10.0.0.0/16", i)
		}
		senders = append(senders, prefix)
	}
	receiver, err := accesslog.New(accesslog.Options{
		Listen: config.GetListen(), Senders: senders, Known: known, Sink: uses{s}, Observer: logObserver{o}, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("log_receiver: %w", err)
	}
	return receiver, nil
}

// logObserver counts what becomes of the log's lines.
type logObserver struct{ o *observer }

// Counted implements accesslog.Observer.
func (l logObserver) Counted(c accesslog.Counts) {
	l.o.scope.Counter("access_log_admitted").Inc(c.Admitted)
	l.o.scope.Counter("access_log_refused").Inc(c.Refused)
	l.o.scope.Counter("access_log_other").Inc(c.Other)
	l.o.scope.Counter("access_log_unattributed").Inc(c.Unattributed)
	l.o.scope.Counter("access_log_malformed").Inc(c.Malformed)
	l.o.scope.Counter("access_log_unknown_node").Inc(c.UnknownNode)
	l.o.scope.Counter("access_log_sender_refused").Inc(c.Sender)
	l.o.scope.Counter("access_log_oversize").Inc(c.Oversize)
	// What is not in the record: the queue here or the system's was full, or the store did not take it.
	l.o.scope.Counter("access_log_lost").Inc(c.Overflow + c.Kernel + c.Lost)
}

// Failed implements accesslog.Observer.
func (l logObserver) Failed(err error) {
	l.o.scope.Counter("access_log_failed").Inc(1)
	l.o.log.Warn("the use of grants could not be recorded; it is tried again", zap.Error(err))
}
