package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Login implements store.Logins.
func (s *Store) Login(ctx context.Context, who grant.Subject) (store.Login, error) {
	l := store.Login{Subject: who}
	var doc []byte
	var at int64
	err := s.queryRow(ctx, "SELECT doc, at FROM @logins WHERE subject = ?1", string(who)).Scan(&doc, &at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Login{}, store.ErrNotFound
	case err != nil:
		return store.Login{}, fmt.Errorf("read login: %w", err)
	}
	if err := json.Unmarshal(doc, &l.Groups); err != nil {
		return store.Login{}, fmt.Errorf("read login: %w: %w", store.ErrCorrupt, err)
	}
	l.At = store.Time(at)
	return l, nil
}

// RememberLogin implements store.Logins. The first statement judges and writes, so that of several gateways none overwrites
// what it has not seen. Where it leaves what is known it has locked the row, and what both say is found out under that lock:
// not by the statement, since a name may be no text to the database. The groups stand there twice: as they came, and as a
// list to search in, which leaves out such a name.
func (s *Store) RememberLogin(ctx context.Context, l store.Login, latest time.Time) error {
	doc, err := json.Marshal(l.Groups)
	if err != nil {
		return fmt.Errorf("encode login: %w", err)
	}
	err = s.writer.Transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.dialect.sql(`INSERT INTO @logins AS known (subject, groups, doc, at) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (subject) DO UPDATE SET groups = excluded.groups, doc = excluded.doc, at = excluded.at
			WHERE excluded.at > known.at OR known.at > ?5`),
			string(l.Subject), s.dialect.List(searchable(l.Groups)), string(doc), store.Millis(l.At), store.Millis(latest))
		if err != nil {
			return err
		}
		if written, err := result.RowsAffected(); err != nil || written > 0 {
			return err
		}
		return s.narrowLogin(ctx, tx, l, doc)
	})
	if err != nil {
		return fmt.Errorf("write login: %w", err)
	}
	return nil
}

// narrowLogin takes out of a known login of the same moment what this one does not say.
func (s *Store) narrowLogin(ctx context.Context, tx *sql.Tx, l store.Login, says []byte) error {
	var doc []byte
	err := tx.QueryRowContext(ctx, s.dialect.sql("SELECT doc FROM @logins WHERE subject = ?1 AND at = ?2"), string(l.Subject),
		store.Millis(l.At)).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it is a later one
	}
	if err != nil {
		return err
	}
	var known, said, both []string
	if err := errors.Join(json.Unmarshal(doc, &known), json.Unmarshal(says, &said)); err != nil {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	names := map[string]bool{}
	for _, g := range said {
		names[g] = true
	}
	for _, g := range known {
		if names[g] {
			both = append(both, g)
		}
	}
	if len(both) == len(known) {
		return nil
	}
	if doc, err = json.Marshal(both); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.dialect.sql("UPDATE @logins SET groups = ?1, doc = ?2 WHERE subject = ?3"),
		s.dialect.List(searchable(both)), string(doc), string(l.Subject))
	return err
}

// searchable leaves out what is no text to every database.
func searchable(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool {
		return strings.IndexByte(g, 0) >= 0 || !utf8.ValidString(g)
	})
}

// Members implements store.Logins.
func (s *Store) Members(ctx context.Context, group string, since time.Time, limit int) (members []grant.Subject, err error) {
	rows, err := s.query(ctx, "SELECT subject FROM @logins WHERE at >= ?1 AND "+s.dialect.Shares("groups", "?2")+
		" ORDER BY subject LIMIT ?3", ceilMillis(since), s.dialect.List([]string{group}), limit)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var who string
		if err := rows.Scan(&who); err != nil {
			return nil, fmt.Errorf("read member: %w", err)
		}
		members = append(members, grant.Subject(who))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	return members, nil
}
