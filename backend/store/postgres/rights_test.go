package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
)

// rights are what a gateway may do with each table: by hand, since those that the README names are what is tested.
var rights = map[string]string{
	"audit":       "INSERT SELECT UPDATE",
	"audit_head":  "SELECT UPDATE",
	"events":      "INSERT SELECT",
	"grants":      "INSERT SELECT UPDATE",
	"head":        "SELECT UPDATE",
	"keys":        "INSERT SELECT UPDATE",
	"locks":       "INSERT SELECT UPDATE",
	"logins":      "INSERT SELECT UPDATE",
	"positions":   "INSERT SELECT UPDATE",
	"replays":     "DELETE INSERT SELECT",
	"transitions": "SELECT",

	"environments": "INSERT SELECT UPDATE",
	"nodes":        "DELETE INSERT SELECT UPDATE",
	"reports":      "INSERT SELECT UPDATE",
}

// The role of a gateway has no right but what it needs: above all none by which it could get past what holds the log.
func TestAGatewaysRoleMayDoNoMore(t *testing.T) {
	dsn := newDatabase(t)
	permit(t, dsn)
	db := opened(t, strings.Replace(dsn, "user="+pgproc.User, "user=gateway", 1))
	rows, err := db.pool.Query(`SELECT c.relname, r.name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace,
		unnest(ARRAY['DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'TRIGGER', 'TRUNCATE', 'UPDATE']) AS r (name)
		WHERE n.nspname = 'haproxyaccess' AND c.relkind = 'r' AND has_table_privilege(c.oid, r.name) ORDER BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	got := map[string][]string{}
	for rows.Next() {
		var table, right string
		if err := rows.Scan(&table, &right); err != nil {
			t.Fatal(err)
		}
		got[table] = append(got[table], right)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for table, has := range got {
		if !slices.Equal(has, strings.Fields(rights[table])) {
			t.Errorf("%s: %v, want %s", table, has, rights[table])
		}
	}
	if len(got) != len(rights) {
		t.Errorf("rights on %d tables, want %d", len(got), len(rights))
	}
	for _, statement := range []string{
		"INSERT INTO haproxyaccess.transitions VALUES ('pending', 'own', 'active')",
		"UPDATE haproxyaccess.transitions SET to_state = 'active'",
		"DELETE FROM haproxyaccess.events", "DELETE FROM haproxyaccess.grants", "TRUNCATE haproxyaccess.locks",
		"ALTER TABLE haproxyaccess.grants DISABLE TRIGGER USER", "DROP TRIGGER events_stay ON haproxyaccess.events",
		"CREATE OR REPLACE FUNCTION haproxyaccess.refuse() RETURNS trigger LANGUAGE sql AS ''",
		"CREATE TABLE haproxyaccess.own ()", "SET session_replication_role = replica",
		fmt.Sprintf("UPDATE %s SET version = 0", versions),
	} {
		if _, err := db.pool.Exec(statement); err == nil || code(err).Class() != "42" {
			t.Errorf("%s: %v", statement, err)
		}
	}
}
