package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/discovery"
)

const (
	defaultDiscoveryInterval = 10 * time.Second
	defaultMaxLoss           = 50
	// dnsTimeout bounds a question to a DNS server; lookupTimeout all of a look-up.
	dnsTimeout    = 2 * time.Second
	lookupTimeout = 15 * time.Second
)

// discoverer finds nodes by one Discovery of the configuration.
type discoverer struct {
	config   *haproxyv1.Discovery
	source   discovery.Source
	memory   *discovery.Memory
	interval time.Duration
}

func newDiscoverers(configs []*haproxyv1.Discovery) ([]*discoverer, error) {
	var all []*discoverer
	var errs []error
	taken := map[string]bool{fromConfiguration: true}
	for i, c := range configs {
		d, err := newDiscoverer(c)
		if err == nil && taken[c.GetName()] {
			err = errors.New("name: it is taken")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("discovery[%d].%w", i, err))
			continue
		}
		taken[c.GetName()] = true
		all = append(all, d)
	}
	return all, errors.Join(errs...)
}

func newDiscoverer(c *haproxyv1.Discovery) (*discoverer, error) {
	d := &discoverer{config: c, interval: defaultDiscoveryInterval}
	if c.GetInterval() != nil {
		d.interval = c.GetInterval().AsDuration()
	}
	if d.interval <= 0 {
		return nil, errors.New("interval: want a positive duration")
	}
	resolver, err := newResolver(c.GetResolver())
	if err != nil {
		return nil, err
	}
	switch {
	case c.GetSrv() != "" && c.GetPort() != 0:
		return nil, errors.New("port: SRV records say it")
	case c.GetSrv() != "":
		d.source = discovery.SRV{Name: c.GetSrv(), Resolver: resolver}
	case c.GetHost() == "":
		return nil, errors.New("record: want srv or host")
	case c.GetPort() == 0 || c.GetPort() > 65535:
		return nil, errors.New("port: want that of the Data Plane API")
	default:
		d.source = discovery.Host{Name: c.GetHost(), Port: uint16(c.GetPort()), Resolver: resolver}
	}
	options := discovery.Options{MaxLossPercent: defaultMaxLoss}
	if c.GetMaxLossPercent() != 0 {
		options.MaxLossPercent = int(c.GetMaxLossPercent())
	}
	if options.Networks, err = parseNetworks(c.GetNetworks()); err != nil {
		return nil, fmt.Errorf("networks%w", err)
	}
	d.memory = discovery.NewMemory(options)
	return d, d.checkNode()
}

func newResolver(address string) (discovery.Resolver, error) {
	if address == "" {
		return discovery.System{}, nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || at.Port() == 0 {
		return nil, errors.New("resolver: want ip:port")
	}
	return discovery.Server{Address: at, Timeout: dnsTimeout}, nil
}

// checkNode makes a node as it would be found on loopback: what is wrong with its files must stop the start.
func (d *discoverer) checkNode() error {
	n := d.config.GetNode()
	if n.GetName() != "" || n.GetDataplane().GetUrl() != "" {
		return errors.New("node: its name and dataplane.url are what is found")
	}
	if _, err := newConnection(d.node(netip.MustParseAddrPort("127.0.0.1:1")), ""); err != nil {
		return fmt.Errorf("node.%w", err)
	}
	return nil
}

// node is the node at an endpoint.
func (d *discoverer) node(at netip.AddrPort) *haproxyv1.Node {
	n := proto.Clone(d.config.GetNode()).(*haproxyv1.Node)
	n.Name = d.config.GetName() + "-" + strings.NewReplacer(".", "-", ":", "-").Replace(at.Addr().String())
	if d.config.GetSrv() != "" {
		n.Name += "-" + strconv.Itoa(int(at.Port()))
	}
	scheme := n.GetDataplane().GetScheme()
	if scheme == "" {
		scheme = "https"
	}
	n.Dataplane.Url, n.Dataplane.Scheme = scheme+"://"+at.String(), ""
	address := at.Addr().String()
	if at.Addr().Is6() {
		address = "[" + address + "]"
	}
	n.RuntimeSocket = strings.ReplaceAll(n.GetRuntimeSocket(), addressMark, address)
	n.MasterSocket = strings.ReplaceAll(n.GetMasterSocket(), addressMark, address)
	return n
}
