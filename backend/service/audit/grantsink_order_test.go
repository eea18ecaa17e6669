package audit

import (
	"errors"
	"testing"

	"github.com/golang/mock/gomock"

	"github.com/lyft/clutch/backend/service/audit"
)

// The outcome goes to the very event that was written, after it; without an event there is no outcome, and an event that
// an auditor's filter keeps out (Clutch's own says so by an error and the id -1) has none either.
func TestOutcomeFollowsItsEvent(t *testing.T) {
	w := NewMockEventWriter(gomock.NewController(t))
	e := entry("revoke", "active", "revoked", "bob@example.com")
	gomock.InOrder(
		w.EXPECT().WriteRequestEvent(gomock.Any(), gomock.Any()).Return(int64(7), nil),
		w.EXPECT().UpdateRequestEvent(gomock.Any(), int64(7), gomock.Any()).Return(nil),

		w.EXPECT().WriteRequestEvent(gomock.Any(), gomock.Any()).Return(int64(0), errors.New("disk full")),
		w.EXPECT().WriteRequestEvent(gomock.Any(), gomock.Any()).Return(int64(-1), audit.ErrFailedFilters),
	)
	sink := NewGrantSink(w)
	if err := sink.Deliver(t.Context(), e); err != nil {
		t.Error(err)
	}
	if err := sink.Deliver(t.Context(), e); err == nil {
		t.Error("an event that was not written counts as delivered")
	}
	if err := sink.Deliver(t.Context(), e); err != nil {
		t.Error("an event that is not wanted is tried for ever:", err)
	}
}
