package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
	"github.com/fastly-tokens/fastly/rotate"
)

// knownScopes are those that the API documents.
var knownScopes = []string{
	string(fastly.ScopeGlobal), string(fastly.ScopePurgeSelect), string(fastly.ScopePurgeAll), string(fastly.ScopeGlobalRead),
}

// tokenFlags say which token to create.
type tokenFlags struct {
	name     string
	scopes   []string
	services []string
	ttl      duration
}

// add adds the flags, with the values of the fields as their defaults.
func (t *tokenFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&t.name, "name", t.name, "`name` of the token; random letters follow it, which make it unique")
	fs.StringSliceVar(&t.scopes, "scope", t.scopes, "`scope` of the token: "+strings.Join(knownScopes, ", ")+"; may be repeated")
	fs.StringSliceVar(&t.services, "service", nil, "`ID` of a service that the token is limited to; may be repeated (default every service)")
	fs.Var(&t.ttl, "ttl", "how long the token works, a `time` such as 12h or 90d")
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions(knownScopes, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// request returns the request for the token.
func (t *tokenFlags) request() (*fastly.CreateTokenRequest, error) {
	req := &fastly.CreateTokenRequest{
		Name: t.name, Scopes: fastly.ParseScopes(strings.Join(t.scopes, " ")), Services: t.services, Lifetime: time.Duration(t.ttl),
	}
	isOther := func(scope fastly.Scope) bool { return !scopeForm.MatchString(string(scope)) }
	if len(req.Scopes) == 0 || slices.ContainsFunc(req.Scopes, isOther) {
		return nil, usagef("--scope: want some of %s", strings.Join(knownScopes, ", "))
	}
	for _, id := range req.Services {
		if err := checkID("--service", id); err != nil {
			return nil, err
		}
	}
	if t.ttl > 0 && time.Duration(t.ttl) < time.Second {
		return nil, usagef("--ttl is shorter than a second")
	}
	return req, nil
}

// createToken creates a token by the login or, with --by-key, by the client's own key. It asks for
// a one-time password only if the API does, which takes another create: the error names what any of
// them may have left.
func (a *app) createToken(ctx context.Context, client *fastly.Client, req *fastly.CreateTokenRequest, l *login, cleanup *fastly.Client) (*fastly.TokenCreatedResponse, error) {
	if !l.byKey {
		var err error
		if req.Username, req.Password, err = l.read(ctx, a); err != nil {
			return nil, err
		}
	}
	var created *fastly.TokenCreatedResponse
	var last error
	var earlier []error
	_ = l.withCode(a, func(code func(context.Context) (fastly.Secret, error)) error {
		if leaves(last) {
			earlier = append(earlier, &leftError{last})
		}
		req.OTPFunc = code
		created, last = rotate.Create(ctx, client, req, cleanup)
		return last
	})
	createErr, ok := errors.AsType[*rotate.CreateError](last)
	if leaves(last) {
		last = &leftError{last}
	} else if ok && !errors.Is(last, fastly.ErrOutcomeUnknown) {
		last = createErr.Err // nothing was created
	}
	return created, errors.Join(append([]error{last}, earlier...)...)
}

// whileNew calls f again while its error says that the API does not know a new token yet, for as long
// as the API may lag.
func (a *app) whileNew(ctx context.Context, notKnown error, f func() error) error {
	err := f()
	for waited := time.Duration(0); errors.Is(err, notKnown) && waited < clock.Lag; waited += clock.Lag / 10 {
		if a.sleep(ctx, clock.Lag/10) != nil {
			break
		}
		err = f()
	}
	return err
}

// leaves reports whether a create may have left a token.
func leaves(err error) bool {
	createErr, ok := errors.AsType[*rotate.CreateError](err)
	return ok && (len(createErr.Left) > 0 || createErr.Unknown)
}

// excess says how a token exceeds the request, "" if it doesn't.
func excess(req *fastly.CreateTokenRequest, token *fastly.TokenCreatedResponse) string {
	for _, scope := range token.Scopes {
		if !req.Scopes.Has(scope) {
			return fmt.Sprintf("it has the scope %s", scope)
		}
	}
	if len(req.Services) > 0 && reachesAll(&token.TokenResponse) {
		return "it is for every service"
	}
	for _, id := range token.Services {
		if len(req.Services) > 0 && !slices.Contains(req.Services, id) {
			return "it is for the service " + id
		}
	}
	if req.Lifetime > 0 && (token.ExpiresAt.IsZero() || !token.CreatedAt.IsZero() && token.ExpiresAt.Sub(token.CreatedAt) > req.Lifetime+time.Minute) {
		return "it expires " + stamp(token.ExpiresAt)
	}
	return ""
}
