package haproxyaccess

import (
	"testing"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"

	"github.com/lyft/clutch/backend/module/moduletest"
	"github.com/lyft/clutch/backend/service"
)

// offer puts s where the module looks for the use cases, and takes it away after the test.
func offer(t *testing.T, s service.Service) {
	t.Helper()
	service.Registry["clutch.service.haproxyaccess"] = s
	t.Cleanup(func() { delete(service.Registry, "clutch.service.haproxyaccess") })
}

func TestTheModuleRegistersTheAPI(t *testing.T) {
	offer(t, fullFake())
	m, err := New(nil, zap.NewNop(), tally.NoopScope)
	if err != nil {
		t.Fatal(err)
	}
	r := moduletest.NewRegisterChecker()
	if err := m.Register(r); err != nil {
		t.Fatal(err)
	}
	if err := r.HasAPI("haproxyaccess.v1.AccessAPI"); err != nil {
		t.Error(err)
	}
	if !r.JSONRegistered() {
		t.Error("the API has no JSON")
	}
}

func TestTheModuleNeedsItsService(t *testing.T) {
	if _, err := New(nil, zap.NewNop(), tally.NoopScope); err == nil {
		t.Error("it starts without the service")
	}
	offer(t, "another service")
	if _, err := New(nil, zap.NewNop(), tally.NoopScope); err == nil {
		t.Error("it starts with another service in its place")
	}
}
