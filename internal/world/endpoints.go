package world

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Endpoints tell scripts where everything is. The JSON is a contract.
type Endpoints struct {
	// Gateway, HAProxy and Issuer are URLs without a trailing slash.
	Gateway   string      `json:"gateway"`
	HAProxy   string      `json:"haproxy"`
	DataPlane []DataPlane `json:"dataplane"`
	Issuer    string      `json:"issuer"`
	Users     []User      `json:"users"`
	Pools     []Pool      `json:"pools"`
	// Store is the path of the embedded store.
	Store string `json:"store"`
}

// DataPlane is how a node's Data Plane API is reached.
type DataPlane struct {
	Node         string `json:"node"`
	URL          string `json:"url"`
	Version      string `json:"version"`
	Username     string `json:"username"`
	PasswordFile string `json:"password_file"`
}

// User is an account at the identity provider.
type User struct {
	Email    string   `json:"email"`
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
}

// Pool is one that access can be asked for, and the host under which it is reached.
type Pool struct {
	Environment string `json:"environment"`
	Pool        string `json:"pool"`
	Host        string `json:"host"`
}

// ReadEndpoints reads the endpoints.json of a running world.
func ReadEndpoints(path string) (Endpoints, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Endpoints{}, fmt.Errorf("read endpoints: %w", err)
	}
	var e Endpoints
	if err := json.Unmarshal(raw, &e); err != nil {
		return Endpoints{}, fmt.Errorf("read endpoints of %s: %w", path, err)
	}
	return e, nil
}

// User returns the account with this e-mail address.
func (e Endpoints) User(email string) (User, error) {
	for _, user := range e.Users {
		if user.Email == email {
			return user, nil
		}
	}
	return User{}, fmt.Errorf("find user: there is no %q", email)
}

// writeJSON writes a file that this user alone can read.
func writeJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return writeFile(path, append(raw, '\n'), 0o600)
}

const (
	nodeName          = "edge-1"
	dataPlaneUsername = "clutch"
)

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

// demoPools has one name in both environments: a grant for one must not open the other.
func demoPools() []Pool {
	return []Pool{
		{"staging", "billing", "billing.staging.localhost"},
		{"staging", "reports", "reports.staging.localhost"},
		{"prod", "billing", "billing.prod.localhost"},
		{"prod", "ops", "ops.prod.localhost"},
	}
}
