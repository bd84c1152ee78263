// Package consumer_test is a program outside the module that uses every name that
// package fastly exports, with its documented type.
package consumer_test

import (
	"context"
	"encoding"
	"fmt"
	"go/token"
	"go/types"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"golang.org/x/tools/go/packages"

	"github.com/fastly-tokens/fastly"
)

var (
	_ func(...fastly.Option) (*fastly.Client, error)                               = fastly.NewClient
	_ func(...fastly.Option) (*fastly.Client, error)                               = fastly.NewClientFromEnv
	_ func(string) fastly.Option                                                   = fastly.WithAPIKey
	_ func(func(context.Context) (fastly.Secret, error)) fastly.Option             = fastly.WithAPIKeyFunc
	_ func(string) func(context.Context) (fastly.Secret, error)                    = fastly.KeyFile
	_ func(string, string) fastly.Option                                           = fastly.WithBasicAuth
	_ func() fastly.Option                                                         = fastly.WithoutAuthentication
	_ func(http.RoundTripper) fastly.Option                                        = fastly.WithTransport
	_ func(*http.Client) fastly.Option                                             = fastly.WithHTTPClient
	_ func(string) fastly.Option                                                   = fastly.WithBaseURL
	_ func() fastly.Option                                                         = fastly.WithInsecurePlainHTTP
	_ func(string) fastly.Option                                                   = fastly.WithUserAgent
	_ func(fastly.RetryPolicy) fastly.Option                                       = fastly.WithRetryPolicy
	_ func(*slog.Logger) fastly.Option                                             = fastly.WithLogger
	_ func(*fastly.Client) (fastly.RateLimit, bool)                                = (*fastly.Client).RateLimit
	_ func(*fastly.Client)                                                         = (*fastly.Client).CloseIdleConnections
	_ func(*fastly.Client, ...fastly.Option) (*fastly.Client, error)               = (*fastly.Client).With
	_ func(func(http.RoundTripper) http.RoundTripper) fastly.Option                = fastly.WithMiddleware
	_ func(*fastly.TokensService, context.Context, []string) error                 = (*fastly.TokensService).BulkRevokeTokens
	_ func(*fastly.TokensService, context.Context, string) error                   = (*fastly.TokensService).RevokeToken
	_ func(*fastly.TokensService, context.Context) error                           = (*fastly.TokensService).RevokeTokenCurrent
	_ func(fastly.TokenResponse, time.Time) bool                                   = fastly.TokenResponse.Expired
	_ func(fastly.TokenResponse, fastly.Scope, string) bool                        = fastly.TokenResponse.Allows
	_ func(string) fastly.Scopes                                                   = fastly.ParseScopes
	_ fmt.Stringer                                                                 = fastly.Scopes(nil)
	_ encoding.TextMarshaler                                                       = fastly.Scopes(nil)
	_ encoding.TextUnmarshaler                                                     = (*fastly.Scopes)(nil)
	_ func(fastly.Scopes, fastly.Scope) bool                                       = fastly.Scopes.Has
	_ func(fastly.Secret) string                                                   = fastly.Secret.Reveal
	_ fmt.Stringer                                                                 = fastly.Secret("")
	_ fmt.Formatter                                                                = fastly.Secret("")
	_ slog.LogValuer                                                               = fastly.Secret("")
	_ encoding.TextMarshaler                                                       = fastly.Secret("")
	_ encoding.BinaryMarshaler                                                     = fastly.Secret("")
	_ encoding.BinaryUnmarshaler                                                   = (*fastly.Secret)(nil)
	_ fmt.Formatter                                                                = (*fastly.Client)(nil)
	_ fmt.Formatter                                                                = fastly.APIKeyTransport{}
	_ fmt.Formatter                                                                = fastly.BasicAuthTransport{}
	_ fmt.Formatter                                                                = fastly.CreateTokenRequest{}
	_ fmt.Formatter                                                                = fastly.TokenCreatedResponse{}
	_ http.RoundTripper                                                            = (*fastly.APIKeyTransport)(nil)
	_ http.RoundTripper                                                            = (*fastly.BasicAuthTransport)(nil)
	_ interface{ Is(error) bool }                                                  = (*fastly.GenericTokenError)(nil)
	_ error                                                                        = (*fastly.GenericTokenError)(nil)
	_ func(*fastly.TokensService, context.Context) ([]fastly.TokenResponse, error) = (*fastly.TokensService).ListTokensUser
)

