// Package gatewayconfig reads this project's parts of a Clutch gateway's configuration file, for tools that work beside
// the gateway. It reads the file as Clutch does, but knows our components only, so a tool need not link all of Clutch.
//
// It may import generated code of ours.
package gatewayconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	storev1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
)

// Config is what the file says of our services.
type Config struct {
	Fleet  *haproxyv1.Config // clutch.service.haproxy
	Access *accessv1.Config  // clutch.service.haproxyaccess
	Store  *storev1.Config   // clutch.service.haproxyaccess.store
}

type message interface {
	proto.Message
	Validate() error
}

// Read reads and checks the file: ${VAR} is expanded, an unknown or missing field is an error that names it, and the
// three services must be there. Relative paths in it stay as they are: they are the gateway's.
func Read(path string) (Config, error) {
	config := Config{Fleet: &haproxyv1.Config{}, Access: &accessv1.Config{}, Store: &storev1.Config{}}
	want := map[string]message{
		"clutch.service.haproxy":             config.Fleet,
		"clutch.service.haproxyaccess":       config.Access,
		"clutch.service.haproxyaccess.store": config.Store,
	}
	if err := read(path, want, map[string]bool{}); err != nil {
		return Config{}, err
	}
	var errs []error
	for name, m := range want {
		if proto.Size(m) == 0 {
			errs = append(errs, fmt.Errorf("%s: services: %s is not configured", path, name))
		} else if err := m.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", path, name, err))
		}
	}
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}
	return config, nil
}

// file is the part of a gateway's configuration that is read here.
type file struct {
	Extends  []string `yaml:"extends"`
	Services []struct {
		Name        string         `yaml:"name"`
		TypedConfig map[string]any `yaml:"typed_config"`
	} `yaml:"services"`
}

func read(path string, want map[string]message, seen map[string]bool) error {
	path = filepath.Clean(path)
	if seen[path] {
		return nil
	}
	seen[path] = true
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var f file
	if err := yaml.Unmarshal([]byte(expand(string(raw))), &f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, other := range f.Extends {
		if err := read(filepath.Join(filepath.Dir(path), other), want, seen); err != nil {
			return err
		}
	}
	for i, s := range f.Services {
		m, ours := want[s.Name]
		if !ours {
			continue
		}
		if err := decode(s.TypedConfig, m); err != nil {
			return fmt.Errorf("%s: services[%d] (%s): %w", path, i, s.Name, err)
		}
	}
	return nil
}

// decode fills m out of a typed_config whose "@type" must be m's.
func decode(typed map[string]any, m message) error {
	full := string(m.ProtoReflect().Descriptor().FullName())
	name, _ := typed["@type"].(string)
	if name[strings.LastIndexByte(name, '/')+1:] != full {
		return fmt.Errorf("typed_config.@type: want types.google.com/%s", full)
	}
	delete(typed, "@type")
	raw, err := json.Marshal(typed)
	if err != nil {
		return fmt.Errorf("typed_config: %w", err)
	}
	if err := protojson.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("typed_config: %w", err)
	}
	return nil
}

// expand replaces environment variables as Clutch does: $$ stands for a dollar sign.
func expand(text string) string {
	const dollar = "\x00"
	return strings.ReplaceAll(os.ExpandEnv(strings.ReplaceAll(text, "$$", dollar)), dollar, "$")
}
