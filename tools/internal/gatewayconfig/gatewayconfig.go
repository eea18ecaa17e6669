// Package gatewayconfig reads this project's parts of a Clutch gateway's configuration file, for tools that work beside
// the gateway. It reads the file as Clutch does, but knows our components only, so a tool need not link all of Clutch.
//
// It may import generated code, ours and Clutch's.
package gatewayconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	postgresv1 "github.com/lyft/clutch/backend/api/config/service/db/postgres/v1"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	storev1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
)

// Config is what the file says of our services.
type Config struct {
	Fleet  *haproxyv1.Config // clutch.service.haproxy
	Access *accessv1.Config  // clutch.service.haproxyaccess
	Store  *storev1.Config   // clutch.service.haproxyaccess.store
	// Postgres is Clutch's clutch.service.db.postgres, of which a store in Postgres needs the connection; nil if it is not
	// configured.
	Postgres *postgresv1.Config
}

const postgresName = "clutch.service.db.postgres"

type message interface {
	proto.Message
	Validate() error
}

// Read reads and checks the file: ${VAR} is expanded, an unknown or missing field is an error that names it, and the
// three services must be there, once. Relative paths in it stay as they are: they are the gateway's.
func Read(path string) (Config, error) {
	config := Config{Fleet: &haproxyv1.Config{}, Access: &accessv1.Config{}, Store: &storev1.Config{}}
	postgres := &postgresv1.Config{}
	r := reader{
		want: map[string]message{
			"clutch.service.haproxy":             config.Fleet,
			"clutch.service.haproxyaccess":       config.Access,
			"clutch.service.haproxyaccess.store": config.Store,
			postgresName:                         postgres,
		},
		found: map[string]bool{}, seen: map[string]bool{},
	}
	if err := r.read(path); err != nil {
		return Config{}, err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.want)) {
		if !r.found[name] && name == postgresName {
			continue // Clutch's own, which a gateway on the embedded store does not need
		}
		if !r.found[name] {
			errs = append(errs, fmt.Errorf("%s: services: %s is not configured", path, name))
		} else if err := r.want[name].Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", path, name, err))
		}
	}
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}
	if r.found[postgresName] {
		config.Postgres = postgres
	}
	return config, nil
}

// reader reads a file and those that it extends.
type reader struct {
	want  map[string]message // by the service's name
	found map[string]bool    // services
	seen  map[string]bool    // files
}

// file is the part of a gateway's configuration that is read here.
type file struct {
	Extends  []string `yaml:"extends"`
	Services []struct {
		Name        string         `yaml:"name"`
		TypedConfig map[string]any `yaml:"typed_config"`
	} `yaml:"services"`
}

func (r reader) read(path string) error {
	path = filepath.Clean(path)
	if r.seen[path] {
		return nil
	}
	r.seen[path] = true
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	var f file
	if err := yaml.Unmarshal([]byte(expand(string(raw))), &f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, other := range f.Extends {
		if err := r.read(filepath.Join(filepath.Dir(path), other)); err != nil {
			return err
		}
	}
	for i, s := range f.Services {
		m, ours := r.want[s.Name]
		if !ours {
			continue
		}
		if r.found[s.Name] {
			// Clutch refuses it too: which of the two would count?
			return fmt.Errorf("%s: services[%d] (%s): it is configured twice", path, i, s.Name)
		}
		r.found[s.Name] = true
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

// expand replaces environment variables and brackets as Clutch does: $$ stands for a dollar sign, [[ and ]] for {{ and }}.
func expand(text string) string {
	const dollar = "\x00"
	text = strings.NewReplacer("$$", dollar, "[[", "{{", "]]", "}}").Replace(text)
	return strings.ReplaceAll(os.ExpandEnv(text), dollar, "$")
}
