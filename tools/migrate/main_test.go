package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewaystore"
)

const configText = `
services:
%s
  - name: clutch.service.haproxy
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxy.v1.Config
      environments: [{name: prod, pools: [{name: web, backend: be_prod, hosts: [prod.example]}]}]
      nodes:
        - {name: n1, environments: [prod], dataplane: {url: "http://127.0.0.1:5555", username: admin, password_file: /x}}
      enforcement: {maps_dir: /m, keys_dir: /k, pages_dir: /p, binds: [{address: "127.0.0.1:8080"}]}
  - name: clutch.service.haproxyaccess
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxyaccess.v1.Config
      token: {issuer: "https://clutch.example", encryption_key_file: "/x"}
      clutch_url: https://clutch.example
      policy: {files: [/etc/clutch/policy/*.yaml]}
`

const sqliteText = `
  - name: clutch.service.haproxyaccess.store
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.store.v1.Config
      sqlite: {path: %q}
`

const postgresText = `
  - name: clutch.service.db.postgres
    typed_config:
      "@type": types.google.com/clutch.config.service.db.postgres.v1.Config
      connection: {host: %s, port: %d, user: %s, dbname: postgres, password: %q, ssl_mode: DISABLE}
  - name: clutch.service.haproxyaccess.store
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.store.v1.Config
      postgres: {}
`

func write(t *testing.T, services string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clutch-config.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, configText, services), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func try(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), arguments, &out)
	return out.String(), err
}

// do is a command that must succeed, and whose answer has all the words.
func do(t *testing.T, words []string, arguments ...string) {
	t.Helper()
	out, err := try(t, arguments...)
	if err != nil {
		t.Fatalf("%v: %v", arguments, err)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("%v: %q lacks %q", arguments, out, word)
		}
	}
}

// A new database is empty, is migrated once, and then holds a log that verifies; the same in both databases.
func TestAStoreIsMigratedAndVerified(t *testing.T) {
	server, err := pgproc.StartTCP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	host, port, password := server.TCP()
	for name, path := range map[string]string{
		"embedded": write(t, fmt.Sprintf(sqliteText, filepath.Join(t.TempDir(), "s.db"))),
		"postgres": write(t, fmt.Sprintf(postgresText, host, port, pgproc.User, password)),
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := try(t, "-c", path, "status"); err == nil || !strings.Contains(out, "version 0") {
				t.Fatalf("status of nothing: %q, %v", out, err)
			}
			if _, err := try(t, "-c", path, "verify"); err == nil {
				t.Error("nothing verifies")
			}
			do(t, []string{"CREATE TABLE", "events"}, "-c", path, "sql")
			do(t, []string{"it had 0"}, "-c", path, "up")
			do(t, []string{"has version"}, "-c", path, "status")
			do(t, []string{"has version"}, "-c", path, "up") // again: nothing to do
			for _, wrong := range []string{"0x", "-1", "99", "0", "", "1.0"} {
				if _, err := try(t, "-c", path, "up", "-to", wrong); err == nil {
					t.Errorf("up -to %s is taken", wrong)
				}
			}
			request(t, path)
			do(t, []string{"up to revision 1", "cannot show"}, "-c", path, "verify")
			out, err := try(t, "-c", path, "verify")
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			mark := lines[len(lines)-1]
			do(t, []string{"up to revision 1", "Up to revision 1 it is as it was", mark}, "-c", path, "verify", "-at", mark)
			for _, wrong := range []string{"2" + mark[1:], mark[:2] + strings.Repeat("0", 64)} {
				if out, err := try(t, "-c", path, "verify", "-at", wrong); err == nil || !strings.Contains(err.Error(), "the log breaks at revision") {
					t.Errorf("against %s: %q, %v", wrong, out, err)
				}
			}
		})
	}
	wrong := write(t, fmt.Sprintf(postgresText, host, port, pgproc.User, "marker-hunter2"))
	if out, err := try(t, "-c", wrong, "status"); err == nil || strings.Contains(out+err.Error(), "marker") {
		t.Errorf("I14: a wrong password: %q, %v", out, err)
	}
}

// request writes one event through a store that is opened as the tools do.
func request(t *testing.T, path string) {
	t.Helper()
	config, err := gatewayconfig.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	e := grant.Event{Verb: grant.Refuse, Actor: "alice@example.com", At: time.Unix(1_800_000_000, 0), Grant: grant.Grant{
		Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "web"}, Reason: "to look",
	}}
	for _, mode := range []gatewaystore.Mode{gatewaystore.Read, gatewaystore.Write} {
		db, err := gatewaystore.Open(t.Context(), config, mode)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Commit(t.Context(), store.Change{Events: []grant.Event{e}})
		if (err == nil) != (mode == gatewaystore.Write) {
			t.Errorf("mode %d: %v", mode, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWrongUseIsAnError(t *testing.T) {
	path := write(t, fmt.Sprintf(sqliteText, filepath.Join(t.TempDir(), "s.db")))
	for _, arguments := range [][]string{
		{}, {"status"}, {"-c", path}, {"-c", path, "status", "now"}, {"-c", path, "down"}, {"-c", path, "up", "now"},
		{"-c", path, "verify", "now"},
	} {
		if _, err := try(t, arguments...); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", arguments, err)
		}
	}
	for _, arguments := range [][]string{{"verify", "-at", "105"}, {"verify", "-at", "0:00"}, {"verify", "-to", "1"}, {"status", "-at", "1:00"}} {
		if out, err := try(t, append([]string{"-c", path}, arguments...)...); err == nil || out != "" {
			t.Errorf("%v: %q, %v", arguments, out, err)
		}
	}
	if _, err := try(t, "-c", write(t, "  - name: clutch.service.haproxyaccess.store\n    typed_config: {\"@type\": types.google.com/haproxyaccess.config.service.store.v1.Config, postgres: {}}\n"), "status"); err == nil ||
		!strings.Contains(err.Error(), "clutch.service.db.postgres") {
		t.Errorf("a store in Postgres without its connection: %v", err)
	}
}
