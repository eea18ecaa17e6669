package haproxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/nodeconfig"
)

var errStorage = errors.New("enforcement.keys_dir and enforcement.pages_dir must be the same for it: the general storage of the nodes' Data Plane API")

// checkManaged refuses directories in which a Data Plane API could not keep both keys and pages.
func checkManaged(config *haproxyv1.Config) error {
	e := config.GetEnforcement()
	if e.GetKeysDir() == e.GetPagesDir() {
		return nil
	}
	var errs []error
	for i, n := range config.GetNodes() {
		if n.GetManageConfig() {
			errs = append(errs, fmt.Errorf("nodes[%d].manage_config: %w", i, errStorage))
		}
	}
	for i, d := range config.GetDiscovery() {
		if d.GetNode().GetManageConfig() {
			errs = append(errs, fmt.Errorf("discovery[%d].node.manage_config: %w", i, errStorage))
		}
	}
	return errors.Join(errs...)
}

// header begins the first section, and keptComment tells who reads it there.
const (
	header      = "frontend " + haproxycfg.FrontendName + "\n"
	keptComment = "  # Kept by the gateway (manage_config): what is changed in these sections is put back.\n"
)

// ConfigPart is what a node is to have of the enforcement part: its sections, and the files that they name, where the
// Data Plane API keeps such files. in is the whole input, with the keys' texts.
func ConfigPart(in haproxycfg.Input, node string) (nodeconfig.Part, error) {
	own, ok := in.ForNode(node)
	if !ok {
		return nodeconfig.Part{}, fmt.Errorf("there is no node %q", node)
	}
	if len(own.Environments) == 0 { // it serves those of a template; no section names an environment
		own.Environments = in.Environments
	}
	own.Standalone = nil
	files, err := haproxycfg.Render(own)
	if err != nil {
		return nodeconfig.Part{}, err
	}
	p := nodeconfig.Part{
		Sections: strings.Replace(string(files.Enforcement), header, header+keptComment, 1), Names: haproxycfg.SectionNames(),
		Files: placed(files.Pages, in.PagesDir), Fixed: placed(files.Keys, in.KeysDir),
	}
	p.Maps = slices.Sorted(maps.Keys(placed(files.Maps, in.MapsDir)))
	return p, nil
}

// placed are files by their paths.
func placed(files map[string][]byte, dir string) map[string][]byte {
	all := map[string][]byte{}
	for name, text := range files {
		all[dir+"/"+name] = text
	}
	return all
}

// ConfigNode is a node's haproxy.cfg and the files beside it; nil if there is no such node.
func (s *Service) ConfigNode(name string) nodeconfig.Node {
	if m := s.member(name); m != nil {
		return m.client
	}
	return nil
}
