//go:build clutch_head

package audit

import (
	"context"
	"errors"
	"math"
	"time"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service/audit"
)

var _ audit.Auditor = (*Auditor)(nil)

// ReadEvents implements Clutch's Auditor.
func (a *Auditor) ReadEvents(ctx context.Context, start time.Time, end *time.Time, o *audit.ReadOptions) ([]*auditv1.Event, error) {
	events, err := a.readEvents(ctx, start, end)
	if err != nil || o == nil {
		return events, err
	}
	first := min(max(o.Offset, 0), int64(len(events)))
	events = events[first:]
	if o.Limit > 0 && o.Limit < int64(len(events)) {
		events = events[:o.Limit]
	}
	return events, nil
}

// ReadEvent implements Clutch's Auditor.
func (a *Auditor) ReadEvent(ctx context.Context, id int64) (*auditv1.Event, error) {
	rows, err := a.log.ReadAudit(ctx, time.UnixMilli(0), time.UnixMilli(math.MaxInt64), id-1, 1)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || rows[0].ID != id {
		return nil, errors.New("no such audit event")
	}
	return eventOf(rows[0])
}

func setID(e *auditv1.Event, id int64) { e.Id = id }
