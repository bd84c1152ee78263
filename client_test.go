package fastly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// The surface that programs compile against: a change here breaks them.
var (
	_ string = fastly.DefaultBaseURL

	_ func(...fastly.Option) (*fastly.Client, error)                          = fastly.NewClient
	_ func(...fastly.Option) (*fastly.Client, error)                          = fastly.NewClientFromEnv
	_ func(string) fastly.Option                                              = fastly.WithAPIKey
	_ func(func(context.Context) (fastly.Secret, error)) fastly.Option        = fastly.WithAPIKeyFunc
	_ func(username, password string) fastly.Option                           = fastly.WithBasicAuth
	_ func(http.RoundTripper) fastly.Option                                   = fastly.WithTransport
	_ func(*http.Client) fastly.Option                                        = fastly.WithHTTPClient
	_ func(string) fastly.Option                                              = fastly.WithBaseURL
	_ func(string) fastly.Option                                              = fastly.WithUserAgent
	_ func(fastly.RetryPolicy) fastly.Option                                  = fastly.WithRetryPolicy
	_ func(*slog.Logger) fastly.Option                                        = fastly.WithLogger
	_ func() fastly.Option                                                    = fastly.WithInsecurePlainHTTP
	_ func(*fastly.Client) (fastly.RateLimit, bool)                           = (*fastly.Client).RateLimit
	_ func(*fastly.TokensService, context.Context, []string) error            = (*fastly.TokensService).BulkRevokeTokens
	_ func(*fastly.TokensService, context.Context, string) error              = (*fastly.TokensService).RevokeToken
	_ func(*fastly.TokensService, context.Context) error                      = (*fastly.TokensService).RevokeTokenCurrent
	_ func(fastly.Scopes) string                                              = fastly.Scopes.String
	_ func(fastly.Scopes, fastly.Scope) bool                                  = fastly.Scopes.Has
	_ func(fastly.Secret) string                                              = fastly.Secret.Reveal
	_ func(*fastly.APIKeyTransport, *http.Request) (*http.Response, error)    = (*fastly.APIKeyTransport).RoundTrip
	_ func(*fastly.BasicAuthTransport, *http.Request) (*http.Response, error) = (*fastly.BasicAuthTransport).RoundTrip

	_ func(*fastly.TokensService, context.Context, *fastly.CreateTokenRequest) (*fastly.TokenCreatedResponse, error) = (*fastly.TokensService).CreateToken
	_ func(*fastly.TokensService, context.Context, string) (*fastly.TokenResponse, error)                            = (*fastly.TokensService).GetToken
	_ func(*fastly.TokensService, context.Context) (*fastly.TokenResponse, error)                                    = (*fastly.TokensService).GetTokenCurrent
	_ func(*fastly.TokensService, context.Context, string) ([]fastly.TokenResponse, error)                           = (*fastly.TokensService).ListTokensCustomer
	_ func(*fastly.TokensService, context.Context) ([]fastly.TokenResponse, error)                                   = (*fastly.TokensService).ListTokensUser

	_ http.RoundTripper = (*fastly.APIKeyTransport)(nil)
	_ http.RoundTripper = (*fastly.BasicAuthTransport)(nil)
	_ error             = (*fastly.GenericTokenError)(nil)

	_ = fastly.Client{Tokens: (*fastly.TokensService)(nil)}
	_ = fastly.RateLimit{Remaining: int(0), Reset: time.Time{}}
	_ = fastly.RetryPolicy{MaxAttempts: int(0), MinBackoff: time.Duration(0), MaxBackoff: time.Duration(0), MaxWait: time.Duration(0)}
	_ = fastly.APIKeyTransport{
		Key: fastly.Secret(""), KeyFunc: (func(context.Context) (fastly.Secret, error))(nil),
		Host: string(""), Base: http.RoundTripper(nil),
	}
	_ = fastly.BasicAuthTransport{
		Username: string(""), Password: fastly.Secret(""), Host: string(""), Base: http.RoundTripper(nil),
	}
	_ = fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{
			ID: string(""), Name: string(""), UserID: string(""), CustomerID: string(""),
			Scopes: fastly.Scopes([]fastly.Scope(nil)), Services: []string(nil),
			CreatedAt: time.Time{}, UpdatedAt: time.Time{}, DeletedAt: time.Time{},
			ExpiresAt: time.Time{}, LastUsedAt: time.Time{}, SudoExpiresAt: time.Time{},
			IP: string(""), UserAgent: string(""),
		},
		AccessToken: fastly.Secret(""),
	}
	_ = fastly.CreateTokenRequest{
		Name: string(""), Scopes: fastly.Scopes(nil), Services: []string(nil), ExpiresAt: time.Time{},
		Username: string(""), Password: fastly.Secret(""), OTP: fastly.Secret(""),
	}
	_ = fastly.GenericTokenError{
		StatusCode: int(0), Msg: string(""), Detail: string(""), Code: string(""),
		Method: string(""), Path: string(""), RateLimit: fastly.RateLimit{}, RetryAfter: time.Duration(0),
	}
	_ = []fastly.Scope{fastly.ScopeGlobal, fastly.ScopePurgeSelect, fastly.ScopePurgeAll, fastly.ScopeGlobalRead}
)

