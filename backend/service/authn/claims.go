package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/dgrijalva/jwt-go"
	clutchauthn "github.com/lyft/clutch/backend/service/authn"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// errLoginRefused is wrapped by every error that says why a proven identity is not let in. Its text is for the person:
// it names claims, never their values.
var errLoginRefused = errors.New("login refused")

// claimsReader turns an ID token, which Clutch has verified, into what Clutch puts into its access token.
type claimsReader struct {
	issuer      string
	groupsClaim string
	now         func() time.Time
	// told is called with each login that was let in; may be nil.
	told LoginListener
}

// LoginListener is told of a login: who, in which groups, and when. It must be quick: the person waits for it.
type LoginListener func(ctx context.Context, subject grant.Subject, groups []string, at time.Time)

// claims has the shape of Clutch's ClaimsFromOIDCTokenFunc.
func (r claimsReader) claims(ctx context.Context, t *oidc.IDToken) (*clutchauthn.Claims, error) {
	var raw map[string]json.RawMessage
	if err := t.Claims(&raw); err != nil {
		return nil, fmt.Errorf("%w: the claims of the ID token cannot be read", errLoginRefused)
	}
	subject, err := personOf(raw)
	if err != nil {
		return nil, err
	}
	groups, err := groupsOf(raw, r.groupsClaim)
	if err != nil {
		return nil, err
	}
	now := r.now()
	if r.told != nil {
		r.told(ctx, subject, groups, now)
	}
	return &clutchauthn.Claims{
		StandardClaims: &jwt.StandardClaims{
			// Ours, not the ID token's: Verify looks for exactly these. An identity provider may leave iat out or be ahead
			// of our clock, and one of them writes its issuer in another way than in its discovery document.
			Issuer:   r.issuer,
			IssuedAt: now.Unix(),
			// The ID token's: a person is asked again when the identity provider wants it.
			ExpiresAt: t.Expiry.Unix(),
			Subject:   string(subject),
		},
		Groups: groups,
	}, nil
}

// personOf takes the e-mail address only if the identity provider vouches for it with the JSON value true: otherwise
// people could give themselves anybody's address.
func personOf(raw map[string]json.RawMessage) (grant.Subject, error) {
	var verified bool
	if err := json.Unmarshal(raw["email_verified"], &verified); err != nil || !verified {
		return "", fmt.Errorf("%w: the claim email_verified is not true", errLoginRefused)
	}
	var email string
	if err := json.Unmarshal(raw["email"], &email); err != nil {
		return "", fmt.Errorf("%w: the claim email is not a text", errLoginRefused)
	}
	subject, err := grant.Person(email)
	if err != nil {
		return "", fmt.Errorf("%w: the claim email is %w", errLoginRefused, err)
	}
	return subject, nil
}

// groupsOf takes a list of texts, or one text for one group. A person without the claim has no groups. What cannot be
// read is an error rather than no groups, since it is a mistake in somebody's configuration that must show.
func groupsOf(raw map[string]json.RawMessage, claim string) ([]string, error) {
	value, ok := raw[claim]
	if !ok {
		// A provider that has too many groups to list names in their place where they can be asked for. That is not "no group".
		var elsewhere map[string]json.RawMessage
		if err := json.Unmarshal(raw["_claim_names"], &elsewhere); err == nil && elsewhere[claim] != nil {
			return nil, fmt.Errorf("%w: the claim %s is not in the ID token but elsewhere: have the provider list fewer groups", errLoginRefused, claim)
		}
		return nil, nil
	}
	// Pointers, since a plain string would read null as the empty text.
	var one *string
	if err := json.Unmarshal(value, &one); err == nil && one != nil {
		return groupNames(claim, []*string{one})
	}
	var list []*string
	if err := json.Unmarshal(value, &list); err != nil || list == nil {
		return nil, fmt.Errorf("%w: the claim %s is not a list of texts", errLoginRefused, claim)
	}
	return groupNames(claim, list)
}

func groupNames(claim string, list []*string) ([]string, error) {
	groups := make([]string, 0, len(list))
	for _, name := range list {
		if name == nil || *name == "" {
			return nil, fmt.Errorf("%w: the claim %s has an empty name", errLoginRefused, claim)
		}
		groups = append(groups, *name)
	}
	return groups, nil
}