var (
	_ func(*fastly.TokensService, context.Context, *fastly.CreateTokenRequest) (*fastly.TokenCreatedResponse, error) = (*fastly.TokensService).CreateToken

	_ func(*fastly.TokensService, context.Context, string) (*fastly.TokenResponse, error)  = (*fastly.TokensService).GetToken
	_ func(*fastly.TokensService, context.Context) (*fastly.TokenResponse, error)          = (*fastly.TokensService).GetTokenCurrent
	_ func(*fastly.TokensService, context.Context, string) ([]fastly.TokenResponse, error) = (*fastly.TokensService).ListTokensCustomer
)

var errs = []error{
	fastly.ErrBadRequest, fastly.ErrUnauthorized, fastly.ErrForbidden, fastly.ErrNotFound,
	fastly.ErrUnprocessable, fastly.ErrRateLimited, fastly.ErrServer,
	fastly.ErrOTPRequired, fastly.ErrInvalidCredentials, fastly.ErrInvalidScope,
	fastly.ErrAccountLocked, fastly.ErrSudoRequired, fastly.ErrTokenExpired,
	fastly.ErrInvalidArgument, fastly.ErrInvalidResponse, fastly.ErrOutcomeUnknown,
}

func TestEveryExportedNameIsUsed(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedImports | packages.NeedTypes}, "github.com/fastly-tokens/fastly")
	if err != nil || len(loaded[0].Errors) > 0 {
		t.Fatal(err, loaded[0].Errors)
	}
	text, err := os.ReadFile("consumer_test.go")
	if err != nil {
		t.Fatal(err)
	}
	// By these, a type implements an interface of the standard library: see above.
	known := []string{"RoundTrip", "Format", "String", "LogValue", "MarshalText", "UnmarshalText", "MarshalBinary", "UnmarshalBinary"}
	check := func(name string) {
		if token.IsExported(name) && !slices.Contains(known, name) && !regexp.MustCompile(`\b`+name+`\b`).Match(text) {
			t.Errorf("%s is exported and not used here", name)
		}
	}
	scope := loaded[0].Types.Scope()
	for _, name := range scope.Names() {
		check(name)
		if named, ok := scope.Lookup(name).Type().(*types.Named); ok && token.IsExported(name) {
			for method := range named.Methods() {
				check(method.Name())
			}
			if structure, ok := named.Underlying().(*types.Struct); ok {
				for field := range structure.Fields() {
					check(field.Name())
				}
			}
		}
	}
}

func TestExportedTypesAreAsDocumented(t *testing.T) {
	const _ string = fastly.DefaultBaseURL
	now := time.Now()
	scopes := fastly.Scopes{fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead}
	_ = fastly.Client{Tokens: &fastly.TokensService{}}
	_ = fastly.RateLimit{Remaining: 1, Reset: now}
	_ = fastly.RetryPolicy{MaxAttempts: 1, MinBackoff: time.Second, MaxBackoff: time.Second, MaxWait: time.Second}
	_ = fastly.APIKeyTransport{
		Key:     "k",
		KeyFunc: func(context.Context) (fastly.Secret, error) { return "k", nil },
		Host:    "api.fastly.com",
		Base:    http.DefaultTransport,
	}
	_ = fastly.BasicAuthTransport{Username: "u", Password: "p", Host: "api.fastly.com", Base: http.DefaultTransport}
	_ = fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{
			ID: "i", Name: "n", UserID: "u", CustomerID: "c", Scopes: scopes, Services: []string{"s"},
			CreatedAt: now, UpdatedAt: now, DeletedAt: now, ExpiresAt: now, LastUsedAt: now, SudoExpiresAt: now,
			IP: "192.0.2.1", UserAgent: "a", LimitServices: true,
		},
		AccessToken: "t",
	}
	_ = fastly.CreateTokenRequest{
		Name: "n", Scopes: scopes, Services: []string{"s"}, ExpiresAt: now, Lifetime: time.Hour,
		Username: "u", Password: "p", OTP: "123456",
		OTPFunc: func(context.Context) (fastly.Secret, error) { return "123456", nil },
	}
	_ = fastly.GenericTokenError{
		StatusCode: 400, Msg: "m", Detail: "d", Code: "c", Method: http.MethodGet, Path: "/tokens",
		RateLimit: fastly.RateLimit{}, RetryAfter: time.Second, Header: http.Header{}, Body: "b",
	}
	for _, err := range errs {
		if err == nil {
			t.Error("an exported error is nil")
		}
	}
}