func TestSurfaceIsKept(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "https://api.fastly.com", fastly.DefaultBaseURL)

	var methods []string
	service := reflect.TypeFor[*fastly.TokensService]()
	for i := range service.NumMethod() {
		methods = append(methods, service.Method(i).Name)
	}
	var wanted []string
	for _, m := range tokensMethods {
		wanted = append(wanted, m.name)
	}
	assert.Equal(t, wanted, methods, "one method for each endpoint")

	for _, model := range []reflect.Type{
		reflect.TypeFor[fastly.TokenCreatedResponse](), reflect.TypeFor[fastly.TokenResponse](), reflect.TypeFor[fastly.CreateTokenRequest](),
	} {
		for _, field := range reflect.VisibleFields(model) {
			assert.NotEqual(t, reflect.Pointer, field.Type.Kind(), "%s.%s holds a pointer", model, field.Name)
		}
	}
}

func TestNewClientRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	key := fastly.WithAPIKey(someKey)
	keyFunc := fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil })
	basic := fastly.WithBasicAuth("jane@example.com", "correct horse")
	transport := fastly.WithTransport(http.DefaultTransport)
	oldTLS := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS11}} //nolint:gosec // to be refused
	lowTLS := &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: tls.VersionTLS10}} //nolint:gosec // to be refused

	tests := map[string]struct {
		opts  []fastly.Option
		says  []string
		never []string // what the error must not show
	}{
		"no credentials":          {nil, []string{"no credentials", "use WithAPIKey, WithAPIKeyFunc, WithBasicAuth, WithTransport or NewClientFromEnv"}, nil},
		"only other options":      {[]fastly.Option{never}, []string{"no credentials"}, nil},
		"key and key function":    {[]fastly.Option{key, keyFunc}, []string{"WithAPIKey and WithAPIKeyFunc", "use one"}, nil},
		"key and Basic":           {[]fastly.Option{key, basic}, []string{"WithAPIKey and WithBasicAuth", "use one"}, nil},
		"Basic and transport":     {[]fastly.Option{basic, transport}, []string{"WithBasicAuth and WithTransport", "use one"}, nil},
		"key function and key":    {[]fastly.Option{keyFunc, key}, []string{"WithAPIKeyFunc and WithAPIKey", "use one"}, nil},
		"a nil option":            {[]fastly.Option{key, nil}, []string{"option is nil"}, nil},
		"nil key function":        {[]fastly.Option{fastly.WithAPIKeyFunc(nil)}, []string{"WithAPIKeyFunc", "nil"}, nil},
		"nil transport":           {[]fastly.Option{fastly.WithTransport(nil)}, []string{"WithTransport", "nil"}, nil},
		"nil HTTP client":         {[]fastly.Option{key, fastly.WithHTTPClient(nil)}, []string{"WithHTTPClient", "nil"}, nil},
		"transport over another":  {[]fastly.Option{transport, fastly.WithHTTPClient(&http.Client{Transport: http.DefaultTransport})}, []string{"WithTransport", "WithHTTPClient", "exclude each other", "lay your transport over the other"}, nil},
		"TLS 1.1 allowed":         {[]fastly.Option{key, fastly.WithHTTPClient(&http.Client{Transport: oldTLS})}, []string{"TLS 1.1", "set TLSClientConfig.MinVersion"}, nil},
		"TLS 1.0 at most":         {[]fastly.Option{fastly.WithTransport(lowTLS)}, []string{"TLS 1.0", "set TLSClientConfig.MaxVersion"}, nil},
		"empty key":               {[]fastly.Option{fastly.WithAPIKey("")}, []string{"API key is empty"}, nil},
		"key with line break":     {[]fastly.Option{fastly.WithAPIKey(someKey + "\n")}, []string{"line break"}, []string{someKey}},
		"key with space":          {[]fastly.Option{fastly.WithAPIKey(" " + someKey)}, []string{"space"}, []string{someKey}},
		"key beyond ASCII":        {[]fastly.Option{fastly.WithAPIKey("schlüsselwort")}, []string{"character"}, []string{"schl", "wort"}},
		"empty user name":         {[]fastly.Option{fastly.WithBasicAuth("", "hunter22")}, []string{"user name is empty"}, []string{"hunter22"}},
		"empty password":          {[]fastly.Option{fastly.WithBasicAuth("jane@example.com", "")}, []string{"password is empty"}, nil},
		"colon in user name":      {[]fastly.Option{fastly.WithBasicAuth("jane:doe", "hunter22")}, []string{"colon"}, []string{"hunter22", "jane"}},
		"line break in user name": {[]fastly.Option{fastly.WithBasicAuth("jane\n", "hunter22")}, []string{"user name", "line break"}, []string{"hunter22", "jane"}},
		"line break in password":  {[]fastly.Option{fastly.WithBasicAuth("jane", "hunter22\r\n")}, []string{"password", "line break"}, []string{"hunter22"}},

		"unparsable URL":            {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com:port")}, []string{"base URL can't be parsed", "should look like https://api.fastly.com"}, nil},
		"unparsable, with password": {[]fastly.Option{key, fastly.WithBaseURL("https://jane:hunter22@api.example.com:port")}, []string{"base URL can't be parsed", "should look like https://api.fastly.com"}, []string{"hunter22", "jane"}},
		"control character in URL":  {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com/\n")}, []string{"base URL can't be parsed"}, nil},
		"empty URL":                 {[]fastly.Option{key, fastly.WithBaseURL("")}, []string{`"" is not an absolute http or https URL`}, nil},
		"no scheme":                 {[]fastly.Option{key, fastly.WithBaseURL("api.example.com")}, []string{`"api.example.com" is not an absolute`, "should look like https://api.fastly.com"}, nil},
		"other scheme":              {[]fastly.Option{key, fastly.WithBaseURL("ftp://api.example.com")}, []string{"not an absolute http or https URL"}, nil},
		"no host":                   {[]fastly.Option{key, fastly.WithBaseURL("https:///tokens")}, []string{"not an absolute http or https URL"}, nil},
		"port but no host":          {[]fastly.Option{key, fastly.WithBaseURL("https://:443")}, []string{"not an absolute http or https URL"}, nil},
		"user in URL":               {[]fastly.Option{key, fastly.WithBaseURL("https://jane:hunter22@api.example.com")}, []string{"use WithBasicAuth"}, []string{"hunter22"}},
		"query in URL":              {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com?key=hunter22")}, []string{"query", "leave them out"}, []string{"hunter22"}},
		"question mark in URL":      {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com/?")}, []string{"query", "leave them out"}, nil},
		"fragment in URL":           {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com/#top")}, []string{"fragment", "leave them out"}, nil},
		"plain http":                {[]fastly.Option{key, fastly.WithBaseURL("http://api.example.com")}, []string{"plain http", "use https"}, nil},
		"plain http by address":     {[]fastly.Option{key, fastly.WithBaseURL("http://192.0.2.7")}, []string{"plain http", "use https"}, nil},
		"plain http, loopback-like": {[]fastly.Option{key, fastly.WithBaseURL("http://127.0.0.1.example.com")}, []string{"plain http", "use https"}, nil},
		"plain http, any address":   {[]fastly.Option{key, fastly.WithBaseURL("http://0.0.0.0")}, []string{"plain http", "use https"}, nil},

		"empty user agent":          {[]fastly.Option{key, fastly.WithUserAgent("")}, []string{"user agent", `such as "deploy-tool/1.4"`}, nil},
		"user agent of two lines":   {[]fastly.Option{key, fastly.WithUserAgent("tool/1\r\nFastly-Key: x")}, []string{"user agent"}, nil},
		"user agent beyond ASCII":   {[]fastly.Option{key, fastly.WithUserAgent("wörk/1")}, []string{"user agent"}, nil},
		"padded user agent":         {[]fastly.Option{key, fastly.WithUserAgent("tool/1 ")}, []string{"user agent"}, nil},
		"negative attempts":         {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: -1})}, []string{"MaxAttempts is negative", "1 means never"}, nil},
		"negative MinBackoff":       {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: -1})}, []string{"negative"}, nil},
		"negative MaxBackoff":       {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxBackoff: -1})}, []string{"negative"}, nil},
		"negative MaxWait":          {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxWait: -1})}, []string{"negative"}, nil},
		"back-off upside down":      {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: 2, MaxBackoff: 1})}, []string{"MinBackoff is longer than MaxBackoff"}, nil},
		"the first bad one reports": {[]fastly.Option{fastly.WithUserAgent(""), fastly.WithAPIKey("")}, []string{"user agent"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := fastly.NewClient(test.opts...)
			assert.Nil(t, c)
			assertRefused(t, err, test.says...)
			for _, hidden := range test.never {
				assert.NotContains(t, err.Error(), hidden)
			}
		})
	}
}

