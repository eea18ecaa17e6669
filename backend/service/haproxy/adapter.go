package haproxy

import (
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// Adapter is a node as the loops of reconcile ask for it, with all that the Data Plane API can do of what is optional
// there.
type Adapter interface {
	reconcile.Node
	reconcile.Bulk
	reconcile.Prober
	reconcile.Recognizer
}

// NewAdapter makes a node of a client. The service makes its own from the configuration; this is for simulations that
// drive the real client.
func NewAdapter(client *dataplane.Client) Adapter { return node{client} }
