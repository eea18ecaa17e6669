package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// PutNodeStatus implements store.Reports.
func (s *Store) PutNodeStatus(ctx context.Context, n store.NodeStatus) error {
	_, err := s.exec(ctx, `INSERT INTO @nodes AS known (node, writer, at, doc) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (node) DO UPDATE SET writer = excluded.writer, at = excluded.at, doc = excluded.doc
		WHERE excluded.at >= known.at`, n.Node, n.Writer, store.Millis(n.At), blob(n.Doc))
	if err != nil {
		return fmt.Errorf("write status of a node: %w", err)
	}
	return nil
}

// NodeStatuses implements store.Reports.
func (s *Store) NodeStatuses(ctx context.Context) (all []store.NodeStatus, err error) {
	rows, err := s.query(ctx, "SELECT node, writer, at, doc FROM @nodes ORDER BY node")
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	return collect(rows, func(n *store.NodeStatus) error {
		var at int64
		err := rows.Scan(&n.Node, &n.Writer, &at, &n.Doc)
		n.At = store.Time(at)
		return err
	})
}

// ForgetNode implements store.Reports.
func (s *Store) ForgetNode(ctx context.Context, node string) error {
	if _, err := s.exec(ctx, "DELETE FROM @nodes WHERE node = ?1", node); err != nil {
		return fmt.Errorf("forget node: %w", err)
	}
	return nil
}

// putReport keeps of two times the earlier, or the later, and takes 0 for none.
const putReport = `INSERT INTO @reports AS had (grant_id, node, revision, written_at, verified_at, removed_at,
		first_admitted, last_admitted, admitted, first_refused, refused)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
	ON CONFLICT (grant_id, node) DO UPDATE SET
		written_at = CASE WHEN excluded.written_at = 0 OR excluded.revision < had.revision THEN had.written_at
			WHEN had.written_at = 0 OR excluded.revision > had.revision OR excluded.written_at < had.written_at
			THEN excluded.written_at ELSE had.written_at END,
		verified_at = CASE WHEN excluded.verified_at = 0 OR excluded.revision < had.revision THEN had.verified_at
			WHEN had.verified_at = 0 OR excluded.revision > had.revision OR excluded.verified_at < had.verified_at
			THEN excluded.verified_at ELSE had.verified_at END,
		revision = CASE WHEN excluded.revision > had.revision THEN excluded.revision ELSE had.revision END,
		removed_at = CASE WHEN excluded.removed_at > had.removed_at THEN excluded.removed_at ELSE had.removed_at END,
		first_admitted = CASE WHEN had.first_admitted = 0 OR excluded.first_admitted > 0
			AND excluded.first_admitted < had.first_admitted THEN excluded.first_admitted ELSE had.first_admitted END,
		last_admitted = CASE WHEN excluded.last_admitted > had.last_admitted THEN excluded.last_admitted
			ELSE had.last_admitted END,
		admitted = had.admitted + excluded.admitted,
		first_refused = CASE WHEN had.first_refused = 0 OR excluded.first_refused > 0
			AND excluded.first_refused < had.first_refused THEN excluded.first_refused ELSE had.first_refused END,
		refused = had.refused + excluded.refused`

// PutReports implements store.Reports.
func (s *Store) PutReports(ctx context.Context, reports []store.GrantReport) error {
	if len(reports) == 0 {
		return nil
	}
	query := s.dialect.sql(putReport)
	err := s.writer.Transact(ctx, func(tx *sql.Tx) error {
		statement, err := tx.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		for _, r := range reports {
			_, err = statement.ExecContext(ctx, r.GrantID, r.Node, r.Revision, millisOrNone(r.WrittenAt), millisOrNone(r.VerifiedAt),
				millisOrNone(r.RemovedAt), millisOrNone(r.FirstAdmitted), millisOrNone(r.LastAdmitted), r.Admitted,
				millisOrNone(r.FirstRefused), r.Refused)
			if err != nil {
				break
			}
		}
		return errors.Join(err, statement.Close())
	})
	if err != nil {
		return fmt.Errorf("write reports: %w", err)
	}
	return nil
}

// GrantReports implements store.Reports.
func (s *Store) GrantReports(ctx context.Context, grantID string) ([]store.GrantReport, error) {
	rows, err := s.query(ctx, `SELECT node, revision, written_at, verified_at, removed_at, first_admitted, last_admitted,
		admitted, first_refused, refused FROM @reports WHERE grant_id = ?1 ORDER BY node`, grantID)
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	return collect(rows, func(r *store.GrantReport) error {
		var at [6]int64
		err := rows.Scan(&r.Node, &r.Revision, &at[0], &at[1], &at[2], &at[3], &at[4], &r.Admitted, &at[5], &r.Refused)
		r.GrantID = grantID
		for i, to := range []*time.Time{&r.WrittenAt, &r.VerifiedAt, &r.RemovedAt, &r.FirstAdmitted, &r.LastAdmitted, &r.FirstRefused} {
			*to = timeOrNone(at[i])
		}
		return err
	})
}

// collect reads all rows, each by read, which fills one in, and closes them.
func collect[T any](rows *sql.Rows, read func(*T) error) (all []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var one T
		if err := read(&one); err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return all, nil
}

func millisOrNone(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return store.Millis(t)
}

func timeOrNone(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return store.Time(ms)
}