func TestNewClientTakesWhatCanWork(t *testing.T) {
	t.Parallel()
	key := fastly.WithAPIKey(someKey)
	tests := map[string][]fastly.Option{
		"a key alone":            {key},
		"the same option twice":  {fastly.WithAPIKey("first"), key},
		"loopback by name":       {key, fastly.WithBaseURL("http://localhost:8080")},
		"loopback, upper case":   {key, fastly.WithBaseURL("HTTP://LOCALHOST:8080")},
		"loopback by IPv4":       {key, fastly.WithBaseURL("http://127.1.2.3")},
		"loopback by IPv6":       {key, fastly.WithBaseURL("http://[::1]:8080")},
		"loopback, IPv4 in IPv6": {key, fastly.WithBaseURL("http://[::ffff:127.0.0.1]:8080")},
		"plain http, allowed":    {key, fastly.WithInsecurePlainHTTP(), fastly.WithBaseURL("http://proxy.internal:3128")},
		"allowed afterwards":     {key, fastly.WithBaseURL("http://proxy.internal:3128"), fastly.WithInsecurePlainHTTP()},
		"default TLS versions":   {key, fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}})},
		"own transport":          {fastly.WithTransport(http.DefaultTransport), fastly.WithHTTPClient(&http.Client{Timeout: time.Second})},
		"several products":       {key, fastly.WithUserAgent("deploy-tool/1.4 plugin/2 (linux)")},
		"zero retry policy":      {key, fastly.WithRetryPolicy(fastly.RetryPolicy{})},
		"only MinBackoff":        {key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Minute})},
		"only MaxBackoff":        {key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxBackoff: time.Millisecond})},
		"nil logger":             {key, fastly.WithLogger(nil)},
	}
	for name, opts := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := fastly.NewClient(opts...)
			require.NoError(t, err)
			assert.NotNil(t, c.Tokens)
		})
	}
}

