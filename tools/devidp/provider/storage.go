package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestLifetime = 10 * time.Minute
	codeLifetime    = time.Minute
	tokenLifetime   = 5 * time.Minute
	// maxOpen bounds the open requests; the oldest make room.
	maxOpen = 1000
)

// errUnknown is for a request, code, client or token that is not there, was used or is too old.
var errUnknown = errors.New("unknown or expired")

// storage keeps what is under way, in memory: a restart ends logins that are not finished, and nothing else.
type storage struct {
	client client
	secret string
	key    signingKey
	users  map[string]User

	mu       sync.Mutex
	requests map[string]authRequest // by id
	codes    map[string]authRequest // by code; a code works once
	tokens   map[string]accessToken // by id
}

// accessToken opens the userinfo endpoint.
type accessToken struct {
	subject string
	scopes  []string
	expires time.Time
}

func newStorage(config Config, key signingKey) *storage {
	users := make(map[string]User)
	for _, user := range config.Users {
		users[user.Email] = user
	}
	return &storage{
		client:   client{id: config.ClientID, redirectURIs: config.RedirectURIs},
		secret:   config.ClientSecret,
		key:      key,
		users:    users,
		requests: make(map[string]authRequest),
		codes:    make(map[string]authRequest),
		tokens:   make(map[string]accessToken),
	}
}

// CreateAuthRequest implements op.AuthStorage. There is no session that could answer without a login page.
func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if slices.Contains(asked.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired()
	}
	now := time.Now()
	request := authRequest{id: rand.Text(), asked: *asked, expires: now.Add(requestLifetime)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if len(s.requests) >= maxOpen {
		s.dropOldest()
	}
	s.requests[request.id] = request
	return request, nil
}

// expire forgets what is too old. mu is held.
func (s *storage) expire(now time.Time) {
	old := func(_ string, r authRequest) bool { return now.After(r.expires) }
	maps.DeleteFunc(s.requests, old)
	maps.DeleteFunc(s.codes, old)
	maps.DeleteFunc(s.tokens, func(_ string, t accessToken) bool { return now.After(t.expires) })
}

func (s *storage) dropOldest() {
	var oldest authRequest
	for _, r := range s.requests {
		if oldest.id == "" || r.expires.Before(oldest.expires) {
			oldest = r
		}
	}
	delete(s.requests, oldest.id)
}

// AuthRequestByID implements op.AuthStorage.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	return s.request(id)
}

func (s *storage) request(id string) (authRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	request, ok := s.requests[id]
	if !ok {
		return authRequest{}, errUnknown
	}
	return request, nil
}

// logIn says who answered the request.
func (s *storage) logIn(id, email string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.requests[id]
	if !ok {
		return errUnknown
	}
	request.email, request.authTime = email, time.Now()
	s.requests[id] = request
	return nil
}

// SaveAuthCode implements op.AuthStorage.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.requests[id]
	if !ok || !request.Done() {
		return errUnknown
	}
	// The login page's work is done: its address gives no second code.
	delete(s.requests, id)
	request.expires = time.Now().Add(codeLifetime)
	s.codes[code] = request
	return nil
}

// AuthRequestByCode implements op.AuthStorage. The code is spent by asking, so of two that race one gets nothing.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	request, ok := s.codes[code]
	if !ok {
		return nil, errUnknown
	}
	delete(s.codes, code)
	return request, nil
}

// DeleteAuthRequest implements op.AuthStorage. It is gone already where its code was spent.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

// CreateAccessToken implements op.AuthStorage.
func (s *storage) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	id, expires := rand.Text(), time.Now().Add(tokenLifetime)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[id] = accessToken{subject: request.GetSubject(), scopes: request.GetScopes(), expires: expires}
	return id, expires, nil
}
