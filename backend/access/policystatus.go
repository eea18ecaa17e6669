package access

import (
	"context"
	"time"
)

// PolicyStatus says which policy is in force.
type PolicyStatus struct {
	Name     string
	Hash     string
	Files    []string // a source gives whole paths, callers are shown their last elements
	Rules    int
	LoadedAt time.Time
	// Error is why the files as they are now are not in force; empty if they are.
	Error   string
	ErrorAt time.Time
}

// PolicySource knows where the policy in force comes from.
type PolicySource interface {
	Status() PolicyStatus
}

// PolicyStatus reports which policy is in force. Auditors and operators only. Error: Forbidden.
func (s *Service) PolicyStatus(_ context.Context, c Caller) (PolicyStatus, error) {
	if !s.isAuditor(c) && !s.isOperator(c) {
		return PolicyStatus{}, errorf(Forbidden, "only auditors and operators see the policy's files")
	}
	return s.Source.Status().shown(), nil
}
