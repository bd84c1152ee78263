package fastly

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// TokensService has the API's eight operations on tokens. [Client].Tokens holds one; the zero value
// fails every call with [ErrInvalidArgument]. It is safe for concurrent use.
//
// A call with an invalid argument sends nothing; its error matches [ErrInvalidArgument]. A response
// that is not a 2xx is a [*GenericTokenError]; a 2xx that can't be what it should be matches
// [ErrInvalidResponse], and so does a list of more than 64 MiB or 500,000 tokens, or a token of more
// than 1 MiB. Temporary failures are retried where that is safe: see [RetryPolicy].
//
// Words in parentheses say how something about the API is known: documented by Fastly, recorded,
// relied on by other clients, or assumed (docs/api.md).
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type TokensService struct {
	client *Client
}

// BulkRevokeTokens revokes tokens by their IDs: DELETE /tokens. The list must not be empty; an ID
// that occurs twice is sent once. The key must be of scope global (relied on), and its user must own
// the tokens or be a superuser (documented). Either all are revoked or none, a 404 means that one of
// them does not exist, and the request counts once toward the rate limit (assumed); how many IDs it
// may have is not known. If an earlier attempt of the call may have been processed, a 401 or 404
// matches [ErrOutcomeUnknown], too; after an earlier call, a 404 may mean that it revoked them all.
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#bulk-revoke-tokens
func (s *TokensService) BulkRevokeTokens(ctx context.Context, tokenIDs []string) error {
	if len(tokenIDs) == 0 {
		return invalid("the list of token IDs is empty")
	}
	for i, id := range tokenIDs {
		if err := checkTokenID(id, "RevokeTokenCurrent"); err != nil {
			return fmt.Errorf("%w (number %d of the list)", err, i+1)
		}
	}
	op := operation{kind: kindRevokeBulk, method: http.MethodDelete, path: "/tokens", body: encodeBulk(tokenIDs)}
	_, err := do(ctx, s, op, decodeRevoked)
	return err
}

// CreateToken creates a token: POST /tokens. With a Username and a Password the request
// authenticates itself, and the client's own credentials are not sent (documented). An API key must
// be of scope global and confirmed by POST /sudo, which this library never sends; otherwise it gets
// [ErrSudoRequired] (relied on). A create is never retried once the API may have processed it: the
// error then matches [ErrOutcomeUnknown]. With an error, the response is nil, or holds what could be
// read of a broken one: check it for an AccessToken, which the API shows only once.
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
func (s *TokensService) CreateToken(ctx context.Context, req *CreateTokenRequest) (*TokenCreatedResponse, error) {
	if err := checkCreate(req); err != nil {
		return nil, err
	}
	create := *req
	op := operation{kind: kindCreate, method: http.MethodPost, path: "/tokens", create: &create, login: req.Username != ""}
	return do(ctx, s, op, decodeCreated)
}

// GetToken returns a token by its ID: GET /tokens/{token_id}. The key must be of scope global or
// global:read, and its user must own the token or be a superuser of the same customer (assumed).
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#get-token
func (s *TokensService) GetToken(ctx context.Context, tokenID string) (*TokenResponse, error) {
	if err := checkTokenID(tokenID, "GetTokenCurrent"); err != nil {
		return nil, err
	}
	return do(ctx, s, operation{kind: kindRead, method: http.MethodGet, path: "/tokens/" + tokenID}, decodeToken)
}

// GetTokenCurrent returns the token of the API key: GET /tokens/self. Any scope is enough (assumed).
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#get-token-current
func (s *TokensService) GetTokenCurrent(ctx context.Context) (*TokenResponse, error) {
	return do(ctx, s, operation{kind: kindRead, method: http.MethodGet, path: "/tokens/self"}, decodeToken)
}

// ListTokensCustomer returns the tokens of a customer: GET /customer/{customer_id}/tokens. The key
// must be a superuser's, of scope global or global:read (assumed). For the list and errors, see
// [TokensService.ListTokensUser].
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/customer/#list-tokens-customer
func (s *TokensService) ListTokensCustomer(ctx context.Context, customerID string) ([]TokenResponse, error) {
	if err := checkID("the customer ID", customerID); err != nil {
		return nil, err
	}
	return do(ctx, s, operation{kind: kindRead, method: http.MethodGet, path: "/customer/" + customerID + "/tokens"}, decodeTokens)
}

