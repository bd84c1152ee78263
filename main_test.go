package fastly_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Well-formed, and known to nobody.
const (
	someKey      = "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"
	someID       = "5Yo3XXyOUcQ7Vb1nKd92Ls"
	otherID      = "2Lm8ZzTgEwR4Hj6pWx31Qa"
	someService  = "SU1Z0isxPaozGVKXdv0eY"
	otherService = "7i6HN3TK9wS159v2gPAZ8A"
	someCustomer = "1aBcD3eFgH5iJkL7mNoP9q"
	libraryAgent = "fastly-tokens-go/0.1.0"
)

const (
	tokenAnswer   = `{"id":"` + someID + `","name":"deploy","scope":"global"}`
	createdAnswer = `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"}`
)

// tokensMethod is one of the eight methods, with arguments that are right.
type tokensMethod struct {
	name   string
	verb   string
	path   string
	status int    // of success
	answer string // of success
	call   func(context.Context, *fastly.Client) error
}

var tokensMethods = []tokensMethod{
	{"BulkRevokeTokens", "DELETE", "/tokens", 204, "", func(ctx context.Context, c *fastly.Client) error {
		return c.Tokens.BulkRevokeTokens(ctx, []string{someID, otherID})
	}},
	{"CreateToken", "POST", "/tokens", 200, createdAnswer, func(ctx context.Context, c *fastly.Client) error {
		_, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "deploy"})
		return err
	}},
	{"GetToken", "GET", "/tokens/" + someID, 200, tokenAnswer, func(ctx context.Context, c *fastly.Client) error {
		_, err := c.Tokens.GetToken(ctx, someID)
		return err
	}},
	{"GetTokenCurrent", "GET", "/tokens/self", 200, tokenAnswer, func(ctx context.Context, c *fastly.Client) error {
		_, err := c.Tokens.GetTokenCurrent(ctx)
		return err
	}},
	{"ListTokensCustomer", "GET", "/customer/" + someCustomer + "/tokens", 200, "[" + tokenAnswer + "]", func(ctx context.Context, c *fastly.Client) error {
		_, err := c.Tokens.ListTokensCustomer(ctx, someCustomer)
		return err
	}},
	{"ListTokensUser", "GET", "/tokens", 200, "[" + tokenAnswer + "]", func(ctx context.Context, c *fastly.Client) error {
		_, err := c.Tokens.ListTokensUser(ctx)
		return err
	}},
	{"RevokeToken", "DELETE", "/tokens/" + someID, 204, "", func(ctx context.Context, c *fastly.Client) error {
		return c.Tokens.RevokeToken(ctx, someID)
	}},
	{"RevokeTokenCurrent", "DELETE", "/tokens/self", 204, "", func(ctx context.Context, c *fastly.Client) error {
		return c.Tokens.RevokeTokenCurrent(ctx)
	}},
}

// never is a policy under which each failure shows at once.
var never = fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1})

// newAPI starts an in-memory API.
func newAPI(t *testing.T, opts ...fastlytest.Option) *fastlytest.Server {
	t.Helper()
	srv := fastlytest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv
}

// arrival is a request as a server got it.
type arrival struct {
	verb    string
	uri     string
	host    string
	header  http.Header
	body    string
	length  int64
	chunked bool
}

// stub is a server that answers whatever it is told to.
type stub struct {
	*httptest.Server
	mu       sync.Mutex
	arrivals []arrival
}

// newStub starts a server that gives each request the same answer.
func newStub(t *testing.T, status int, header http.Header, body string) *stub {
	t.Helper()
	return newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.WriteHeader(status)
		// A client that left early is that test's subject, not an error here.
		_, _ = io.WriteString(w, body)
	})
}

// newStubFunc starts a server that notes each request and hands it on.
func newStubFunc(t *testing.T, answer http.HandlerFunc) *stub {
	t.Helper()
	s := new(stub)
	s.Server = httptest.NewServer(s.noting(answer))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) noting(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.arrivals = append(s.arrivals, arrival{
			verb: r.Method, uri: r.RequestURI, host: r.Host, header: r.Header.Clone(),
			body: string(body), length: r.ContentLength, chunked: len(r.TransferEncoding) > 0,
		})
		s.mu.Unlock()
		answer(w, r)
	})
}

// seen returns the requests so far.
func (s *stub) seen() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.arrivals)
}

// only returns the one request there was.
func (s *stub) only(t *testing.T) arrival {
	t.Helper()
	all := s.seen()
	require.Len(t, all, 1, "one request was wanted")
	return all[0]
}

// client returns a client of the stub that never retries.
func (s *stub) client(t *testing.T, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	return mustClient(t, append([]fastly.Option{fastly.WithBaseURL(s.URL), fastly.WithAPIKey(someKey), never}, opts...)...)
}

func mustClient(t *testing.T, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	c, err := fastly.NewClient(opts...)
	require.NoError(t, err)
	return c
}

// answerOf returns the API's answer that err is made of.
func answerOf(t *testing.T, err error) *fastly.GenericTokenError {
	t.Helper()
	var answer *fastly.GenericTokenError
	require.ErrorAs(t, err, &answer)
	return answer
}

var allSentinels = map[string]error{
	"ErrBadRequest":         fastly.ErrBadRequest,
	"ErrUnauthorized":       fastly.ErrUnauthorized,
	"ErrForbidden":          fastly.ErrForbidden,
	"ErrNotFound":           fastly.ErrNotFound,
	"ErrUnprocessable":      fastly.ErrUnprocessable,
	"ErrRateLimited":        fastly.ErrRateLimited,
	"ErrServer":             fastly.ErrServer,
	"ErrOTPRequired":        fastly.ErrOTPRequired,
	"ErrInvalidCredentials": fastly.ErrInvalidCredentials,
	"ErrInvalidScope":       fastly.ErrInvalidScope,
	"ErrAccountLocked":      fastly.ErrAccountLocked,
	"ErrSudoRequired":       fastly.ErrSudoRequired,
	"ErrInvalidArgument":    fastly.ErrInvalidArgument,
	"ErrOutcomeUnknown":     fastly.ErrOutcomeUnknown,
}

// assertMatches checks that err matches the sentinels wanted and no other.
func assertMatches(t *testing.T, err error, want ...error) {
	t.Helper()
	var wanted, got []string
	for name, sentinel := range allSentinels {
		if slices.Contains(want, sentinel) {
			wanted = append(wanted, name)
		}
		if errors.Is(err, sentinel) {
			got = append(got, name)
		}
	}
	assert.ElementsMatch(t, wanted, got, "sentinels of %v", err)
}

// assertRefused checks that err refuses an argument or an option, in words that
// hold each of the says.
func assertRefused(t *testing.T, err error, says ...string) {
	t.Helper()
	require.Error(t, err)
	assertMatches(t, err, fastly.ErrInvalidArgument)
	for _, part := range says {
		require.ErrorContains(t, err, part)
	}
	assertOneLine(t, err)
}

func assertOneLine(t *testing.T, err error) {
	t.Helper()
	assert.NotContains(t, err.Error(), "\n")
	assert.NotContains(t, err.Error(), "\r")
	assert.Regexp(t, `^fastly: .*\S$`, err.Error())
}
