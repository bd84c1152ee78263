package fastly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-querystring/query"
)

// TokensService has the API's eight operations on tokens. It is reached as
// [Client].Tokens and safe for concurrent use.
//
// Each method sends nothing, and returns an error that matches
// [ErrInvalidArgument], if an argument can't be right. An answer that is not a
// 2xx is a [*GenericTokenError]. A list of more than 64 MiB is an error, and so is
// a token of more than 1 MiB. Failures that may pass are retried as far as that is
// safe: see [RetryPolicy].
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/
type TokensService struct {
	client *Client
	// How many tokens the last list held.
	userTokens, customerTokens atomic.Int64
}

// BulkRevokeTokens revokes tokens by their IDs, each sent once however often it
// is in the list: DELETE /tokens. The list must not be empty.
//
// If an attempt was lost and the next one is answered 404, some of the tokens
// may have been revoked: the error then matches [ErrOutcomeUnknown] too.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#bulk-revoke-tokens
func (s *TokensService) BulkRevokeTokens(ctx context.Context, tokenIDs []string) error {
	body, err := encodeIDs(tokenIDs)
	if err != nil {
		return err
	}
	_, err = call(ctx, s.client, &operation{
		kind: kindRevokeBulk, method: http.MethodDelete, path: tokensPath,
		body: body, bodyType: bulkBody,
	}, confirm)
	return err
}

// CreateToken creates a token: POST /tokens. It is never sent a second time
// once the API may have carried it out; an error that matches
// [ErrOutcomeUnknown] then says that a token may exist.
//
// If the API created the token and its answer can't be read whole, the response
// and an error come back together: the response holds what could be read, the
// access token above all. So look at the response even if there is an error.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#create-token
func (s *TokensService) CreateToken(ctx context.Context, req *CreateTokenRequest) (*TokenCreatedResponse, error) {
	body, err := encodeCreate(req)
	if err != nil {
		return nil, err
	}
	op := &operation{
		kind: kindCreate, method: http.MethodPost, path: tokensPath,
		body: body, bodyType: formBody,
		otp: req.OTP, password: req.Password,
		name: req.Name,
	}
	created, err := call(ctx, s.client, op, decodeCreated)
	if err == nil {
		return created, nil
	}
	if failed := (*callError)(nil); created != nil && created.AccessToken != "" && errors.As(err, &failed) {
		failed.hint = "the token was created, and its access token is in the response: keep it, or revoke the token by its ID"
		if failed.unknown = errors.As(err, new(*cutError)); errors.As(err, new(*guessError)) {
			failed.hint = "a token was created, and what may be its access token is in the response: try it before you rely on it"
			failed.unknown = true
		}
	}
	return created, err
}

// GetToken returns a token by its ID: GET /tokens/{token_id}.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#get-token
func (s *TokensService) GetToken(ctx context.Context, tokenID string) (*TokenResponse, error) {
	if err := checkTokenID(tokenID, "GetTokenCurrent"); err != nil {
		return nil, err
	}
	return call(ctx, s.client, &operation{kind: kindRead, method: http.MethodGet, path: tokensPath + "/" + tokenID}, decodeToken)
}

// GetTokenCurrent returns the token that the client authenticates with: GET
// /tokens/self.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#get-token-current
func (s *TokensService) GetTokenCurrent(ctx context.Context) (*TokenResponse, error) {
	return call(ctx, s.client, &operation{kind: kindRead, method: http.MethodGet, path: currentPath}, decodeToken)
}

// ListTokensCustomer returns the tokens of a customer, which takes a superuser:
// GET /customer/{customer_id}/tokens. The list is whole, never a page, and
// empty but not nil if there are none.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/customer/#list-tokens-customer
func (s *TokensService) ListTokensCustomer(ctx context.Context, customerID string) ([]TokenResponse, error) {
	if err := checkID("the customer ID", customerID); err != nil {
		return nil, err
	}
	return call(ctx, s.client, &operation{kind: kindRead, method: http.MethodGet, path: "/customer/" + customerID + tokensPath}, decodeTokens(&s.customerTokens))
}

// ListTokensUser returns the tokens of the client's user: GET /tokens. The list
// is whole, never a page, and empty but not nil if there are none.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#list-tokens-user
func (s *TokensService) ListTokensUser(ctx context.Context) ([]TokenResponse, error) {
	return call(ctx, s.client, &operation{kind: kindRead, method: http.MethodGet, path: tokensPath}, decodeTokens(&s.userTokens))
}

// RevokeToken revokes a token by its ID: DELETE /tokens/{token_id}. A 404 means
// success if an earlier attempt of the same call may have been carried out, and
// is an error otherwise.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#revoke-token
func (s *TokensService) RevokeToken(ctx context.Context, tokenID string) error {
	if err := checkTokenID(tokenID, "RevokeTokenCurrent"); err != nil {
		return err
	}
	_, err := call(ctx, s.client, &operation{kind: kindRevoke, method: http.MethodDelete, path: tokensPath + "/" + tokenID}, confirm)
	return err
}

// RevokeTokenCurrent revokes the token that the client authenticates with:
// DELETE /tokens/self. The client is of no use afterwards.
//
// Source: https://www.fastly.com/documentation/reference/api/auth-tokens/user/#revoke-token-current
func (s *TokensService) RevokeTokenCurrent(ctx context.Context) error {
	_, err := call(ctx, s.client, &operation{kind: kindRevokeCurrent, method: http.MethodDelete, path: currentPath}, confirm)
	return err
}

