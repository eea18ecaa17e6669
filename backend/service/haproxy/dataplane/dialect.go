package dataplane

import (
	"net/url"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

// dialect is all that differs between the versions of the API. A further version is a further file with a function
// that fills one in, as v2 does, and a line in dialects.
type dialect struct {
	name string // as it stands in the path: "v2"

	entries        func(mapName string) target
	entry          func(mapName, key string) target
	servers        func(backend string) target // in the configuration
	server         func(backend, name string) target
	runtimeServers func(backend string) target
	runtimeServer  func(backend, name string) target

	// processes reads the answer about the running worker. It has one item where one worker runs.
	processes func(body []byte) ([]*models.ProcessInfo, error)
	// unwrap takes the envelope, if any, off the answer to a configuration read.
	unwrap func(body []byte) ([]byte, error)
	// text reads the answer to a read of the whole configuration.
	text func(body []byte) (string, error)
	// replacesByForm says that a general file is replaced by a form with the file, as one is made; otherwise by its text.
	replacesByForm bool
	// runtimeAdd says that a server that is added by version may come into the running worker without a reload.
	runtimeAdd bool
}

// dialects are all that the client speaks, in the order in which a node is asked for them.
func dialects() []*dialect { return []*dialect{v3(), v2()} }

// A route is the target of a call, once it is known which dialect the node speaks.
type route func(d *dialect) target

// The paths that all versions share below their roots.

func (d *dialect) about() target                 { return target{path: "/" + d.name + "/info"} }
func (d *dialect) info() target                  { return d.at("runtime", "info") }
func (d *dialect) bulk(mapName string) target    { return d.at("runtime", "maps", mapName) }
func (d *dialect) mapFile(mapName string) target { return d.at("storage", "maps", mapName) }
func (d *dialect) mapFiles() target              { return d.at("storage", "maps") }
func (d *dialect) general() target               { return d.at("storage", "general") }
func (d *dialect) generalFile(name string) target {
	return d.at("storage", "general", name)
}
func (d *dialect) version() target              { return d.at("configuration", "version") }
func (d *dialect) raw() target                  { return d.at("configuration", "raw") }
func (d *dialect) backends() target             { return d.at("configuration", "backends") }
func (d *dialect) transactions() target         { return d.at("transactions") }
func (d *dialect) transaction(id string) target { return d.at("transactions", id) }

func (d *dialect) at(segments ...string) target {
	return target{path: "/" + d.name + "/services/haproxy" + escape(segments...)}
}

// target is a path, already escaped, and a query.
type target struct {
	path  string
	query url.Values
}

// with returns the target with one more parameter. name and value alternate.
func (t target) with(pairs ...string) target {
	query := url.Values{}
	for name, values := range t.query {
		query[name] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return target{path: t.path, query: query}
}

func (t target) on(base *url.URL) (*url.URL, error) {
	u := *base
	path, err := url.PathUnescape(t.path)
	if err != nil {
		return nil, err
	}
	u.Path, u.RawPath, u.RawQuery = path, t.path, t.query.Encode()
	return &u, nil
}

// escape joins segments into a path. It escapes every byte but letters, digits and -._~, so that "/" and "|" of a key
// stay in the key and "+" is nowhere taken for a space. No segment has a space, which QueryEscape would turn to "+".
func escape(segments ...string) string {
	var path strings.Builder
	for _, segment := range segments {
		path.WriteByte('/')
		path.WriteString(url.QueryEscape(segment))
	}
	return path.String()
}
