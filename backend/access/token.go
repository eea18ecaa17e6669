package access

import (
	"context"
	"time"
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
		return "", time.Time{}, &Error{Code: Conflict, GrantID: grantID, Message: "the grant is not active"}
	}
	token, expires, err = s.Tokens.Issue(ctx, Claims{
		Subject: c.Subject, Groups: c.Groups, Pool: r.Grant.Pool, GrantID: r.Grant.ID, NotAfter: r.Grant.ExpiresAt,
	}, now)
	if err != nil {
		return "", time.Time{}, &Error{Code: Internal, Message: "the token could not be signed", cause: err}
	}
	return token, expires, nil
}