const (
	tokensPath  = "/tokens"
	currentPath = tokensPath + "/self"
)

// confirm reads a 2xx to a revoke, whose body matters only if it shows that it
// was not the API that answered.
func confirm(body io.Reader) (struct{}, error) {
	if body == http.NoBody {
		return struct{}{}, nil
	}
	text, err := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	if strings.HasPrefix(strings.TrimSpace(string(text)), "<") {
		return struct{}{}, notAToken("it is a page of HTML or XML")
	}
	if err != nil {
		err = &cutError{err}
	}
	return struct{}{}, err
}

// createForm is a CreateTokenRequest as the API wants it.
type createForm struct {
	Name      formTexts `url:"name"`
	Scope     formTexts `url:"scope"`
	Services  formTexts `url:"services[]"`
	ExpiresAt formTexts `url:"expires_at"`
	Username  formTexts `url:"username"`
	Password  formTexts `url:"password"`
}

// formTexts are the values of a field. As they are texts already, there is
// nothing to be formatted, and so they encode themselves.
type formTexts []string

// EncodeValues implements [query.Encoder].
func (t formTexts) EncodeValues(name string, values *url.Values) error {
	if len(t) > 0 {
		(*values)[name] = t
	}
	return nil
}

// formText is the value of a field that is not sent if it is not set.
func formText(text string) formTexts {
	if text == "" {
		return nil
	}
	return formTexts{text}
}

func encodeCreate(req *CreateTokenRequest) ([]byte, error) {
	if req == nil {
		return nil, invalid("the CreateTokenRequest is nil; CreateTokenRequest{} asks for a token with the API's defaults")
	}
	for i, scope := range req.Scopes {
		if !isVisible(string(scope)) || scope == "" {
			return nil, invalid("Scopes[%d] is not one scope, such as ScopePurgeAll", i)
		}
	}
	for i, id := range req.Services {
		if err := checkID("a service ID", id); err != nil {
			return nil, fmt.Errorf("%w (Services[%d])", err, i)
		}
	}
	expires := req.ExpiresAt.UTC()
	if year := expires.Year(); year < 0 || year > 9999 {
		return nil, invalid("ExpiresAt is in the year %d, which RFC 3339 can't say; the zero time means never", year)
	}
	if req.OTP != "" && !isVisible(req.OTP.Reveal()) {
		return nil, invalid("the OTP holds a character that an HTTP header can't carry as it is (a line break or a space at its end?)")
	}
	form := createForm{
		Name:     formText(req.Name),
		Scope:    formText(req.Scopes.String()),
		Services: req.Services,
		Username: formText(req.Username),
		Password: formText(req.Password.Reveal()),
	}
	if !expires.IsZero() {
		form.ExpiresAt = formText(expires.Format(time.RFC3339))
	}
	values, err := query.Values(form)
	if err != nil {
		return nil, invalid("the CreateTokenRequest can't be encoded")
	}
	return encodeForm(values), nil
}

// encodeForm is [url.Values.Encode], but for the growing of its text.
func encodeForm(values url.Values) []byte {
	names := make([]string, 0, 8)
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	form := make([]byte, 0, 256)
	for _, name := range names {
		for _, value := range values[name] {
			if len(form) > 0 {
				form = append(form, '&')
			}
			form = append(form, url.QueryEscape(name)...)
			form = append(form, '=')
			form = append(form, url.QueryEscape(value)...)
		}
	}
	return form
}

// encodeIDs needs no JSON encoder: the IDs are checked to be letters and digits.
func encodeIDs(tokenIDs []string) ([]byte, error) {
	if len(tokenIDs) == 0 {
		return nil, invalid("the list of token IDs is empty")
	}
	seen := make(map[string]bool, len(tokenIDs))
	body := make([]byte, 0, 50*(len(tokenIDs)+1))
	body = append(body, `{"data":[`...)
	for i, id := range tokenIDs {
		if err := checkTokenID(id, "RevokeTokenCurrent"); err != nil {
			return nil, fmt.Errorf("%w (number %d of the list)", err, i+1)
		}
		if seen[id] {
			continue
		}
		if seen[id] = true; len(seen) > 1 {
			body = append(body, ',')
		}
		body = append(body, `{"type":"token","id":"`...)
		body = append(body, id...)
		body = append(body, `"}`...)
	}
	return append(body, "]}"...), nil
}

// checkTokenID refuses what can't be a token ID. To the API "self" is the
// caller's own token, which nobody should meet by accident.
func checkTokenID(id, current string) error {
	if strings.EqualFold(id, "self") {
		return invalid("the token ID is %q, which means the client's own token: use %s", id, current)
	}
	return checkID("the token ID", id)
}

// maxIDLength leaves room: the API's IDs have 22 characters.
const maxIDLength = 64

// checkID refuses what is not 1 to 64 letters and digits. Its error does not
// show the value: an access token may have been mistaken for its ID.
func checkID(what, id string) error {
	switch {
	case id == "":
		return invalid("%s is empty", what)
	case len(id) > maxIDLength:
		return invalid("%s has %d characters, and none has more than %d", what, len(id), maxIDLength)
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return invalid("%s may hold only letters and digits (is it an access token, or is there a space around it?)", what)
		}
	}
	return nil
}