// Not parallel: the environment is the process's.
func TestNewClientFromEnv(t *testing.T) {
	const fromOption, fromToken, fromKey = "option-key", "token-variable", "key-variable"
	tests := map[string]struct {
		token, key string
		opts       []fastly.Option
		wantKey    string
	}{
		"FASTLY_API_TOKEN":                {fromToken, "", nil, fromToken},
		"FASTLY_API_KEY":                  {"", fromKey, nil, fromKey},
		"FASTLY_API_TOKEN goes first":     {fromToken, fromKey, nil, fromToken},
		"an option goes before both":      {fromToken, fromKey, []fastly.Option{fastly.WithAPIKey(fromOption)}, fromOption},
		"an option spares the variables":  {"", "", []fastly.Option{fastly.WithAPIKey(fromOption)}, fromOption},
		"a bad variable is not looked at": {"bad\n", "", []fastly.Option{fastly.WithAPIKey(fromOption)}, fromOption},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			srv := newStub(t, http.StatusOK, nil, tokenAnswer)
			t.Setenv("FASTLY_API_TOKEN", test.token)
			t.Setenv("FASTLY_API_KEY", test.key)
			t.Setenv("FASTLY_API_URL", srv.URL+"/from/env/")
			c, err := fastly.NewClientFromEnv(append(test.opts, never)...)
			require.NoError(t, err)
			_, err = c.Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err)
			got := srv.only(t)
			assert.Equal(t, []string{test.wantKey}, got.header["Fastly-Key"])
			assert.Equal(t, "/from/env/tokens/self", got.uri)
		})
	}
}

