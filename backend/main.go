// Command backend is a complete Clutch gateway with this plugin in it. It only registers factories and serves the page:
// a team's own gateway does the same with plugin.Register.
package main

import (
	"net/http"

	"github.com/lyft/clutch/backend/gateway"

	"github.com/haproxy-access/clutch-haproxy-access/backend/plugin"
	"github.com/haproxy-access/clutch-haproxy-access/frontend/host"
)

func main() {
	flags := gateway.ParseFlags()
	components := gateway.CoreComponentFactory
	plugin.Register(components)
	gateway.Run(flags, components, http.FS(host.Dist()))
}
