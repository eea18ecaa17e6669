package dataplane

import (
	"encoding/json"
	"errors"

	"github.com/haproxytech/client-native/v5/models"
)

// v2 is the dialect of the Data Plane API 2.x: the parent of an object is a parameter, a configuration read comes in an
// envelope, and the running workers are a list.
func v2() *dialect {
	d := &dialect{name: "v2", processes: v2Processes, unwrap: v2Unwrap, text: v2Text}
	d.entries = func(mapName string) target { return d.at("runtime", "maps_entries").with("map", mapName) }
	d.entry = func(mapName, key string) target { return d.at("runtime", "maps_entries", key).with("map", mapName) }
	d.servers = func(backend string) target {
		return d.at("configuration", "servers").with("parent_type", "backend", "parent_name", backend)
	}
	d.server = func(backend, name string) target {
		return d.at("configuration", "servers", name).with("parent_type", "backend", "parent_name", backend)
	}
	d.runtimeServers = func(backend string) target { return d.at("runtime", "servers").with("backend", backend) }
	d.runtimeServer = func(backend, name string) target {
		return d.at("runtime", "servers", name).with("backend", backend)
	}
	return d
}

func v2Processes(body []byte) ([]*models.ProcessInfo, error) {
	var all models.ProcessInfos
	err := decode(body, &all)
	return all, err
}

func v2Unwrap(body []byte) ([]byte, error) {
	var envelope struct {
		Version *int64          `json:"_version"`
		Data    json.RawMessage `json:"data"`
	}
	if err := decode(body, &envelope); err != nil {
		return nil, err
	}
	if envelope.Version == nil || len(envelope.Data) == 0 {
		return nil, errors.New("no envelope")
	}
	return envelope.Data, nil
}

// v2Text takes an envelope without a version too: that of a file which the API has never written (measured with 2.9).
func v2Text(body []byte) (string, error) {
	var envelope struct {
		Data *string `json:"data"`
	}
	if err := decode(body, &envelope); err != nil {
		return "", err
	}
	if envelope.Data == nil {
		return "", errors.New("no envelope")
	}
	return *envelope.Data, nil
}
