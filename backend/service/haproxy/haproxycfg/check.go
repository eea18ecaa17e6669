package haproxycfg

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What may stand in the configuration's text. Whatever passes here has no space, quote, control character or anything
// else that haproxy.cfg reads as more than a name; it is put between quotes all the same.
var (
	environmentName = regexp.MustCompile(`\A[a-z0-9._-]{1,31}\z`)
	poolName        = regexp.MustCompile(`\A[a-z0-9._-]{1,63}\z`)
	nodeName        = poolName
	backendName     = regexp.MustCompile(`\A[A-Za-z0-9._][A-Za-z0-9._:-]{0,126}\z`)
	hostName        = regexp.MustCompile(`\A[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\z`)
	serverName      = regexp.MustCompile(`\A[A-Za-z0-9._][A-Za-z0-9._-]{0,62}\z`)
	providerName    = regexp.MustCompile(`\A[a-z0-9][a-z0-9-]{0,30}\z`)
	kidName         = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,128}\z`)
	path            = regexp.MustCompile(`\A(/[A-Za-z0-9._-]+)+\z`)
	issuerURL       = regexp.MustCompile(`\Ahttps?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?\z`)
	baseURL         = regexp.MustCompile(`\Ahttps?://[A-Za-z0-9.-]+(:[0-9]{1,5})?\z`)
	audienceName    = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._~:/@+=-]{0,199}\z`)
	bindHost        = regexp.MustCompile(`\A([A-Za-z0-9.-]*|\*|[0-9a-fA-F:.]+)\z`)
)

// longestPath keeps a key's path inside what a map's value may be.
const longestPath = 90

// checker collects problems, each with the field's name.
type checker []error

func (c *checker) add(field, format string, args ...any) {
	*c = append(*c, fmt.Errorf("%s: "+format, append([]any{field}, args...)...))
}

func (c *checker) match(pattern *regexp.Regexp, field, value string) bool {
	if pattern.MatchString(value) {
		return true
	}
	c.add(field, "%q does not match %s", value, pattern)
	return false
}

// names tells of values that must occur once.
type names map[string]string

func (n names) claim(c *checker, field, value string) {
	if first, taken := n[value]; taken {
		c.add(field, "%q is taken by %s", value, first)
		return
	}
	n[value] = field
}

// problems are all reasons why the input must not be rendered.
func (in Input) problems() []error {
	var c checker
	c.match(issuerURL, "token.issuer", in.Issuer)
	c.match(baseURL, "clutch_url", in.ClutchURL)
	in.checkEnvironments(&c)
	in.checkNodes(&c)
	in.checkEnforcement(&c)
	in.checkIssuers(&c)
	in.checkKeys(&c)
	return c
}

func (in Input) checkEnvironments(c *checker) {
	if len(in.Environments) == 0 {
		c.add("environments", "there is none")
	}
	environments, hosts, backends := names{}, names{}, names{}
	for _, own := range SectionNames() {
		backends[own] = "the enforcement part itself"
	}
	for i, environment := range in.Environments {
		field := fmt.Sprintf("environments[%d]", i)
		c.match(environmentName, field+".name", environment.Name)
		environments.claim(c, field+".name", environment.Name)
		if len(environment.Pools) == 0 {
			c.add(field+".pools", "there is none")
		}
		pools := names{}
		for j, pool := range environment.Pools {
			field := fmt.Sprintf("%s.pools[%d]", field, j)
			pools.claim(c, field+".name", pool.Name)
			backends.claim(c, field+".backend", pool.Backend)
			pool.check(c, field, hosts)
		}
	}
}

func (pool Pool) check(c *checker, field string, hosts names) {
	c.match(poolName, field+".name", pool.Name)
	c.match(backendName, field+".backend", pool.Backend)
	if len(pool.Hosts) == 0 {
		c.add(field+".hosts", "there is none")
	}
	for i, host := range pool.Hosts {
		field := fmt.Sprintf("%s.hosts[%d]", field, i)
		c.match(hostName, field, host)
		hosts.claim(c, field, host)
	}
	servers := names{}
	for i, server := range pool.Servers {
		field := fmt.Sprintf("%s.servers[%d]", field, i)
		c.match(serverName, field+".name", server.Name)
		servers.claim(c, field+".name", server.Name)
		if address, err := netip.ParseAddr(server.Address); err != nil || address.Zone() != "" {
			c.add(field+".address", "%q is no IP address", server.Address)
		}
		if server.Port < 1 || server.Port > 65535 {
			c.add(field+".port", "%d is no port", server.Port)
		}
	}
}

func (in Input) checkNodes(c *checker) {
	if in.NodeName != "" {
		c.match(nodeName, "node", in.NodeName)
	}
	known, nodes := map[string]bool{}, names{}
	for _, environment := range in.Environments {
		known[environment.Name] = true
	}
	for i, node := range in.Nodes {
		field := fmt.Sprintf("nodes[%d]", i)
		c.match(nodeName, field+".name", node.Name)
		nodes.claim(c, field+".name", node.Name)
		environments := names{}
		for j, environment := range node.Environments {
			field := fmt.Sprintf("%s.environments[%d]", field, j)
			environments.claim(c, field, environment)
			if !known[environment] {
				c.add(field, "there is no environment %q", environment)
			}
		}
	}
}

func (in Input) checkEnforcement(c *checker) {
	checkPath(c, "enforcement.maps_dir", in.MapsDir)
	checkPath(c, "enforcement.keys_dir", in.KeysDir)
	checkPath(c, "enforcement.pages_dir", in.PagesDir)
	if in.HardStopAfter < time.Second || in.HardStopAfter > longestLease || in.HardStopAfter%time.Second != 0 {
		c.add("enforcement.hard_stop_after", "want whole seconds from 1s to 24h, not %s", in.HardStopAfter)
	}
	if len(in.Binds) == 0 {
		c.add("enforcement.binds", "there is none")
	}
	addresses := names{}
	for i, bind := range in.Binds {
		field := fmt.Sprintf("enforcement.binds[%d]", i)
		checkAddress(c, field+".address", bind.Address)
		addresses.claim(c, field+".address", bind.Address)
		if bind.Certificate != "" {
			checkPath(c, field+".tls_certificate", bind.Certificate)
		}
	}
	if in.Standalone == nil {
		return
	}
	checkPath(c, "enforcement.standalone.stats_socket", in.Standalone.StatsSocket)
	checkLog(c, "enforcement.standalone.log", in.Standalone.Log)
}

func checkLog(c *checker, field, value string) {
	if file, unix := strings.CutPrefix(value, logUnix); unix {
		checkPath(c, field, file)
	} else if value != "" && value != logStdout {
		checkAddress(c, field, value)
	}
}

// checkPath wants an absolute path in its shortest form: the same file must have the same name in every place.
func checkPath(c *checker, field, value string) {
	if !c.match(path, field, value) {
		return
	}
	if len(value) > longestPath {
		c.add(field, "it is longer than %d bytes", longestPath)
	}
	for part := range strings.SplitSeq(value, "/") {
		if part == "." || part == ".." {
			c.add(field, "%q has a part %q", value, part)
		}
	}
}

func checkAddress(c *checker, field, value string) {
	host, port, err := net.SplitHostPort(value)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 || !bindHost.MatchString(host) {
		c.add(field, "%q is no host:port", value)
	}
}

func (in Input) checkIssuers(c *checker) {
	issuers, providers := names{in.Issuer: "token.issuer"}, names{OurIssuer: "our own tokens"}
	for i, provider := range in.IdentityProviders {
		field := fmt.Sprintf("enforcement.identity_providers[%d]", i)
		c.match(providerName, field+".name", provider.Name)
		providers.claim(c, field+".name", provider.Name)
		c.match(issuerURL, field+".issuer", provider.Issuer)
		issuers.claim(c, field+".issuer", provider.Issuer)
		c.match(audienceName, field+".audience", provider.Audience)
		if len(provider.KIDs) == 0 {
			c.add(field+".keys", "there is none")
		}
		files := names{}
		for j, kid := range provider.KIDs {
			field := fmt.Sprintf("%s.keys[%d].kid", field, j)
			c.match(kidName, field, kid)
			files.claim(c, field, PublicKey{Issuer: provider.Name, KID: kid}.fileName())
		}
	}
}

func (in Input) checkKeys(c *checker) {
	configured := map[string]bool{}
	for _, provider := range in.IdentityProviders {
		for _, kid := range provider.KIDs {
			configured[provider.Name+"|"+kid] = true
		}
	}
	kids, files := names{}, names{}
	for i, key := range in.Keys {
		field := fmt.Sprintf("keys[%d]", i)
		c.match(kidName, field+".kid", key.KID)
		name := key.issuer() + "|" + key.KID
		kids.claim(c, field+".kid", name)
		files.claim(c, field+".file", key.fileName())
		if key.Alg != "" && key.Alg != Algorithm {
			c.add(field+".alg", "%q is not %s", key.Alg, Algorithm)
		}
		if key.issuer() != OurIssuer && !configured[name] {
			c.add(field, "no identity provider has it")
		}
		if len(key.PEM) == 0 {
			continue
		}
		if _, err := key.normalPEM(); err != nil {
			c.add(field, "%w", err)
		}
	}
}