// ListTokensUser returns the tokens of the client's user: GET /tokens. The key must be of scope
// global or global:read (documented). The list is in no particular order. Without an error it is
// complete, and empty but not nil if there are none. With an error it holds the tokens that could be
// read, or is nil if none could: a token's absence from it proves nothing.
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#list-tokens-user
func (s *TokensService) ListTokensUser(ctx context.Context) ([]TokenResponse, error) {
	return do(ctx, s, operation{kind: kindRead, method: http.MethodGet, path: "/tokens"}, decodeTokens)
}

// RevokeToken revokes a token by its ID: DELETE /tokens/{token_id}. The key must be of scope global
// (relied on), and its user must own the token or be a superuser of the same customer (assumed).
// It revokes automation tokens, too, which have no user (recorded). If an earlier attempt of the
// call may have been processed, a 404 is success, and a 401 matches [ErrOutcomeUnknown].
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#revoke-token
func (s *TokensService) RevokeToken(ctx context.Context, tokenID string) error {
	if err := checkTokenID(tokenID, "RevokeTokenCurrent"); err != nil {
		return err
	}
	_, err := do(ctx, s, operation{kind: kindRevoke, method: http.MethodDelete, path: "/tokens/" + tokenID}, decodeRevoked)
	return err
}

// RevokeTokenCurrent revokes the token of the API key: DELETE /tokens/self. The key must be of scope
// global: a token that may only purge can't revoke itself (assumed). All attempts use the
// same key. If an earlier attempt may have been processed, a 401 or 404 is success, and a 403
// matches [ErrOutcomeUnknown]. With [WithAPIKeyFunc] and [WithTransport], so does any error after
// such an attempt, as the next call may revoke the next token; with WithTransport, it is not retried.
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#revoke-token-current
func (s *TokensService) RevokeTokenCurrent(ctx context.Context) error {
	_, err := do(ctx, s, operation{kind: kindRevokeCurrent, method: http.MethodDelete, path: "/tokens/self"}, decodeRevoked)
	return err
}

func checkCreate(req *CreateTokenRequest) error {
	if req == nil {
		return invalid("the CreateTokenRequest is nil; CreateTokenRequest{} asks for a token with the API's defaults")
	}
	for i, scope := range req.Scopes {
		if !isVisible(string(scope)) || scope == "" {
			return invalid("Scopes[%d] is not one scope, such as ScopePurgeAll", i)
		}
	}
	for i, id := range req.Services {
		if err := checkID("a service ID", id); err != nil {
			return fmt.Errorf("%w (Services[%d])", err, i)
		}
	}
	year := req.ExpiresAt.UTC().Year()
	switch {
	case req.Lifetime < 0:
		return invalid("the Lifetime is negative; zero means that ExpiresAt decides")
	case req.Lifetime > 0 && !req.ExpiresAt.IsZero():
		return invalid("Lifetime and ExpiresAt exclude each other")
	case year < 0 || year > 9999:
		return invalid("ExpiresAt is in the year %d, which RFC 3339 can't express; the zero time means never", year)
	case req.Username == "" && req.Password == "":
		return nil
	}
	err := checkLogin(req.Username, req.Password)
	if req.Username == "" || req.Password == "" {
		return fmt.Errorf("%w; a create needs both Username and Password, or neither", err)
	}
	return err
}

// checkTokenID also rejects "self", which nobody should revoke by accident.
func checkTokenID(id, current string) error {
	if strings.EqualFold(id, "self") {
		return invalid("the token ID is %q, which means the client's own token: use %s", id, current)
	}
	return checkID("the token ID", id)
}

// checkID accepts 1 to 64 letters and digits (the API's IDs have 22), but not as many as an access
// token has. Its error does not show the value, which may be one.
func checkID(what, id string) error {
	const maxIDLength, alphanumeric = 64, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	switch {
	case id == "":
		return invalid("%s is empty", what)
	case len(id) > maxIDLength:
		return invalid("%s has %d characters; at most %d are allowed", what, len(id), maxIDLength)
	case len(id) == accessTokenLength:
		return invalid("%s has the length of an access token: use the ID, which is not secret", what)
	case strings.Trim(id, alphanumeric) != "":
		return invalid("%s may hold only letters and digits (is there a space around it?)", what)
	}
	return nil
}
