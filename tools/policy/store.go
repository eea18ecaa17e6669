package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewaystore"
)

// loginReader reads a subject's last login.
type loginReader interface {
	Login(ctx context.Context, s grant.Subject) (store.Login, error)
}

// grantReader reads pages of grants.
type grantReader interface {
	loginReader
	List(ctx context.Context, q store.Query) (store.Page, error)
}

// stored judges the grants of the gateway's store, which is opened for reading alone: the gateway may run.
func (j *judgement) stored(ctx context.Context, config *gatewayconfig.Config) (err error) {
	db, err := gatewaystore.Open(ctx, *config, gatewaystore.Read)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return j.pages(ctx, db)
}

// page is how many grants are read at once.
const page = 500

func (j *judgement) pages(ctx context.Context, db grantReader) error {
	j.logins = db
	q := store.Query{States: []grant.State{grant.Pending, grant.Approved, grant.Active}, Limit: page}
	for {
		found, err := db.List(ctx, q)
		if err != nil {
			return fmt.Errorf("read grants: %w", err)
		}
		records := found.Records
		if len(found.Unreadable) > 0 {
			return fmt.Errorf("read grants: %w", found.Unreadable[0].Err)
		}
		for _, r := range records {
			if err := j.grant(ctx, r.Grant); err != nil {
				return fmt.Errorf("grant %s: %w", r.Grant.ID, err)
			}
		}
		if len(records) < page {
			return nil
		}
		last := records[len(records)-1].Grant
		q.After = &store.Cursor{RequestedAt: last.RequestedAt, ID: last.ID}
	}
}
