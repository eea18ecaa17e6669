package main

import (
	"bytes"
	_ "embed"
	"fmt"
	neturl "net/url"
	"strings"
	"text/template"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

//go:embed walkthrough.tmpl
var walkthrough string

var walkthroughTemplate = template.Must(template.New("walkthrough").Parse(walkthrough))

// describe is what is printed once everything runs: addresses, and ten lines to paste into bash in the repository's root.
func describe(endpoints world.Endpoints, options world.Options) string {
	var out bytes.Buffer
	w := func(format string, values ...any) { fmt.Fprintf(&out, format, values...) }
	w("\nEverything runs. Ctrl-C stops it; state, logs and endpoints.json are in %s/.\n\n", options.Dir)
	w("  Clutch             %s\n", endpoints.Gateway)
	w("  HAProxy            %s\n", endpoints.HAProxy)
	for _, pool := range endpoints.Pools {
		w("    %-16s %s\n", pool.Environment+"/"+pool.Pool, poolURL(endpoints, pool.Host))
	}
	kind := "built-in, for trying and testing only"
	if options.DataPlaneBin != "" {
		kind = options.DataPlaneBin
	}
	for _, dataplane := range endpoints.DataPlane {
		w("  Data Plane API     %s/%s (%s)\n", dataplane.URL, dataplane.Version, kind)
	}
	w("  Identity provider  %s (for development only)\n", endpoints.Issuer)
	for _, user := range endpoints.Users {
		w("    %-18s password %-12s %s\n", user.Email, user.Password, strings.Join(user.Groups, ", "))
	}
	w("\nTo walk through it, paste these lines into bash in another terminal, in the repository's root:\n\n")
	token := "make -s demo-token"
	if options.Dir != ".demo" {
		token += " DEMO_DIR=" + options.Dir
	}
	err := walkthroughTemplate.Execute(&out, map[string]string{
		"API": endpoints.Gateway + "/v1/haproxyaccess", "Token": token,
		"Billing": poolURL(endpoints, "billing.staging.localhost"),
		"Ops":     poolURL(endpoints, "ops.prod.localhost"),
	})
	if err != nil {
		w("the walk-through cannot be written: %v\n", err)
	}
	return out.String()
}

// poolURL is where a pool's host is reached: names that end in .localhost are this machine, for curl and browsers alike.
func poolURL(endpoints world.Endpoints, host string) string {
	at, err := neturl.Parse(endpoints.HAProxy)
	if err != nil {
		return endpoints.HAProxy
	}
	at.Host = host + ":" + at.Port()
	return at.String()
}
