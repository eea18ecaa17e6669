package stage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// Object is a message of the API in JSON.
type Object = map[string]any

// Token logs the person in once; Clutch's token outlives a restart of the gateway.
func (s *Stage) Token(email string) string {
	s.T.Helper()
	if s.Tokens[email] == "" {
		user, err := s.Endpoints().User(email)
		require.NoError(s.T, err)
		token, err := world.Login(s.T.Context(), s.API, user.Email, user.Password)
		require.NoError(s.T, err)
		s.Tokens[email] = token
	}
	return s.Tokens[email]
}

var keys atomic.Int64

// NewKey is an idempotency key that nothing else uses.
func NewKey() string { return fmt.Sprintf("stage-key-%d-%d", os.Getpid(), keys.Add(1)) }

// Call calls the API as somebody, as nobody if email is empty, and returns the status and the answer.
func (s *Stage) Call(email, path string, body Object) (int, Object) {
	s.T.Helper()
	status, answer, err := s.TryCall(email, path, body)
	require.NoError(s.T, err)
	return status, answer
}

// TryCall is Call where the gateway may not answer.
func (s *Stage) TryCall(email, path string, body Object) (int, Object, error) {
	s.T.Helper()
	raw, err := json.Marshal(body)
	require.NoError(s.T, err)
	request, err := http.NewRequestWithContext(s.T.Context(), http.MethodPost, s.API+"/v1/"+path, bytes.NewReader(raw))
	require.NoError(s.T, err)
	request.Header.Set("Content-Type", "application/json")
	if email != "" {
		request.Header.Set("Authorization", "Token "+s.Token(email))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	answer := Object{}
	require.NoError(s.T, json.Unmarshal(text, &answer), "%s", text)
	return response.StatusCode, answer, nil
}

// Do is a call that must succeed.
func (s *Stage) Do(email, path string, body Object) Object {
	s.T.Helper()
	status, answer := s.Call(email, path, body)
	require.Equal(s.T, http.StatusOK, status, "%s as %s: %v", path, email, answer)
	return answer
}

// GrantOf is the grant of an answer.
func GrantOf(answer Object) Object { return answer["grant"].(Object) }

// Request asks for access and returns the grant.
func (s *Stage) Request(email, environment, pool string, d time.Duration) Object {
	s.T.Helper()
	return GrantOf(s.Do(email, "haproxyaccess/requestAccess", Object{
		"environment": environment, "pool": pool, "duration": fmt.Sprintf("%ds", int(d.Seconds())),
		"reason": "ticket 4711", "idempotencyKey": NewKey(),
	}))
}

// Open asks for access, has bob approve it if it must be, or carol where it is his, and returns the grant and a token for it.
func (s *Stage) Open(email, environment, pool string, d time.Duration) (grant Object, token string) {
	s.T.Helper()
	grant = s.Request(email, environment, pool, d)
	if grant["state"] == "PENDING" {
		approver := Bob
		if email == Bob {
			approver = Carol
		}
		grant = GrantOf(s.Do(approver, "haproxyaccess/approveAccess", Object{
			"grantId": grant["id"], "etag": grant["etag"], "idempotencyKey": NewKey(),
		}))
	}
	require.Equal(s.T, "ACTIVE", grant["state"])
	return grant, s.Issue(email, grant)
}

// Issue is a token for a grant.
func (s *Stage) Issue(email string, grant Object) string {
	s.T.Helper()
	return s.Do(email, "haproxyaccess/issueToken", Object{"grantId": grant["id"]})["token"].(string)
}

// Revoke ends a grant and returns it.
func (s *Stage) Revoke(email string, grant Object) Object {
	s.T.Helper()
	return GrantOf(s.Do(email, "haproxyaccess/revokeAccess", Object{
		"grantId": grant["id"], "reason": "done", "idempotencyKey": NewKey(),
	}))
}

// Get reads a grant.
func (s *Stage) Get(email string, grant Object) Object {
	s.T.Helper()
	return GrantOf(s.Do(email, "haproxyaccess/getGrant", Object{"grantId": grant["id"]}))
}

// Enforcement says on how many of how many nodes a grant's state is in force.
func Enforcement(grant Object) (enforced, total int) {
	e := grant["enforcement"].(Object)
	return int(e["nodesEnforced"].(float64)), int(e["nodesTotal"].(float64))
}

// AwaitEnforced waits until a grant's state is in force on every node.
func (s *Stage) AwaitEnforced(grant Object) {
	s.T.Helper()
	Eventually(s.T, "the state is reported as enforced", func() bool {
		enforced, total := Enforcement(s.Get(Audrey, grant))
		return enforced == total
	})
}

// Events are those of a grant, oldest first; of these verbs if there are any.
func (s *Stage) Events(grantID any, verbs ...string) []Object {
	s.T.Helper()
	answer := s.Do(Audrey, "haproxyaccess/listEvents", Object{"grantId": grantID, "verbs": verbs, "oldestFirst": true})
	var all []Object
	for _, e := range answer["events"].([]any) {
		all = append(all, e.(Object))
	}
	return all
}

// Time is a time of the API.
func (s *Stage) Time(text any) time.Time {
	s.T.Helper()
	at, err := time.Parse(time.RFC3339, text.(string))
	require.NoError(s.T, err)
	return at
}