func TestNewClientFromEnvPrefersBaseURLOption(t *testing.T) {
	srv := newStub(t, http.StatusOK, nil, tokenAnswer)
	t.Setenv("FASTLY_API_TOKEN", someKey)
	t.Setenv("FASTLY_API_URL", "not a URL")
	c, err := fastly.NewClientFromEnv(fastly.WithBaseURL(srv.URL), never)
	require.NoError(t, err)
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "/tokens/self", srv.only(t).uri)
}

func TestNewClientFromEnvDefaultsToTheAPI(t *testing.T) {
	t.Setenv("FASTLY_API_TOKEN", someKey)
	t.Setenv("FASTLY_API_URL", "")
	var hosts []string
	c, err := fastly.NewClientFromEnv(never, fastly.WithHTTPClient(&http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.String())
		return answering(http.StatusOK, tokenAnswer)(r)
	})}))
	require.NoError(t, err)
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"https://api.fastly.com/tokens/self"}, hosts)
}

func TestNewClientFromEnvRefusesWhatCannotWork(t *testing.T) {
	tests := map[string]struct {
		token, key, url string
		opts            []fastly.Option
		says            []string
	}{
		"nothing set":      {"", "", "", nil, []string{"no credentials", "set FASTLY_API_TOKEN (or FASTLY_API_KEY)"}},
		"bad token":        {"hunter22\n", "", "", nil, []string{"API key", "line break", "(from FASTLY_API_TOKEN)"}},
		"bad key":          {"", "hunter22 ", "", nil, []string{"API key", "(from FASTLY_API_KEY)"}},
		"bad URL":          {someKey, "", "api.example.com", nil, []string{"base URL", "should look like", "(from FASTLY_API_URL)"}},
		"plain http":       {someKey, "", "http://api.example.com", nil, []string{"plain http", "use https"}},
		"bad option first": {"", "", "", []fastly.Option{fastly.WithUserAgent("")}, []string{"user agent"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FASTLY_API_TOKEN", test.token)
			t.Setenv("FASTLY_API_KEY", test.key)
			t.Setenv("FASTLY_API_URL", test.url)
			c, err := fastly.NewClientFromEnv(test.opts...)
			assert.Nil(t, c)
			assertRefused(t, err, test.says...)
			assert.NotContains(t, err.Error(), "hunter22")
		})
	}
}

func TestUserAgentPutsTheProgramFirst(t *testing.T) {
	t.Parallel()
	for product, want := range map[string]string{
		"":                         libraryAgent,
		"deploy-tool/1.4":          "deploy-tool/1.4 " + libraryAgent,
		"deploy-tool/1.4 plugin/2": "deploy-tool/1.4 plugin/2 " + libraryAgent,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, tokenAnswer)
			var opts []fastly.Option
			if product != "" {
				opts = append(opts, fastly.WithUserAgent(product))
			}
			_, err := srv.client(t, opts...).Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{want}, srv.only(t).header["User-Agent"])
		})
	}
}

func TestBaseURLPathIsPutBeforeEachPath(t *testing.T) {
	t.Parallel()
	for _, base := range []struct{ given, want string }{
		{"", ""},
		{"/", ""},
		{"/fastly", "/fastly"},
		{"/fastly/api//", "/fastly/api"},
		{"/a%2Fb/", "/a%2Fb"},
		{"/with%20space", "/with%20space"},
	} {
		for _, m := range tokensMethods {
			t.Run(base.given+" "+m.name, func(t *testing.T) {
				t.Parallel()
				srv := newStub(t, m.status, nil, m.answer)
				require.NoError(t, m.call(t.Context(), srv.client(t, fastly.WithBaseURL(srv.URL+base.given))))
				assert.Equal(t, base.want+m.path, srv.only(t).uri)
			})
		}
	}
}

