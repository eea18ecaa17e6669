package world

// The small fleet that a world is: what serves what is said here alone.

// demoNode is a node, and the environments that it serves.
type demoNode struct {
	Name         string
	Environments []string
	// Template says that it serves the ephemeral environments too.
	Template bool
}

// demoNodes are two nodes of prod, so that a grant there is enforced on both, and one for the rest.
func demoNodes() []demoNode {
	return []demoNode{
		{Name: "edge-1", Environments: []string{"prod"}},
		{Name: "edge-2", Environments: []string{"prod"}},
		{Name: "edge-3", Environments: []string{"staging"}, Template: true},
	}
}

// demoPools has one name in both environments: a grant for one must not open the other.
func demoPools() []Pool {
	return []Pool{
		{Environment: "staging", Pool: "billing", Host: "billing.staging.localhost"},
		{Environment: "staging", Pool: "reports", Host: "reports.staging.localhost"},
		{Environment: "prod", Pool: "billing", Host: "billing.prod.localhost"},
		{Environment: "prod", Pool: "ops", Host: "ops.prod.localhost"},
	}
}

// ephemeralPools are the backends that edge-3 has from its start for environments of the template, so that one is made, used
// and removed without a reload.
func ephemeralPools() []Pool {
	return []Pool{{Environment: "pr-1", Pool: "web"}, {Environment: "pr-2", Pool: "web"}}
}

// demoUsers have passwords that can be guessed: they are shown on the login page, which only this machine can reach.
func demoUsers() []User {
	return []User{
		// A member of the approvers, who still cannot approve her own requests.
		{"alice@example.com", "demo-alice", []string{"engineering", "prod-approvers"}},
		{"bob@example.com", "demo-bob", []string{"engineering", "prod-approvers"}},
		{"carol@example.com", "demo-carol", []string{"operators", "prod-approvers"}},
		{"audrey@example.com", "demo-audrey", []string{"auditors"}},
	}
}
