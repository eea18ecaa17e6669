package world

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// versionTimeout bounds the question for a program's version.
const versionTimeout = 10 * time.Second

// dataPlaneVersion finds the version in what "dataplaneapi -v" prints: "HAProxy Data Plane API v2.9.27 0a1b2c3".
var dataPlaneVersion = regexp.MustCompile(`Data Plane API v?([0-9]+)\.[0-9]+`)

// dialect finds out which API a Data Plane API speaks, "v2" or "v3": by its version, or, since one that was built without
// saying it has none, by the library that it was built with.
func dialect(ctx context.Context, program string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	if found := dataPlaneVersion.FindSubmatch(output); found != nil {
		return spoken(program, "v"+string(found[1]))
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("find the version of %s: -v does not tell, and: %w", program, err)
	}
	if version := engine(info.Deps); version != "" {
		return version, nil
	}
	return "", fmt.Errorf("find the version of %s: neither -v nor its build tells", program)
}

// engine tells the API by the library that a Data Plane API is built on: client-native's major version 5 is the engine of
// 2.x, 6 that of 3.x, which may have 5 in it as well to convert what is old. Empty if there is neither.
func engine(dependencies []*debug.Module) (version string) {
	for _, dependency := range dependencies {
		switch library, _ := strings.CutPrefix(dependency.Path, "github.com/haproxytech/client-native/"); library {
		case "v5":
			if version == "" {
				version = "v2"
			}
		case "v6":
			version = "v3"
		}
	}
	return version
}

func spoken(program, version string) (string, error) {
	if version != "v2" && version != "v3" {
		return "", fmt.Errorf("check %s: it is a Data Plane API %s.x, want 2.x or 3.x", program, strings.TrimPrefix(version, "v"))
	}
	return version, nil
}
