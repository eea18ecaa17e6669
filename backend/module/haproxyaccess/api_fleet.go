package haproxyaccess

import (
	"context"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
)

func (a *api) GetNodeStatus(ctx context.Context, req *v1.GetNodeStatusRequest) (*v1.GetNodeStatusResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.GetNodeStatusResponse, error) {
		nodes, err := a.use.Nodes(ctx, c, req.GetEnvironment())
		resp := &v1.GetNodeStatusResponse{}
		for _, n := range nodes {
			resp.Nodes = append(resp.Nodes, nodeProto(n))
		}
		return resp, err
	})
}

func (a *api) ListPoolServers(ctx context.Context, req *v1.ListPoolServersRequest) (*v1.ListPoolServersResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ListPoolServersResponse, error) {
		servers, err := a.use.Servers(ctx, c, req.GetEnvironment(), req.GetPool())
		return &v1.ListPoolServersResponse{Servers: serverProtos(servers)}, err
	})
}

func (a *api) AddPoolServer(ctx context.Context, req *v1.AddPoolServerRequest) (*v1.AddPoolServerResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.AddPoolServerResponse, error) {
		s := access.Server{Name: req.GetName(), Address: req.GetAddress(), Port: int(req.GetPort())}
		servers, err := a.use.AddServer(ctx, c, req.GetEnvironment(), req.GetPool(), s, req.GetIdempotencyKey())
		return &v1.AddPoolServerResponse{Servers: serverProtos(servers)}, err
	})
}

func (a *api) RemovePoolServer(ctx context.Context, req *v1.RemovePoolServerRequest) (*v1.RemovePoolServerResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.RemovePoolServerResponse, error) {
		servers, err := a.use.RemoveServer(ctx, c, req.GetEnvironment(), req.GetPool(), req.GetName(), req.GetIdempotencyKey())
		return &v1.RemovePoolServerResponse{Servers: serverProtos(servers)}, err
	})
}

func (a *api) DrainPoolServer(ctx context.Context, req *v1.DrainPoolServerRequest) (*v1.DrainPoolServerResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.DrainPoolServerResponse, error) {
		servers, err := a.use.DrainServer(ctx, c, req.GetEnvironment(), req.GetPool(), req.GetName(), req.GetReady(), req.GetIdempotencyKey())
		return &v1.DrainPoolServerResponse{Servers: serverProtos(servers)}, err
	})
}

func (a *api) RegisterEnvironment(
	ctx context.Context, req *v1.RegisterEnvironmentRequest,
) (*v1.RegisterEnvironmentResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.RegisterEnvironmentResponse, error) {
		e, err := a.use.RegisterEnvironment(ctx, c, req.GetEnvironment(), req.GetIdempotencyKey())
		return &v1.RegisterEnvironmentResponse{Environment: environmentProto(e)}, err
	})
}

func (a *api) RemoveEnvironment(ctx context.Context, req *v1.RemoveEnvironmentRequest) (*v1.RemoveEnvironmentResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.RemoveEnvironmentResponse, error) {
		v, err := a.use.RemoveEnvironment(ctx, c, req.GetEnvironment(), req.GetIdempotencyKey())
		return &v1.RemoveEnvironmentResponse{Covered: openProto(v.Open), Failed: uint32(v.Failed)}, err
	})
}

func (a *api) ListEnvironments(ctx context.Context, _ *v1.ListEnvironmentsRequest) (*v1.ListEnvironmentsResponse, error) {
	return as(ctx, a, func(c access.Caller) (*v1.ListEnvironmentsResponse, error) {
		all, err := a.use.ListEnvironments(ctx, c)
		resp := &v1.ListEnvironmentsResponse{}
		for _, e := range all {
			resp.Environments = append(resp.Environments, environmentProto(e))
		}
		return resp, err
	})
}
