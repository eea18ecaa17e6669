package haproxyaccess

import (
	"context"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
)

// api implements the generated server. Each method turns its request into the domain's words, calls one use case, and
// turns the answer back.
type api struct {
	use   UseCases
	login func(context.Context) (access.Login, error)
	log   *zap.Logger
}

// as calls do with who calls, and answers errors as statuses.
func as[R any](ctx context.Context, a *api, do func(access.Caller) (R, error)) (R, error) {
	var none R
	login, err := a.login(ctx)
	if err != nil {
		return none, err
	}
	c, err := a.use.Identify(ctx, login)
	if err != nil {
		return none, a.statusError(err)
	}
	answer, err := do(c)
	if err != nil {
		return none, a.statusError(err)
	}
	return answer, nil
}

func (a *api) ListPools(ctx context.Context, req *v1.ListPoolsRequest) (*v1.ListPoolsResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ListPoolsResponse, error) {
		pools, err := a.use.Pools(ctx, c, req.GetEnvironment())
		resp := &v1.ListPoolsResponse{}
		for _, p := range pools {
			resp.Pools = append(resp.Pools, poolProto(p))
		}
		return resp, err
	})
}

func (a *api) PreviewAccess(ctx context.Context, req *v1.PreviewAccessRequest) (*v1.PreviewAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.PreviewAccessResponse, error) {
		ask, err := previewOf(req)
		if err != nil {
			return nil, err
		}
		p, err := a.use.Preview(ctx, c, ask)
		return previewProto(p), err
	})
}

func (a *api) RequestAccess(ctx context.Context, req *v1.RequestAccessRequest) (*v1.RequestAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.RequestAccessResponse, error) {
		ask, err := askOf(req)
		if err != nil {
			return nil, err
		}
		v, err := a.use.Request(ctx, c, ask, req.GetIdempotencyKey())
		return &v1.RequestAccessResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) ExtendAccess(ctx context.Context, req *v1.ExtendAccessRequest) (*v1.ExtendAccessResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ExtendAccessResponse, error) {
		by, err := durationOf(req.GetDuration())
		if err != nil {
			return nil, err
		}
		l := access.Longer{GrantID: req.GetGrantId(), By: by, Reason: req.GetReason(), Inputs: req.GetInputs()}
		v, err := a.use.Extend(ctx, c, l, req.GetIdempotencyKey())
		return &v1.ExtendAccessResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) CancelExtension(ctx context.Context, req *v1.CancelExtensionRequest) (*v1.CancelExtensionResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.CancelExtensionResponse, error) {
		r := access.Revocation{GrantID: req.GetGrantId(), Reason: req.GetReason()}
		v, err := a.use.CancelExtension(ctx, c, r, req.GetIdempotencyKey())
		return &v1.CancelExtensionResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) IssueToken(ctx context.Context, req *v1.IssueTokenRequest) (*v1.IssueTokenResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.IssueTokenResponse, error) {
		token, expires, err := a.use.IssueToken(ctx, c, req.GetGrantId())
		return &v1.IssueTokenResponse{Token: token, ExpireTime: timestamppb.New(expires)}, err
	})
}

func (a *api) GetGrant(ctx context.Context, req *v1.GetGrantRequest) (*v1.GetGrantResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.GetGrantResponse, error) {
		v, err := a.use.Get(ctx, c, req.GetGrantId())
		return &v1.GetGrantResponse{Grant: grantProto(v)}, err
	})
}

func (a *api) ListGrants(ctx context.Context, req *v1.ListGrantsRequest) (*v1.ListGrantsResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ListGrantsResponse, error) {
		f, err := filterOf(req)
		if err != nil {
			return nil, err
		}
		page, err := a.use.List(ctx, c, f)
		return &v1.ListGrantsResponse{Grants: grantProtos(page.Grants), NextPageToken: page.Next}, err
	})
}

func (a *api) ListEvents(ctx context.Context, req *v1.ListEventsRequest) (*v1.ListEventsResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ListEventsResponse, error) {
		f, err := eventFilterOf(req)
		if err != nil {
			return nil, err
		}
		page, err := a.use.Events(ctx, c, f)
		resp := &v1.ListEventsResponse{NextPageToken: page.Next}
		for _, e := range page.Events {
			resp.Events = append(resp.Events, grantproto.Event(e))
		}
		return resp, err
	})
}
