package haproxyaccess

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/nodeconfig"
)

// newManager makes the loop that keeps the enforcement part of haproxy.cfg on the nodes with manage_config. After a change the
// maps may be new, and the worker is: the nodes' loops are woken.
func newManager(p parts, in haproxycfg.Input, keys haproxy.KeySource, fleet *reconcile.Fleet, o *observer) (*haproxy.Manager, error) {
	options := haproxy.ManagerOptions{
		Input: in, Keys: withTexts(p.fleet, keys), Observer: o, Changed: fleet.Wake, Now: time.Now,
	}
	if p.store.Shared() {
		options.Writers = p.store.Writers()
	}
	return p.fleet.NewManager(options)
}

// withTexts adds the texts of the identity providers' keys, which stand in files: what only names keys does without them.
func withTexts(fleet *haproxy.Service, keys haproxy.KeySource) haproxy.KeySource {
	return func(ctx context.Context) ([]haproxycfg.PublicKey, error) {
		all, err := keys(ctx)
		if err != nil {
			return nil, err
		}
		files := map[[2]string]string{}
		for _, idp := range fleet.Config().GetEnforcement().GetIdentityProviders() {
			for _, k := range idp.GetKeys() {
				files[[2]string{idp.GetName(), k.GetKid()}] = k.GetPublicKeyFile()
			}
		}
		for i, k := range all {
			if len(k.PEM) > 0 {
				continue
			}
			if all[i].PEM, err = os.ReadFile(files[[2]string{k.Issuer, k.KID}]); err != nil {
				return nil, fmt.Errorf("key %s of identity provider %s: %w", k.KID, k.Issuer, err)
			}
		}
		return all, nil
	}
}

// ConfigChanged implements haproxy.ConfigObserver.
func (o *observer) ConfigChanged(node string, c nodeconfig.Outcome, drift bool) {
	fields := []zap.Field{
		zap.String("node", node), zap.Bool("reloaded", c.Changed), zap.Strings("files", c.Wrote), zap.String("diff", c.Diff),
	}
	o.node(node).Counter("config_changed").Inc(1)
	if !drift {
		o.log.Info("the enforcement part of a node's haproxy.cfg was brought in line", fields...)
		return
	}
	o.node(node).Counter("config_drift").Inc(1)
	o.log.Error("somebody else changed the enforcement part of a node's haproxy.cfg; it is put right", fields...)
}

// ConfigFailed implements haproxy.ConfigObserver.
func (o *observer) ConfigFailed(node string, err error) {
	o.node(node).Counter("config_failed").Inc(1)
	if o.configs.again(node + ": " + err.Error()) {
		return
	}
	o.log.Error("the enforcement part of a node's haproxy.cfg could not be brought in line; HAProxy goes on with what it has",
		zap.String("node", node), zap.Error(err))
}

// ConfigState implements haproxy.ConfigObserver.
func (o *observer) ConfigState(node string, kept bool) {
	value := 0.0
	if kept {
		value = 1
	}
	o.node(node).Gauge("config_kept").Update(value)
}
