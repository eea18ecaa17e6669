//go:build clutch_head

package audit

import (
	"context"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service/audit"
)

var _ audit.Auditor = (*Auditor)(nil)

// ReadEvents implements Clutch's Auditor.
func (a *Auditor) ReadEvents(ctx context.Context, start time.Time, end *time.Time, o *audit.ReadOptions) ([]*auditv1.Event, error) {
	if o == nil {
		return a.readEvents(ctx, start, end, window{})
	}
	return a.readEvents(ctx, start, end, window{skip: o.Offset, limit: o.Limit})
}

// ReadEvent implements Clutch's Auditor.
func (a *Auditor) ReadEvent(ctx context.Context, id int64) (*auditv1.Event, error) {
	rows, err := a.log.ReadAudit(ctx, time.UnixMilli(0), time.UnixMilli(math.MaxInt64), id-1, 1)
	if err != nil {
		return nil, fmt.Errorf("read audit event: %w", err)
	}
	if len(rows) != 1 || rows[0].ID != id {
		return nil, status.Error(codes.NotFound, "no such audit event")
	}
	return eventOf(rows[0])
}

func setID(e *auditv1.Event, id int64) { e.Id = id }