func TestErrorPathIsWithoutThatOfTheBaseURL(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusNotFound, nil, "")
	err := srv.client(t, fastly.WithBaseURL(srv.URL+"/fastly")).Tokens.RevokeToken(t.Context(), someID)
	assert.Equal(t, "/tokens/"+someID, answerOf(t, err).Path)
}

func TestRateLimitIsThatOfTheLastAnswerWithOne(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	status := http.StatusNoContent
	srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
	})
	c := srv.client(t)
	limited := func(remaining, reset string) http.Header {
		h := http.Header{}
		h.Set("Fastly-RateLimit-Remaining", remaining)
		h.Set("Fastly-RateLimit-Reset", reset)
		return h
	}
	rl, ok := c.RateLimit()
	assert.False(t, ok, "no answer came yet")
	assert.Zero(t, rl)

	reset := time.Unix(1610625600, 0)
	// One after the other: each answer builds on those before it.
	for _, step := range []struct {
		name   string
		status int
		header http.Header
		want   fastly.RateLimit
		ok     bool
	}{
		{"none", http.StatusNoContent, nil, fastly.RateLimit{}, false},
		{"unreadable", http.StatusNoContent, limited("many", "1610625600"), fastly.RateLimit{}, false},
		{"first", http.StatusNoContent, limited("955", "1610625600"), fastly.RateLimit{Remaining: 955, Reset: reset}, true},
		{"kept", http.StatusNoContent, nil, fastly.RateLimit{Remaining: 955, Reset: reset}, true},
		{"of an error", http.StatusTooManyRequests, limited("0", "1610629200"), fastly.RateLimit{Remaining: 0, Reset: reset.Add(time.Hour)}, true},
		{"unreadable reset", http.StatusNoContent, limited("17", "soon"), fastly.RateLimit{Remaining: 17}, true},
	} {
		header, status = step.header, step.status
		err := c.Tokens.RevokeToken(t.Context(), someID)
		if status < 300 {
			require.NoError(t, err, step.name)
		} else {
			require.Error(t, err, step.name)
			assert.Equal(t, step.want, answerOf(t, err).RateLimit, step.name)
		}
		rl, ok := c.RateLimit()
		assert.Equal(t, step.ok, ok, step.name)
		assert.Equal(t, step.want, rl, step.name)
	}
}

func TestRateLimitCountsDown(t *testing.T) {
	t.Parallel()
	srv := newAPI(t)
	c := srv.Client(never)
	_, err := c.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	_, ok := c.RateLimit()
	assert.False(t, ok, "reads do not count")

	var remaining []int
	for range 2 {
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.NoError(t, err)
		rl, ok := c.RateLimit()
		require.True(t, ok)
		assert.True(t, rl.Reset.After(time.Now()), "resets at %s", rl.Reset)
		remaining = append(remaining, rl.Remaining)
	}
	assert.Equal(t, []int{999, 998}, remaining)
}

func TestHTTPClientIsUsedAndNeverChanged(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "edge", Value: "one", Path: "/"}) //nolint:gosec // a cookie of a test
		_, _ = io.WriteString(w, tokenAnswer)
	})
	home, err := url.Parse(srv.URL)
	require.NoError(t, err)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	var below []http.Header // what the caller's own transport was given
	tracing := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		below = append(below, r.Header.Clone())
		return base.RoundTrip(r)
	})
	redirects := 0
	hc := &http.Client{
		Transport:     tracing,
		CheckRedirect: func(*http.Request, []*http.Request) error { redirects++; return nil },
		Jar:           jar,
		Timeout:       30 * time.Second,
	}
	c := srv.client(t, fastly.WithHTTPClient(hc))
	for range 2 {
		_, err = c.Tokens.GetTokenCurrent(t.Context())
		require.NoError(t, err)
	}

	require.Len(t, below, 2, "the caller's transport sends the requests")
	assert.Equal(t, someKey, below[0].Get("Fastly-Key"), "the key is laid over the caller's transport")
	assert.Empty(t, srv.seen()[0].header["Cookie"])
	assert.Equal(t, []string{"edge=one"}, srv.seen()[1].header["Cookie"], "the caller's jar is used")
	assert.Len(t, jar.Cookies(home), 1)

	assert.IsType(t, tracing, hc.Transport)
	assert.Same(t, jar, hc.Jar)
	assert.Equal(t, 30*time.Second, hc.Timeout)
	require.NoError(t, hc.CheckRedirect(nil, nil))
	assert.Equal(t, 1, redirects, "CheckRedirect is the caller's own")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	resp, err := hc.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Empty(t, srv.seen()[2].header["Fastly-Key"], "the caller's client sends no key of ours")
}

