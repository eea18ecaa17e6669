// Package host embeds the web page that the gateway serves. It imports nothing but the standard library.
package host

import (
	"embed"
	"io/fs"
)

//go:embed placeholder
var files embed.FS

// Dist returns the page's files with index.html at the root. The page is a plain one until the web application is part
// of the build.
func Dist() fs.FS {
	dist, err := fs.Sub(files, "placeholder")
	if err != nil {
		// The path is a constant that go:embed has checked.
		panic(err)
	}
	return dist
}
