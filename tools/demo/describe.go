package main

import (
	"bytes"
	_ "embed"
	"fmt"
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
	kind := "built-in, for trying and testing only"
	if options.DataPlaneBin != "" {
		kind = options.DataPlaneBin
	}
	w("  Three nodes; their Data Plane APIs are %s:\n", kind)
	for i, node := range endpoints.Nodes {
		dataplane := endpoints.DataPlane[i]
		w("    %-8s HAProxy %s  Data Plane API %s/%s  serves %s\n",
			node.Name, node.HAProxy, dataplane.URL, dataplane.Version, strings.Join(node.Environments, ", "))
	}
	w("  Pools\n")
	for _, pool := range endpoints.Pools {
		w("    %-16s %s\n", pool.Environment+"/"+pool.Pool, strings.Join(pool.URLs, "  "))
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
	err := walkthroughTemplate.Execute(&out, map[string]any{
		"API": endpoints.Gateway + "/v1/haproxyaccess", "Token": token,
		"Billing": poolURLs(endpoints, "billing.staging.localhost"),
		"Ops":     poolURLs(endpoints, "ops.prod.localhost"),
	})
	if err != nil {
		w("the walk-through cannot be written: %v\n", err)
	}
	return out.String()
}

// poolURLs are where a pool's host is reached, on each of its nodes, as words of one command.
func poolURLs(endpoints world.Endpoints, host string) string {
	var all []string
	for _, pool := range endpoints.Pools {
		if pool.Host == host {
			for _, url := range pool.URLs {
				all = append(all, url+"/")
			}
		}
	}
	return strings.Join(all, " ")
}