func TestZeroHTTPClientIsNotChanged(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, tokenAnswer)
	hc := new(http.Client)
	_, err := srv.client(t, fastly.WithHTTPClient(hc)).Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, new(http.Client), hc)
}

func TestHTTPClientTimeoutBoundsAnAttempt(t *testing.T) {
	t.Parallel()
	srv := newStubFunc(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := srv.client(t, fastly.WithHTTPClient(&http.Client{Timeout: 30 * time.Millisecond}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, err, "fastly: GET /tokens/self: no answer in time")
	require.NoError(t, t.Context().Err(), "the caller's context has not ended")
}

func TestHTTPClientBringsItsTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, tokenAnswer)
	}))
	t.Cleanup(srv.Close)
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), fastly.WithHTTPClient(srv.Client()), never)
	got, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, someID, got.ID)
}

// Each way of authentication, for every method, alone and over the transport of
// a caller's own client.
func TestAuthenticationOfEachMethod(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		option func(base http.RoundTripper) fastly.Option
		header http.Header
	}{
		"key": {
			func(http.RoundTripper) fastly.Option { return fastly.WithAPIKey(someKey) },
			http.Header{"Fastly-Key": {someKey}},
		},
		"key function": {
			func(http.RoundTripper) fastly.Option {
				return fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil })
			},
			http.Header{"Fastly-Key": {someKey}},
		},
		"Basic": {
			func(http.RoundTripper) fastly.Option { return fastly.WithBasicAuth("jane@example.com", "päss: word") },
			http.Header{"Authorization": {"Basic amFuZUBleGFtcGxlLmNvbTpww6Rzczogd29yZA=="}},
		},
		"transport": {
			func(base http.RoundTripper) fastly.Option {
				return fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
					r = r.Clone(r.Context())
					r.Header.Set("Authorization", "Custom 1")
					return base.RoundTrip(r)
				}))
			},
			http.Header{"Authorization": {"Custom 1"}},
		},
	}
	for name, way := range ways {
		for _, m := range tokensMethods {
			for _, own := range []bool{false, true} {
				t.Run(name+" "+m.name+" own client "+strconv.FormatBool(own), func(t *testing.T) {
					t.Parallel()
					srv := newStub(t, m.status, nil, m.answer)
					base := &http.Transport{}
					t.Cleanup(base.CloseIdleConnections)
					opts := []fastly.Option{fastly.WithBaseURL(srv.URL), way.option(base), never}
					if own && name != "transport" {
						opts = append(opts, fastly.WithHTTPClient(&http.Client{Transport: base}))
					} else if own {
						opts = append(opts, fastly.WithHTTPClient(&http.Client{Timeout: time.Minute}))
					}
					require.NoError(t, m.call(t.Context(), mustClient(t, opts...)))
					got := http.Header{}
					for _, header := range []string{"Fastly-Key", "Authorization"} {
						if values := srv.only(t).header[header]; values != nil {
							got[header] = values
						}
					}
					assert.Equal(t, way.header, got)
				})
			}
		}
	}
}

