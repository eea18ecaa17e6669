package stage

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// Database starts a Postgres with one database, and the table of it in which Clutch keeps tokens. Both end with the test.
func Database(t testing.TB) (*pgproc.Server, *world.Postgres) {
	t.Helper()
	server, err := pgproc.StartTCP(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	psql := func(database string, arguments ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "psql", append([]string{"-v", "ON_ERROR_STOP=1", "-q", server.DSN(database)}, arguments...)...)
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
	}
	psql("postgres", "-c", "CREATE DATABASE clutch")
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/lyft/clutch/backend").Output()
	require.NoError(t, err)
	tokens := filepath.Join(string(bytes.TrimSpace(dir)), "cmd/migrate/migrations/000007_authn_tokens_create.up.sql")
	require.FileExists(t, tokens)
	psql("clutch", "-f", tokens)
	host, port, password := server.TCP()
	return server, &world.Postgres{Host: host, Port: port, User: pgproc.User, Password: password, Database: "clutch"}
}
