package audit

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
)

// Reading the log is in the log, but not what was read: else each reading would double the next.
func TestReadingTheLogDoesNotCopyItIntoItself(t *testing.T) {
	read, err := anypb.New(&auditv1.GetEventsResponse{Events: []*auditv1.Event{{}}})
	if err != nil {
		t.Fatal(err)
	}
	other, err := anypb.New(&auditv1.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body *anypb.Any
		kept bool
	}{{read, false}, {other, true}, {nil, false}} {
		update := &auditv1.RequestEvent{
			Status: &status.Status{Code: 0}, ResponseMetadata: &auditv1.ResponseMetadata{Body: c.body},
		}
		got := withoutEvents(update)
		if got.GetStatus() == nil || got.GetResponseMetadata() == nil || (got.GetResponseMetadata().GetBody() != nil) != c.kept {
			t.Errorf("%v: %v", c.body, got)
		}
		if update.GetResponseMetadata().GetBody() != c.body {
			t.Error("the caller's message was changed")
		}
	}
	if withoutEvents(&auditv1.RequestEvent{}).GetResponseMetadata() != nil {
		t.Error("an outcome without metadata got some")
	}
}