func TestKeyFunctionIsAskedForEachRequest(t *testing.T) {
	t.Parallel()
	type contextKey struct{}
	srv := newStub(t, http.StatusOK, nil, tokenAnswer)
	asked := 0
	c := mustClient(t, fastly.WithBaseURL(srv.URL), never, fastly.WithAPIKeyFunc(func(ctx context.Context) (fastly.Secret, error) {
		asked++
		return fastly.Secret("key-" + strconv.Itoa(asked) + "-" + ctx.Value(contextKey{}).(string)), nil
	}))
	ctx := context.WithValue(t.Context(), contextKey{}, "of-caller")
	for range 3 {
		_, err := c.Tokens.GetTokenCurrent(ctx)
		require.NoError(t, err)
	}
	var keys []string
	for _, r := range srv.seen() {
		keys = append(keys, r.header.Get("Fastly-Key"))
	}
	assert.Equal(t, []string{"key-1-of-caller", "key-2-of-caller", "key-3-of-caller"}, keys)
}

func TestKeyFunctionErrorEndsTheCall(t *testing.T) {
	t.Parallel()
	errVault := errors.New("vault is sealed")
	for name, test := range map[string]struct {
		key  fastly.Secret
		err  error
		is   error
		want string
	}{
		"error":   {"", errVault, errVault, "fastly: GET /tokens/self: the key function failed: vault is sealed"},
		"no key":  {"", nil, fastly.ErrInvalidArgument, "fastly: GET /tokens/self: invalid argument: the API key is empty"},
		"bad key": {"hunter22\n", nil, fastly.ErrInvalidArgument, "fastly: GET /tokens/self: invalid argument: the API key holds a character that an HTTP header can't carry as it is (a line break or a space at its end?)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, tokenAnswer)
			asked := 0
			// With retries on: a key that can't be had does not come by itself.
			c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
				asked++
				return test.key, test.err
			}))
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			require.ErrorIs(t, err, test.is)
			require.EqualError(t, err, test.want)
			assert.Empty(t, srv.seen())
			assert.Equal(t, 1, asked)
		})
	}
}

func TestClientWithoutAnHTTPClientUsesProgramsDefaultTransport(t *testing.T) {
	// Not parallel: the default transport is the process's.
	was := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = was })
	sent := 0
	http.DefaultTransport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent++
		return answering(http.StatusOK, tokenAnswer)(r)
	})
	_, err := mustClient(t, fastly.WithAPIKey(someKey), never).Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, sent)
}

func TestLoggerIsToldOfEachAttempt(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusNotFound, nil, `{"msg":"Record not found"}`)
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if slices.Contains([]string{slog.TimeKey, "duration"}, a.Key) {
				a.Value = slog.StringValue("some")
			}
			return a
		},
	}))
	require.Error(t, srv.client(t, fastly.WithLogger(logger)).Tokens.RevokeToken(t.Context(), someID))
	assert.Equal(t, `time=some level=DEBUG msg="fastly: attempt" method=DELETE path=/tokens/`+someID+
		" status=404 outcome=refused duration=some attempt=1 wait=0s\n", out.String())

	out.Reset()
	quiet := slog.New(slog.NewTextHandler(&out, nil))
	require.Error(t, srv.client(t, fastly.WithLogger(quiet)).Tokens.RevokeToken(t.Context(), someID))
	assert.Empty(t, out.String(), "attempts are for debug level")
}

// roundTripFunc is an http.RoundTripper made of a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering gives an answer without a network.
func answering(status int, body string) roundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
		}
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
		}, nil
	}
}

func TestCloseIdleConnectionsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	open := make(map[net.Conn]bool)
	var mu sync.Mutex
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"5Yo3XX"}`)
	}))
	srv.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open[conn] = true
		case http.StateClosed:
			delete(open, conn)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(open)
	}

	client, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithBaseURL(srv.URL))
	require.NoError(t, err)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, count())
	client.CloseIdleConnections()
	assert.Eventually(t, func() bool { return count() == 0 }, 5*time.Second, time.Millisecond)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err, "the client goes on working")
}

func TestSudoAdviceFitsTheOperation(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusForbidden, nil, `{"msg":"You must POST /sudo to access this endpoint"}`)
	_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.ErrorIs(t, err, fastly.ErrSudoRequired)
	require.ErrorContains(t, err, "send Username and Password in the CreateTokenRequest")
	err = srv.client(t).Tokens.RevokeToken(t.Context(), someID)
	require.ErrorIs(t, err, fastly.ErrSudoRequired)
	assert.NotContains(t, err.Error(), "CreateTokenRequest")
}
