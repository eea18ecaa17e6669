package credential

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Claims are what a token is issued for.
type Claims struct {
	Subject  grant.Subject
	Groups   []string
	Pool     grant.Pool
	GrantID  string
	NotAfter time.Time // the grant's end
}

// Issuer signs tokens. It is safe for concurrent use.
type Issuer struct {
	keys   store.Keys
	sealer *Sealer
	name   string
	ttl    time.Duration
}

// NewIssuer makes an issuer: name is the iss claim, ttl the longest life of a token.
func NewIssuer(keys store.Keys, s *Sealer, name string, ttl time.Duration) *Issuer {
	return &Issuer{keys: keys, sealer: s, name: name, ttl: ttl}
}

// early is how long before iat a token counts, for nodes whose clock is behind.
const early = 30 * time.Second

// body has no map and no custom marshaller, so that each claim stands there once: HAProxy takes the first of two, others
// the last.
type body struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"` // a string: HAProxy 2.6 cannot read a list
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
	NotYet   int64  `json:"nbf"`
	ID       string `json:"jti"`
	GrantID  string `json:"grant_id"`
	Groups   string `json:"groups"` // joined by commas, for the same reason
}

// Issue signs a token that ends after the issuer's ttl or with the grant, whichever is first. The keys are read each
// time, so a rotation counts at once.
func (i *Issuer) Issue(ctx context.Context, c Claims, now time.Time) (token string, expires time.Time, err error) {
	signer, err := i.signer(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	issued := now.Truncate(time.Second)
	expires = issued.Add(i.ttl)
	if c.NotAfter.Before(expires) {
		expires = c.NotAfter.Truncate(time.Second)
	}
	if !issued.Before(expires) {
		return "", time.Time{}, fmt.Errorf("issue token: the grant has ended")
	}
	raw, err := json.Marshal(body{
		Issuer: i.name, Subject: string(c.Subject), Audience: c.Pool.String(),
		Expires: expires.Unix(), Issued: issued.Unix(), NotYet: issued.Add(-early).Unix(),
		ID: rand.Text(), GrantID: c.GrantID, Groups: JoinGroups(c.Groups),
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("encode claims: %w", err)
	}
	signed, err := signer.Sign(raw)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	token, err = signed.CompactSerialize()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("encode token: %w", err)
	}
	return token, expires, nil
}

func (i *Issuer) signer(ctx context.Context) (jose.Signer, error) {
	keys, err := i.keys.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	for _, k := range keys {
		if k.State != Current {
			continue
		}
		private, err := open(i.sealer, k)
		if err != nil {
			return nil, err
		}
		options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", k.KID)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: private}, options)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.KID, err)
		}
		return signer, nil
	}
	return nil, errNoKey
}

// maxGroups bounds the groups claim: HAProxy refuses a token of more than 4096 bytes.
const maxGroups = 1500

var groupPattern = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._:@/+ -]{0,126}\z`)

// JoinGroups is the groups claim. A name with a comma would read as two groups, and one with a control character would
// end up in a header: such names are left out, and so is what goes beyond 1,500 bytes. Services may read it as "at least
// these".
func JoinGroups(groups []string) string {
	var b strings.Builder
	for _, g := range groups {
		if !groupPattern.MatchString(g) || strings.HasSuffix(g, " ") || b.Len()+1+len(g) > maxGroups {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(g)
	}
	return b.String()
}
