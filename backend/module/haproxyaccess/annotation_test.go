package haproxyaccess

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"

	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
)

// actions is what authz and audit are told of each RPC, by hand: a mutation that calls itself READ would be open to every
// reader.
var actions = map[protoreflect.Name]apiv1.ActionType{
	"ListPools":        apiv1.ActionType_READ,
	"PreviewAccess":    apiv1.ActionType_READ,
	"RequestAccess":    apiv1.ActionType_CREATE,
	"ApproveAccess":    apiv1.ActionType_UPDATE,
	"DenyAccess":       apiv1.ActionType_UPDATE,
	"RevokeAccess":     apiv1.ActionType_DELETE,
	"ExtendAccess":     apiv1.ActionType_UPDATE,
	"CancelExtension":  apiv1.ActionType_UPDATE,
	"WithdrawApproval": apiv1.ActionType_UPDATE,
	"ReviewAccess":     apiv1.ActionType_UPDATE,
	"RevokeGrants":     apiv1.ActionType_DELETE,
	"CreateLock":       apiv1.ActionType_CREATE,
	"ReleaseLock":      apiv1.ActionType_DELETE,
	"ListLocks":        apiv1.ActionType_READ,
	"ListEvents":       apiv1.ActionType_READ,
	"GetPolicy":        apiv1.ActionType_READ,
	"GetGrant":         apiv1.ActionType_READ,
	"ListGrants":       apiv1.ActionType_READ,
	"IssueToken":       apiv1.ActionType_CREATE,
	"GetNodeStatus":    apiv1.ActionType_READ,
	"ListPoolServers":  apiv1.ActionType_READ,
	"AddPoolServer":    apiv1.ActionType_CREATE,
	"RemovePoolServer": apiv1.ActionType_DELETE,
	"DrainPoolServer":  apiv1.ActionType_UPDATE,

	"RegisterEnvironment": apiv1.ActionType_CREATE,
	"RemoveEnvironment":   apiv1.ActionType_DELETE,
	"ListEnvironments":    apiv1.ActionType_READ,
}

// withoutKey are the mutations that may be repeated freely: a second token changes nothing.
var withoutKey = []protoreflect.Name{"IssueToken"}

func forEachMethod(t *testing.T, f func(t *testing.T, m protoreflect.MethodDescriptor)) {
	methods := v1.File_api_haproxyaccess_v1_haproxyaccess_proto.Services().ByName("AccessAPI").Methods()
	if methods.Len() != len(actions) {
		t.Errorf("the API has %d RPCs, want %d", methods.Len(), len(actions))
	}
	for i := range methods.Len() {
		m := methods.Get(i)
		t.Run(string(m.Name()), func(t *testing.T) { f(t, m) })
	}
}

func TestEveryRPCSaysWhatItDoes(t *testing.T) {
	forEachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		action, ok := proto.GetExtension(m.Options(), apiv1.E_Action).(*apiv1.Action)
		if !ok || action.GetType() == apiv1.ActionType_UNSPECIFIED || action.GetType() != actions[m.Name()] {
			t.Errorf("its action is %v, want %v", action, actions[m.Name()])
		}
		if proto.GetExtension(m.Options(), apiv1.E_DisableAudit).(bool) {
			t.Error("it is not audited")
		}
		// Clutch's middleware audits and authorizes unary calls alone.
		if m.IsStreamingClient() || m.IsStreamingServer() {
			t.Error("it streams")
		}
	})
}

var placeholder = regexp.MustCompile(`\{([^}]*)\}`)

func TestEveryRequestNamesTheResource(t *testing.T) {
	forEachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		options := m.Input().Options()
		patterns := proto.GetExtension(options, apiv1.E_Id).(*apiv1.Identifier).GetPatterns()
		fields := proto.GetExtension(options, apiv1.E_Reference).(*apiv1.Reference).GetFields()
		if len(patterns)+len(fields) == 0 {
			t.Fatal("authz and audit cannot tell what it is about")
		}
		for _, p := range patterns {
			for _, match := range placeholder.FindAllStringSubmatch(p.GetPattern(), -1) {
				fields = append(fields, match[1])
			}
		}
		for _, name := range fields {
			if m.Input().Fields().ByName(protoreflect.Name(name)) == nil {
				t.Errorf("it names the field %q, which is not there", name)
			}
		}
	})
}

func TestEveryRPCIsAPostBelowOnePath(t *testing.T) {
	forEachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
		name := string(m.Name())
		want := "/v1/haproxyaccess/" + strings.ToLower(name[:1]) + name[1:]
		if rule.GetPost() != want || rule.GetBody() != "*" || len(rule.GetAdditionalBindings()) > 0 {
			t.Errorf("got %v, want POST %s alone, with the whole body", rule, want)
		}
	})
}

func TestEveryMutationTakesAnIdempotencyKey(t *testing.T) {
	forEachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		has := m.Input().Fields().ByName("idempotency_key") != nil
		want := actions[m.Name()] != apiv1.ActionType_READ && !slices.Contains(withoutKey, m.Name())
		if has != want {
			t.Errorf("it has a key: %v, want %v", has, want)
		}
	})
}

// A key that may be left out is one that is left out.
func TestAnIdempotencyKeyIsRequired(t *testing.T) {
	for _, r := range rpcs {
		field := r.request.ProtoReflect().Descriptor().Fields().ByName("idempotency_key")
		if err := r.request.(interface{ ValidateAll() error }).ValidateAll(); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		if field == nil {
			continue
		}
		for _, bad := range []string{"", "1234567", "key 00001", strings.Repeat("k", 129)} {
			request := proto.Clone(r.request)
			request.ProtoReflect().Set(field, protoreflect.ValueOfString(bad))
			if err := request.(interface{ ValidateAll() error }).ValidateAll(); err == nil {
				t.Errorf("%s takes the key %q", r.name, bad)
			}
		}
	}
}

func TestI14ATokenIsKeptOutOfLogsAndAudit(t *testing.T) {
	token := (&v1.IssueTokenResponse{}).ProtoReflect().Descriptor()
	if !proto.GetExtension(token.Options(), apiv1.E_Redacted).(bool) {
		t.Error("the answer is not redacted")
	}
	field := token.Fields().ByName("token").Options()
	if !proto.HasExtension(field, apiv1.E_Log) || proto.GetExtension(field, apiv1.E_Log).(bool) {
		t.Error("the token may be logged")
	}
	// No other answer has one.
	forEachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		if m.Name() != "IssueToken" && m.Output().Fields().ByName("token") != nil {
			t.Error("its answer has a token")
		}
	})
}
