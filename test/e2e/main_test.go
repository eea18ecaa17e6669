// Package e2e tests the whole: three nodes of real HAProxies with their data planes, an identity provider, and the Clutch
// gateway with this plugin, each a process of its own, driven through their public interfaces alone.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

const (
	alice  = "alice@example.com"
	bob    = "bob@example.com"
	carol  = "carol@example.com"
	audrey = "audrey@example.com"

	stagingBilling = "billing.staging.localhost"
	prodBilling    = "billing.prod.localhost"
	prodOps        = "ops.prod.localhost"

	// hang is when something that should have happened is taken never to happen.
	hang = 90 * time.Second
)

var binDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e-bin-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = world.Build(context.Background(), dir, world.Programs...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binDir = dir
	return m.Run()
}

// place is a running world with people who are logged in.
type place struct {
	*world.World
	t      *testing.T
	tokens map[string]string
	// gateway is the URL of the one that is called.
	gateway string
}

// startWith starts a world that ends with the test, and shows the gateways' logs if that fails. A real Data Plane API is used
// where DATAPLANE_BIN names one.
func startWith(t *testing.T, options world.Options) *place {
	t.Helper()
	options.Dir, options.BinDir, options.DataPlaneBin = t.TempDir(), binDir, os.Getenv("DATAPLANE_BIN")
	w, err := world.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		for _, gateway := range w.Gateways {
			if t.Failed() {
				log, _ := os.ReadFile(w.LogFile(gateway.Name()))
				t.Logf("the end of the log of %s:\n%s", gateway.Name(), log[max(0, len(log)-4000):])
			}
		}
	})
	return &place{World: w, t: t, tokens: map[string]string{}, gateway: w.Endpoints().Gateway}
}

func start(t *testing.T, leases map[string]string) *place {
	t.Helper()
	return startWith(t, world.Options{Leases: leases})
}

// node is the first of those that serve an environment.
func (p *place) node(environment string) *world.Node { return p.Serving(environment)[0] }

// serving are the nodes of the pool of a host; all nodes for a host that is none of a pool.
func (p *place) serving(host string) []*world.Node {
	for _, pool := range p.Endpoints().Pools {
		if pool.Host == host {
			return p.Serving(pool.Environment)
		}
	}
	return p.Nodes
}

// token logs the person in once; Clutch's token outlives a restart of the gateway.
func (p *place) token(email string) string {
	p.t.Helper()
	if p.tokens[email] == "" {
		user, err := p.Endpoints().User(email)
		require.NoError(p.t, err)
		token, err := world.Login(p.t.Context(), p.gateway, user.Email, user.Password)
		require.NoError(p.t, err)
		p.tokens[email] = token
	}
	return p.tokens[email]
}

var keys atomic.Int64

// newKey is an idempotency key that nothing else uses.
func newKey() string { return fmt.Sprintf("e2e-key-%d-%d", os.Getpid(), keys.Add(1)) }

type object = map[string]any

// call calls the API as somebody and returns the status and the answer.
func (p *place) call(email, path string, body object) (int, object) {
	p.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(p.t, err)
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.gateway+"/v1/"+path, bytes.NewReader(raw))
	require.NoError(p.t, err)
	req.Header.Set("Content-Type", "application/json")
	if email != "" {
		req.Header.Set("Authorization", "Token "+p.token(email))
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	answer := object{}
	require.NoError(p.t, json.Unmarshal(text, &answer), "%s", text)
	return resp.StatusCode, answer
}

// do is a call that must succeed.
func (p *place) do(email, path string, body object) object {
	p.t.Helper()
	status, answer := p.call(email, path, body)
	require.Equal(p.t, http.StatusOK, status, "%s as %s: %v", path, email, answer)
	return answer
}

func grantOf(answer object) object { return answer["grant"].(object) }

// request asks for access and returns the grant.
func (p *place) request(email, environment, pool string, d time.Duration) object {
	p.t.Helper()
	return grantOf(p.do(email, "haproxyaccess/requestAccess", object{
		"environment": environment, "pool": pool, "duration": fmt.Sprintf("%ds", int(d.Seconds())),
		"reason": "ticket 4711", "idempotencyKey": newKey(),
	}))
}

// open asks for access, has bob approve it if it must be, and returns the grant and a token for it.
func (p *place) open(email, environment, pool string, d time.Duration) (grant object, token string) {
	p.t.Helper()
	grant = p.request(email, environment, pool, d)
	if grant["state"] == "PENDING" {
		grant = grantOf(p.do(bob, "haproxyaccess/approveAccess", object{
			"grantId": grant["id"], "etag": grant["etag"], "idempotencyKey": newKey(),
		}))
	}
	require.Equal(p.t, "ACTIVE", grant["state"])
	return grant, p.do(email, "haproxyaccess/issueToken", object{"grantId": grant["id"]})["token"].(string)
}

func (p *place) revoke(email string, grant object) object {
	p.t.Helper()
	return grantOf(p.do(email, "haproxyaccess/revokeAccess", object{
		"grantId": grant["id"], "reason": "done", "idempotencyKey": newKey(),
	}))
}

func (p *place) get(email string, grant object) object {
	p.t.Helper()
	return grantOf(p.do(email, "haproxyaccess/getGrant", object{"grantId": grant["id"]}))
}

func enforcement(grant object) (enforced, total int) {
	e := grant["enforcement"].(object)
	return int(e["nodesEnforced"].(float64)), int(e["nodesTotal"].(float64))
}

// answer is what HAProxy answers.
type answer struct {
	status int
	why    string // the JSON's error; empty for an answer of a service
	body   object
	header http.Header
}

// visit sends a request through every HAProxy that serves the host, on client's connections: all must answer the same.
func (p *place) visit(client *http.Client, host, token string, headers ...string) answer {
	p.t.Helper()
	a, err := p.tryVisit(client, host, token, headers...)
	require.NoError(p.t, err)
	return a
}

// tryVisit is an error too where nodes differ.
func (p *place) tryVisit(client *http.Client, host, token string, headers ...string) (answer, error) {
	var first answer
	for i, n := range p.serving(host) {
		a, err := p.visitAt(n, client, host, token, headers...)
		if err != nil {
			return answer{}, fmt.Errorf("%s: %w", n.Name, err)
		}
		if i == 0 {
			first = a
		} else if a.status != first.status || a.why != first.why {
			return answer{}, fmt.Errorf("%s answers %d %s, the first node %d %s", n.Name, a.status, a.why, first.status, first.why)
		}
	}
	return first, nil
}

func (p *place) visitAt(n *world.Node, client *http.Client, host, token string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, n.URL()+"/", nil)
	if err != nil {
		return answer{}, err
	}
	req.Host = host
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: object{}}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &a.body); err != nil {
			return answer{}, err
		}
	} else {
		a.body["text"] = string(text)
	}
	a.why, _ = a.body["error"].(string)
	return a, nil
}

// refused requires a refusal with its reason.
func (p *place) refused(a answer, status int, why string) {
	p.t.Helper()
	require.Equal(p.t, status, a.status, "%v", a.body)
	require.Equal(p.t, why, a.why)
}

// eventually polls until ok, or until it must be a hang.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, hang, 50*time.Millisecond, what)
}
