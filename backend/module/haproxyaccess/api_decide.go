package haproxyaccess

import (
	"context"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
)

func (a *api) ApproveAccess(ctx context.Context, req *v1.ApproveAccessRequest) (*v1.ApproveAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ApproveAccessResponse, error) {
		d := access.Decision{GrantID: req.GetGrantId(), Etag: req.GetEtag(), Comment: req.GetComment()}
		v, err := a.use.Approve(ctx, c, d, req.GetIdempotencyKey())
		return &v1.ApproveAccessResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) DenyAccess(ctx context.Context, req *v1.DenyAccessRequest) (*v1.DenyAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.DenyAccessResponse, error) {
		d := access.Decision{GrantID: req.GetGrantId(), Etag: req.GetEtag(), Comment: req.GetComment()}
		v, err := a.use.Deny(ctx, c, d, req.GetIdempotencyKey())
		return &v1.DenyAccessResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) WithdrawApproval(ctx context.Context, req *v1.WithdrawApprovalRequest) (*v1.WithdrawApprovalResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.WithdrawApprovalResponse, error) {
		r := access.Revocation{GrantID: req.GetGrantId(), Reason: req.GetReason()}
		v, err := a.use.Withdraw(ctx, c, r, req.GetIdempotencyKey())
		return &v1.WithdrawApprovalResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) ReviewAccess(ctx context.Context, req *v1.ReviewAccessRequest) (*v1.ReviewAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ReviewAccessResponse, error) {
		d := access.Decision{GrantID: req.GetGrantId(), Etag: req.GetEtag(), Comment: req.GetComment()}
		v, err := a.use.Review(ctx, c, d, req.GetIdempotencyKey())
		return &v1.ReviewAccessResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) RevokeAccess(ctx context.Context, req *v1.RevokeAccessRequest) (*v1.RevokeAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.RevokeAccessResponse, error) {
		r := access.Revocation{GrantID: req.GetGrantId(), Reason: req.GetReason()}
		v, err := a.use.Revoke(ctx, c, r, req.GetIdempotencyKey())
		return &v1.RevokeAccessResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) RevokeGrants(ctx context.Context, req *v1.RevokeGrantsRequest) (*v1.RevokeGrantsResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.RevokeGrantsResponse, error) {
		b, err := bulkOf(req)
		if err != nil {
			return nil, err
		}
		r, err := a.use.RevokeAll(ctx, c, b, req.GetIdempotencyKey())
		return &v1.RevokeGrantsResponse{
			Covered: openProto(r.Open), Grants: grantProtos(r.Grants), Failed: uint32(r.Failed), FirstCallTime: grantproto.Time(r.FirstAt),
		}, err
	})
}

func (a *api) CreateLock(ctx context.Context, req *v1.CreateLockRequest) (*v1.CreateLockResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.CreateLockResponse, error) {
		until, err := timeOf("until_time", req.GetUntilTime())
		if err != nil {
			return nil, err
		}
		v, err := a.use.Lock(ctx, c, access.LockAsk{
			Subject: req.GetSubject(), Environment: req.GetEnvironment(), Pool: req.GetPool(), Everything: req.GetEverything(),
			Reason: req.GetReason(), Until: until, DryRun: req.GetDryRun(),
		}, req.GetIdempotencyKey())
		return &v1.CreateLockResponse{
			Lock: grantproto.Lock(v.Lock), Covered: openProto(v.Open), Failed: uint32(v.Failed), Grants: grantProtos(v.Grants),
			Warning: v.Warning,
		}, err
	})
}

func (a *api) ReleaseLock(ctx context.Context, req *v1.ReleaseLockRequest) (*v1.ReleaseLockResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ReleaseLockResponse, error) {
		v, err := a.use.Unlock(ctx, c, req.GetLockId(), req.GetReason(), req.GetIdempotencyKey())
		return &v1.ReleaseLockResponse{Lock: grantproto.Lock(v.Lock)}, err
	})
}

func (a *api) ListLocks(ctx context.Context, req *v1.ListLocksRequest) (*v1.ListLocksResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ListLocksResponse, error) {
		locks, err := a.use.Locks(ctx, c, req.GetAll())
		resp := &v1.ListLocksResponse{}
		for _, l := range locks {
			resp.Locks = append(resp.Locks, grantproto.Lock(l))
		}
		return resp, err
	})
}

func (a *api) GetPolicy(ctx context.Context, _ *v1.GetPolicyRequest) (*v1.GetPolicyResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.GetPolicyResponse, error) {
		s, err := a.use.PolicyStatus(ctx, c)
		return &v1.GetPolicyResponse{
			Policy: s.Name, PolicyHash: s.Hash, Files: s.Files, LoadTime: grantproto.Time(s.LoadedAt), Rules: uint32(s.Rules),
			Error: s.Error, ErrorTime: grantproto.Time(s.ErrorAt),
		}, err
	})
}
