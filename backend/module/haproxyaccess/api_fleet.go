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
