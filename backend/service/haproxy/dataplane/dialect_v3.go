package dataplane

import (
	"errors"

	"github.com/haproxytech/client-native/v5/models"
)

// v3 is the dialect of the Data Plane API 3.x: an object stands below its parent in the path, a configuration read
// answers the bare value, and the running worker is one object. Its payloads fit client-native v5's models in all that
// this client reads and writes; the contract tests hold them against the specification of version 6.
func v3() *dialect {
	d := &dialect{name: "v3", processes: v3Process, unwrap: v3Bare, text: v3Text, replacesByForm: true, runtimeAdd: true}
	d.entries = func(mapName string) target { return d.at("runtime", "maps", mapName, "entries") }
	d.entry = func(mapName, key string) target { return d.at("runtime", "maps", mapName, "entries", key) }
	d.servers = func(backend string) target { return d.at("configuration", "backends", backend, "servers") }
	d.server = func(backend, name string) target {
		return d.at("configuration", "backends", backend, "servers", name)
	}
	d.runtimeServers = func(backend string) target { return d.at("runtime", "backends", backend, "servers") }
	d.runtimeServer = func(backend, name string) target {
		return d.at("runtime", "backends", backend, "servers", name)
	}
	return d
}

func v3Process(body []byte) ([]*models.ProcessInfo, error) {
	var one models.ProcessInfo
	if err := decode(body, &one); err != nil {
		return nil, err
	}
	return []*models.ProcessInfo{&one}, nil
}

func v3Bare(body []byte) ([]byte, error) { return body, nil }

func v3Text(body []byte) (string, error) {
	if len(body) == 0 {
		return "", errors.New("no text")
	}
	return string(body), nil
}
