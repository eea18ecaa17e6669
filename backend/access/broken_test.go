package access_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// marker stands in every error of a broken store.
const marker = "dsn=postgres://clutch:s3cret@db"

var errBroken = errors.New("disk I/O error " + marker)

// faults are what goes wrong with a store, by the names of its methods.
type faults struct {
	mu     sync.Mutex
	fails  []string
	method string // before the next call of which do is done
	do     func()
}

// set names the methods that fail from now on, between spaces.
func (f *faults) set(fails string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = strings.Fields(fails)
}

// meanwhile does something once, right before the next call of the method.
func (f *faults) meanwhile(method string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.method, f.do = method, do
}

// meanwhileAfter is meanwhile before the call that follows n others.
func (f *faults) meanwhileAfter(n int, method string, do func()) {
	if n == 0 {
		f.meanwhile(method, do)
		return
	}
	f.meanwhile(method, func() { f.meanwhileAfter(n-1, method, do) })
}

func (f *faults) meet(method string) error {
	f.mu.Lock()
	var do func()
	if method == f.method {
		do, f.do, f.method = f.do, nil, ""
	}
	fails := slices.Contains(f.fails, method)
	f.mu.Unlock()
	if do != nil {
		do()
	}
	if fails {
		return errBroken
	}
	return nil
}

// broken is a store with faults.
type broken struct {
	store.Grants
	faults
}

func (b *broken) Commit(ctx context.Context, c store.Change) (int64, error) {
	if err := b.meet("Commit"); err != nil {
		return 0, err
	}
	return b.Grants.Commit(ctx, c)
}

func (b *broken) Grant(ctx context.Context, id string) (store.Record, error) {
	if err := b.meet("Grant"); err != nil {
		return store.Record{}, err
	}
	return b.Grants.Grant(ctx, id)
}

func (b *broken) LiveGrant(ctx context.Context, s grant.Subject, p grant.Pool) (store.Record, error) {
	if err := b.meet("Live"); err != nil {
		return store.Record{}, err
	}
	return b.Grants.LiveGrant(ctx, s, p)
}

func (b *broken) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := b.meet("List"); err != nil {
		return store.Page{}, err
	}
	return b.Grants.List(ctx, q)
}

func (b *broken) Due(ctx context.Context, at time.Time, limit int) (store.Page, error) {
	if err := b.meet("Due"); err != nil {
		return store.Page{}, err
	}
	return b.Grants.Due(ctx, at, limit)
}

func (b *broken) Overdue(ctx context.Context, at time.Time, limit int) (store.Page, error) {
	if err := b.meet("Overdue"); err != nil {
		return store.Page{}, err
	}
	return b.Grants.Overdue(ctx, at, limit)
}

func (b *broken) Replayed(ctx context.Context, c grant.Subject, method, key string) (store.Replay, error) {
	if err := b.meet("Replayed"); err != nil {
		return store.Replay{}, err
	}
	return b.Grants.Replayed(ctx, c, method, key)
}

// brokenHistory is what is read beside the grants, with the same faults. The name of its field is not that of a method.
type (
	history       = store.History
	brokenHistory struct {
		history
		faults *faults
	}
)

func (b brokenHistory) History(ctx context.Context, q store.EventQuery) ([]store.Entry, error) {
	if err := b.faults.meet("History"); err != nil {
		return nil, err
	}
	return b.history.History(ctx, q)
}

func (b brokenHistory) Locks(ctx context.Context, at time.Time, limit int) ([]grant.Lock, error) {
	if err := b.faults.meet("Locks"); err != nil {
		return nil, err
	}
	return b.history.Locks(ctx, at, limit)
}

func (b brokenHistory) Lock(ctx context.Context, id string) (grant.Lock, error) {
	if err := b.faults.meet("Lock"); err != nil {
		return grant.Lock{}, err
	}
	return b.history.Lock(ctx, id)
}

func (b brokenHistory) Head(ctx context.Context) (int64, error) {
	if err := b.faults.meet("Head"); err != nil {
		return 0, err
	}
	return b.history.Head(ctx)
}

// brokenLogins keeps the logins, with the same faults.
type brokenLogins struct {
	store.Logins
	faults *faults
}

func (b brokenLogins) Login(ctx context.Context, s grant.Subject) (store.Login, error) {
	if err := b.faults.meet("Login"); err != nil {
		return store.Login{}, err
	}
	return b.Logins.Login(ctx, s)
}

func (b brokenLogins) RememberLogin(ctx context.Context, l store.Login, latest time.Time) error {
	if err := b.faults.meet("RememberLogin"); err != nil {
		return err
	}
	return b.Logins.RememberLogin(ctx, l, latest)
}

func (b brokenLogins) Members(ctx context.Context, group string, since time.Time, limit int) ([]grant.Subject, error) {
	if err := b.faults.meet("Members"); err != nil {
		return nil, err
	}
	return b.Logins.Members(ctx, group, since, limit)
}
