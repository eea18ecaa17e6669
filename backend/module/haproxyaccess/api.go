package haproxyaccess

import (
	"context"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
)

// api implements the generated server.
type api struct {
	use    UseCases
	caller func(context.Context) (access.Caller, error)
	log    *zap.Logger
}

func (a *api) ListPools(ctx context.Context, req *haproxyaccessv1.ListPoolsRequest) (*haproxyaccessv1.ListPoolsResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	resp := &haproxyaccessv1.ListPoolsResponse{}
	for _, p := range a.use.Pools(ctx, c, req.GetEnvironment()) {
		resp.Pools = append(resp.Pools, poolProto(p))
	}
	return resp, nil
}

func (a *api) PreviewAccess(ctx context.Context, req *haproxyaccessv1.PreviewAccessRequest) (*haproxyaccessv1.PreviewAccessResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkDuration(req.GetDuration()); err != nil {
		return nil, err
	}
	d, err := a.use.Preview(ctx, c, req.GetEnvironment(), req.GetPool(), req.GetDuration().AsDuration())
	if err != nil {
		return nil, a.statusError(err)
	}
	return previewProto(d), nil
}

func (a *api) RequestAccess(ctx context.Context, req *haproxyaccessv1.RequestAccessRequest) (*haproxyaccessv1.RequestAccessResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkDuration(req.GetDuration()); err != nil {
		return nil, err
	}
	v, err := a.use.Request(ctx, c, access.Ask{
		Environment: req.GetEnvironment(), Pool: req.GetPool(),
		Duration: req.GetDuration().AsDuration(), Reason: req.GetReason(),
	}, req.GetIdempotencyKey())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.RequestAccessResponse{Grant: grantProto(v)}, nil
}

func (a *api) ApproveAccess(ctx context.Context, req *haproxyaccessv1.ApproveAccessRequest) (*haproxyaccessv1.ApproveAccessResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	d := access.Decision{GrantID: req.GetGrantId(), Etag: req.GetEtag(), Comment: req.GetComment()}
	v, err := a.use.Approve(ctx, c, d, req.GetIdempotencyKey())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.ApproveAccessResponse{Grant: grantProto(v)}, nil
}

func (a *api) DenyAccess(ctx context.Context, req *haproxyaccessv1.DenyAccessRequest) (*haproxyaccessv1.DenyAccessResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	d := access.Decision{GrantID: req.GetGrantId(), Etag: req.GetEtag(), Comment: req.GetComment()}
	v, err := a.use.Deny(ctx, c, d, req.GetIdempotencyKey())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.DenyAccessResponse{Grant: grantProto(v)}, nil
}

func (a *api) RevokeAccess(ctx context.Context, req *haproxyaccessv1.RevokeAccessRequest) (*haproxyaccessv1.RevokeAccessResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	r := access.Revocation{GrantID: req.GetGrantId(), Reason: req.GetReason()}
	v, err := a.use.Revoke(ctx, c, r, req.GetIdempotencyKey())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.RevokeAccessResponse{Grant: grantProto(v)}, nil
}

func (a *api) GetGrant(ctx context.Context, req *haproxyaccessv1.GetGrantRequest) (*haproxyaccessv1.GetGrantResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	v, err := a.use.Get(ctx, c, req.GetGrantId())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.GetGrantResponse{Grant: grantProto(v)}, nil
}

func (a *api) ListGrants(ctx context.Context, req *haproxyaccessv1.ListGrantsRequest) (*haproxyaccessv1.ListGrantsResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	f, err := filterOf(req)
	if err != nil {
		return nil, err
	}
	page, err := a.use.List(ctx, c, f)
	if err != nil {
		return nil, a.statusError(err)
	}
	resp := &haproxyaccessv1.ListGrantsResponse{NextPageToken: page.Next}
	for _, v := range page.Grants {
		resp.Grants = append(resp.Grants, grantProto(v))
	}
	return resp, nil
}

func (a *api) IssueToken(ctx context.Context, req *haproxyaccessv1.IssueTokenRequest) (*haproxyaccessv1.IssueTokenResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	token, expires, err := a.use.IssueToken(ctx, c, req.GetGrantId())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.IssueTokenResponse{Token: token, ExpireTime: timestamppb.New(expires)}, nil
}

func (a *api) GetNodeStatus(ctx context.Context, req *haproxyaccessv1.GetNodeStatusRequest) (*haproxyaccessv1.GetNodeStatusResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := a.use.Nodes(ctx, c, req.GetEnvironment())
	if err != nil {
		return nil, a.statusError(err)
	}
	resp := &haproxyaccessv1.GetNodeStatusResponse{}
	for _, n := range nodes {
		resp.Nodes = append(resp.Nodes, nodeProto(n))
	}
	return resp, nil
}

func (a *api) ListPoolServers(ctx context.Context, req *haproxyaccessv1.ListPoolServersRequest) (*haproxyaccessv1.ListPoolServersResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	servers, err := a.use.Servers(ctx, c, req.GetEnvironment(), req.GetPool())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.ListPoolServersResponse{Servers: serverProtos(servers)}, nil
}

func (a *api) AddPoolServer(ctx context.Context, req *haproxyaccessv1.AddPoolServerRequest) (*haproxyaccessv1.AddPoolServerResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	s := access.Server{Name: req.GetName(), Address: req.GetAddress(), Port: int(req.GetPort())}
	servers, err := a.use.AddServer(ctx, c, req.GetEnvironment(), req.GetPool(), s, req.GetIdempotencyKey())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.AddPoolServerResponse{Servers: serverProtos(servers)}, nil
}

func (a *api) RemovePoolServer(ctx context.Context, req *haproxyaccessv1.RemovePoolServerRequest) (*haproxyaccessv1.RemovePoolServerResponse, error) {
	c, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	servers, err := a.use.RemoveServer(ctx, c, req.GetEnvironment(), req.GetPool(), req.GetName(), req.GetIdempotencyKey())
	if err != nil {
		return nil, a.statusError(err)
	}
	return &haproxyaccessv1.RemovePoolServerResponse{Servers: serverProtos(servers)}, nil
}
