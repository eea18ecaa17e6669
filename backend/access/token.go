package access

import (
	"context"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// IssueToken issues a token for an active grant, to its own subject and nobody else, administrators included. Errors:
// NotFound, Forbidden, Conflict (it is not active).
func (s *Service) IssueToken(ctx context.Context, c Caller, grantID string) (token string, expires time.Time, err error) {
	r, err := s.visible(ctx, c, grantID)
	if err != nil {
		return "", time.Time{}, err
	}
	if c.Subject != r.Grant.Subject {
		return "", time.Time{}, errorf(Forbidden, "a token is issued to the grant's own subject only")
	}
	now := s.Now()
	if !r.Grant.Live(now) {
		return "", time.Time{}, &Error{Code: Conflict, GrantID: grantID, Message: whyNoToken(r.Grant)}
	}
	token, expires, err = s.Tokens.Issue(ctx, Claims{
		Subject: c.Subject, Groups: c.Groups, Pool: r.Grant.Pool, GrantID: r.Grant.ID, NotAfter: r.Grant.ExpiresAt,
	}, now)
	if err != nil {
		return "", time.Time{}, &Error{Code: Internal, Message: "the token could not be signed", cause: err}
	}
	return token, expires, nil
}

// whyNoToken says why a grant that is not live gives no token.
func whyNoToken(g grant.Grant) string {
	switch {
	case g.State == grant.Pending:
		return "the grant waits for approval; there is no token before"
	case g.State == grant.Approved:
		return fmt.Sprintf("the window of the grant begins at %s; there is no token before", g.StartsAt.UTC().Format(time.RFC3339))
	default:
		return "the grant has ended"
	}
}
