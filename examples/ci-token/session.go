package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

// session is the life of one token.
type session struct {
	client *fastly.Client
	log    *demo.Printer
	pause  time.Duration // between looks for a lost token
}

// open makes the token. If ok is false the program is done, with the exit code:
// there is no token, or what is left of it was reported.
func (s *session) open(req *fastly.CreateTokenRequest, signals <-chan os.Signal) (token *fastly.TokenCreatedResponse, code int, ok bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		token, err = s.client.Tokens.CreateToken(ctx, req)
	}()
	code = exitFailed
	select {
	case <-done:
	case sig := <-signals:
		cancel()
		<-done
		code = exitSignal + signalNumber(sig)
		s.log.Printf("ci-token: ended before the command was started: %v\n", sig)
	}
	if err != nil {
		s.log.Printf("ci-token: %v\n", demo.ExplainScope(err, req.Scopes))
		s.undo(req, token, err)
		return nil, code, false
	}
	if more := excess(req, token); more != "" {
		s.log.Printf("ci-token: the token is not what was asked for: %s\n", demo.Text(more))
		s.revoke(token)
		return nil, code, false
	}
	if code != exitFailed {
		s.revoke(token)
		return nil, code, false
	}
	s.log.Printf("ci-token: token %s made: %s, expires %s\n", token.ID, demo.Text(token.Scopes.String()), stamp(token.ExpiresAt))
	return token, 0, true
}

// undo revokes what a create that failed with err may have made all the same.
func (s *session) undo(req *fastly.CreateTokenRequest, token *fastly.TokenCreatedResponse, err error) {
	switch {
	case token != nil && token.ID != "":
		token.ExpiresAt = req.ExpiresAt
		s.revoke(token)
	case token != nil || errors.Is(err, fastly.ErrOutcomeUnknown):
		s.revokeLost(req)
	}
}

// revokeLost looks for a token that was made without an answer, and revokes it.
func (s *session) revokeLost(req *fastly.CreateTokenRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	var err error
	for look := range looks {
		if look > 0 {
			time.Sleep(s.pause)
		}
		var tokens []fastly.TokenResponse
		if tokens, err = s.client.Tokens.ListTokensUser(ctx); err != nil {
			break
		}
		for _, t := range tokens {
			if t.Name == req.Name {
				s.revoke(&fastly.TokenCreatedResponse{TokenResponse: t})
				return
			}
		}
	}
	if err != nil {
		s.log.Printf("ci-token: %v\n", err)
		s.log.Printf("ci-token: there may be a token named %q that nobody holds; it expires %s\n", req.Name, stamp(req.ExpiresAt))
		return
	}
	s.log.Printf("ci-token: no token named %q is to be found; should it turn up, it expires %s\n", req.Name, stamp(req.ExpiresAt))
}

// revoke revokes the token, and reports whether it is gone.
func (s *session) revoke(token *fastly.TokenCreatedResponse) bool {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTimeout)
	defer cancel()
	err := s.client.Tokens.RevokeToken(ctx, token.ID)
	switch {
	case errors.Is(err, fastly.ErrNotFound):
		s.log.Printf("ci-token: token %s is gone already\n", token.ID)
	case err != nil:
		s.log.Printf("ci-token: %v\n", err)
		s.log.Printf("ci-token: token %s was NOT revoked: it works until it expires, %s, or you revoke it\n", token.ID, stamp(token.ExpiresAt))
		return false
	default:
		s.log.Printf("ci-token: token %s revoked\n", token.ID)
	}
	return true
}

// excess says in what a token goes beyond the request, if it does: such a one
// is not handed to a command.
func excess(req *fastly.CreateTokenRequest, token *fastly.TokenCreatedResponse) string {
	for _, scope := range token.Scopes {
		if !req.Scopes.Has(scope) {
			return fmt.Sprintf("it has the scope %s", scope)
		}
	}
	if len(req.Services) > 0 && len(token.Services) == 0 {
		return "it is for every service"
	}
	for _, id := range token.Services {
		if len(req.Services) > 0 && !slices.Contains(req.Services, id) {
			return "it is for the service " + id
		}
	}
	if token.ExpiresAt.IsZero() || token.ExpiresAt.After(req.ExpiresAt.Add(time.Minute)) {
		return "it expires " + stamp(token.ExpiresAt)
	}
	return ""
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

func signalNumber(sig os.Signal) int {
	if number, ok := sig.(syscall.Signal); ok {
		return int(number)
	}
	return 0
}
