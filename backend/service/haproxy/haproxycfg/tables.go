package haproxycfg

import "github.com/haproxy-access/clutch-haproxy-access/backend/desired"

// Tables are the maps that follow from the configuration alone: hosts, pools and kids. The reconciler keeps them as they
// are rendered here. Grants and leases come from the store and are not in it.
func (in Input) Tables() desired.State {
	hosts, pools, kids := desired.Table{}, desired.Table{}, desired.Table{}
	for _, environment := range in.Environments {
		for _, pool := range environment.Pools {
			name := environment.Name + "/" + pool.Name
			pools[name] = pool.Backend
			for _, host := range pool.Hosts {
				hosts[host] = name
			}
		}
	}
	for _, key := range in.Keys {
		kids[key.issuer()+"|"+key.KID] = in.keyPath(key)
	}
	return desired.State{desired.Hosts: hosts, desired.Pools: pools, desired.KIDs: kids}
}

func (in Input) keyPath(key PublicKey) string { return in.KeysDir + "/" + key.fileName() }
