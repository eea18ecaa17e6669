package haproxyaccess

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lyft/clutch/backend/service/authn"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// clutchIssuer is the issuer of the service tokens that Clutch makes; every other issuer is an identity provider, whose
// claims make persons only.
const clutchIssuer = "clutch"

const serviceTokenPrefix = "service:"

// loginFromContext is who calls, out of the claims that Clutch's authn middleware has verified.
func loginFromContext(ctx context.Context) (access.Login, error) {
	claims, err := authn.ClaimsFromContext(ctx)
	if err != nil || claims == nil || claims.StandardClaims == nil {
		return access.Login{}, status.Error(codes.Unauthenticated, "log in first")
	}
	subject, err := subjectOf(claims.Issuer, claims.Subject)
	if err != nil {
		return access.Login{}, status.Errorf(codes.PermissionDenied, "your login's name cannot have access: %s", err)
	}
	l := access.Login{Subject: subject, Groups: groupsOf(claims.Groups)}
	if claims.IssuedAt > 0 {
		l.At = time.Unix(claims.IssuedAt, 0).UTC() // groups are read when the token is made, and not again
	}
	return l, nil
}

// subjectOf makes a service out of Clutch's own tokens and nothing else: whoever could get one issued must not become a
// person by it.
func subjectOf(issuer, name string) (grant.Subject, error) {
	if issuer != clutchIssuer {
		return grant.Person(name)
	}
	service, ok := strings.CutPrefix(name, serviceTokenPrefix)
	if !ok {
		return "", fmt.Errorf("%w: Clutch's own tokens are for services only", grant.ErrSubject)
	}
	return grant.Service(service)
}

// groupsOf drops the empty name that Clutch gives to everybody by default.
func groupsOf(claimed []string) []string {
	var groups []string
	for _, g := range claimed {
		if g != "" {
			groups = append(groups, g)
		}
	}
	return groups
}
