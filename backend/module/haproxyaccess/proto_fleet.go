package haproxyaccess

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
)

func enforcementProto(v access.View) *v1.Enforcement {
	e := v.Enforcement
	p := &v1.Enforcement{
		NodesTotal: uint32(e.NodesTotal), NodesEnforced: uint32(e.NodesEnforced),
		OldWorkersUntil: grantproto.Time(e.OldWorkersUntil),
		StreamsNotCut:   e.StreamsNotCut, StreamsUntil: grantproto.Time(e.StreamsUntil),
	}
	for _, n := range v.Nodes {
		p.Nodes = append(p.Nodes, &v1.NodeEnforcement{
			Node: n.Node, Revision: uint64(n.Revision), WriteTime: grantproto.Time(n.WrittenAt),
			VerifyTime: grantproto.Time(n.VerifiedAt), RemoveTime: grantproto.Time(n.RemovedAt),
			FirstAdmittedTime: grantproto.Time(n.FirstAdmitted), LastAdmittedTime: grantproto.Time(n.LastAdmitted),
			Admitted: uint64(n.Admitted), RefusedAfterEnd: uint64(n.Refused),
			FirstRefusedAfterEndTime: grantproto.Time(n.FirstRefused),
		})
	}
	return p
}

func nodeProto(n access.NodeStatus) *v1.NodeStatus {
	p := &v1.NodeStatus{
		Node: n.Node, Environments: n.Environments, Healthy: n.Healthy, Error: n.Error, Dialect: n.Dialect,
		LastPassTime: grantproto.Time(n.LastPass), LastSuccessTime: grantproto.Time(n.LastSuccess), Revision: uint64(n.Revision),
		ClockOffset: durationpb.New(n.ClockOffset), DriftRepaired: uint64(n.DriftRepaired),
		WorkerStartTime: grantproto.Time(n.WorkerStarted), HaproxyVersion: n.HAProxyVersion,
		Rows: uint64(n.Rows), Source: n.Source, Writer: n.Writer,
		LastDrift: n.LastDrift, LastDriftTime: grantproto.Time(n.LastDriftAt), PendingRemovals: uint64(n.PendingRemovals),
		CutsStreams: n.CutsStreams, ReachesOldWorkers: n.ReachesOldWorkers,
		ConfigManaged: n.ConfigManaged, ConfigError: n.ConfigError,
	}
	for _, l := range n.Leases {
		p.Leases = append(p.Leases, &v1.NodeStatus_Lease{
			Environment: l.Environment, Off: l.Off, Until: grantproto.Time(l.Until),
		})
	}
	return p
}

func serverProtos(servers []access.Server) []*v1.PoolServer {
	var all []*v1.PoolServer
	for _, s := range servers {
		all = append(all, &v1.PoolServer{
			Node: s.Node, Name: s.Name, Address: s.Address, Port: uint32(s.Port),
			OperationalState: s.OperationalState, AdminState: s.AdminState, Error: s.Error,
		})
	}
	return all
}

func environmentProto(e access.Environment) *v1.Environment {
	return &v1.Environment{
		Name: e.Name, Template: e.Template, Actor: string(e.By), RegisterTime: grantproto.Time(e.At),
		Pools: e.Pools, Problems: e.Problems,
	}
}
