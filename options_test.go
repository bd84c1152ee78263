package fastly_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

const libraryProduct = "fastly-tokens-go/0.2.0"

func TestNewClientRejectsWhatCannotWork(t *testing.T) {
	t.Parallel()
	key := fastly.WithAPIKey(someKey)
	keyFunc := fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return someKey, nil })
	basic := fastly.WithBasicAuth("jane@example.com", "correct horse")
	transport := fastly.WithTransport(http.DefaultTransport)
	without := fastly.WithoutAuthentication()
	oldTLS := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS11}} //nolint:gosec // to be rejected
	lowTLS := &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: tls.VersionTLS10}} //nolint:gosec // to be rejected

	tests := map[string]struct {
		opts  []fastly.Option
		says  []string
		never []string // what the error must not show
	}{
		"no credentials":          {nil, []string{"no credentials", "use WithAPIKey, WithAPIKeyFunc, WithBasicAuth, WithoutAuthentication, WithTransport or NewClientFromEnv"}, nil},
		"only other options":      {[]fastly.Option{noRetry}, []string{"no credentials"}, nil},
		"key and key function":    {[]fastly.Option{key, keyFunc}, []string{"WithAPIKey and WithAPIKeyFunc", "use one"}, nil},
		"key and Basic":           {[]fastly.Option{key, basic}, []string{"WithAPIKey and WithBasicAuth", "use one"}, nil},
		"Basic and transport":     {[]fastly.Option{basic, transport}, []string{"WithBasicAuth and WithTransport", "use one"}, nil},
		"key function and key":    {[]fastly.Option{keyFunc, key}, []string{"WithAPIKeyFunc and WithAPIKey", "use one"}, nil},
		"key and none":            {[]fastly.Option{key, without}, []string{"WithAPIKey and WithoutAuthentication", "use one"}, nil},
		"none and transport":      {[]fastly.Option{without, transport}, []string{"WithoutAuthentication and WithTransport", "use one"}, nil},
		"a nil option":            {[]fastly.Option{key, nil}, []string{"option is nil"}, nil},
		"nil key function":        {[]fastly.Option{fastly.WithAPIKeyFunc(nil)}, []string{"WithAPIKeyFunc", "nil"}, nil},
		"nil transport":           {[]fastly.Option{fastly.WithTransport(nil)}, []string{"WithTransport", "nil"}, nil},
		"nil HTTP client":         {[]fastly.Option{key, fastly.WithHTTPClient(nil)}, []string{"WithHTTPClient", "nil"}, nil},
		"nil *http.Transport":     {[]fastly.Option{key, fastly.WithHTTPClient(&http.Client{Transport: (*http.Transport)(nil)})}, []string{"nil *http.Transport"}, nil},
		"WithTransport of a nil":  {[]fastly.Option{fastly.WithTransport((*http.Transport)(nil))}, []string{"nil *http.Transport"}, nil},
		"transport over another":  {[]fastly.Option{transport, fastly.WithHTTPClient(&http.Client{Transport: http.DefaultTransport})}, []string{"WithTransport", "WithHTTPClient", "exclude each other", "wrap the latter in your transport"}, nil},
		"TLS 1.1 allowed":         {[]fastly.Option{key, fastly.WithHTTPClient(&http.Client{Transport: oldTLS})}, []string{"TLS 1.1", "set TLSClientConfig.MinVersion"}, nil},
		"TLS 1.0 at most":         {[]fastly.Option{fastly.WithTransport(lowTLS)}, []string{"TLS 1.0", "set TLSClientConfig.MaxVersion"}, nil},
		"empty key":               {[]fastly.Option{fastly.WithAPIKey("")}, []string{"API key is empty"}, nil},
		"key with line break":     {[]fastly.Option{fastly.WithAPIKey(someKey + "\n")}, []string{"line break"}, []string{someKey}},
		"key with space":          {[]fastly.Option{fastly.WithAPIKey(" " + someKey)}, []string{"space"}, []string{someKey}},
		"key beyond ASCII":        {[]fastly.Option{fastly.WithAPIKey("schlüsselwort")}, []string{"character"}, []string{"schl", "wort"}},
		"key in double quotes":    {[]fastly.Option{fastly.WithAPIKey(`"` + someKey + `"`)}, []string{"the API key has quotes around it: leave them out"}, []string{someKey}},
		"key in single quotes":    {[]fastly.Option{fastly.WithAPIKey("'" + someKey)}, []string{"has quotes around it"}, []string{someKey}},
		"key of UTF-8 with mark":  {[]fastly.Option{fastly.WithAPIKey("\ufeff" + someKey)}, []string{"begins with a byte order mark: save it as UTF-8 without one"}, []string{someKey}},
		"key of UTF-16":           {[]fastly.Option{fastly.WithAPIKey("\xfe\xff" + someKey)}, []string{"byte order mark"}, []string{someKey}},
		"hidden key":              {[]fastly.Option{fastly.WithAPIKey(fmt.Sprint(fastly.Secret(someKey)))}, []string{"the API key is [REDACTED], as a hidden secret prints: reveal the secret"}, nil},
		"hidden password":         {[]fastly.Option{fastly.WithBasicAuth("jane", fmt.Sprint(fastly.Secret("x")))}, []string{"the password is [REDACTED], as a hidden secret prints"}, nil},
		"mark before password":    {[]fastly.Option{fastly.WithBasicAuth("jane", "\ufeffhunter22")}, []string{"the password begins with a byte order mark"}, []string{"hunter22"}},
		"empty user name":         {[]fastly.Option{fastly.WithBasicAuth("", "hunter22")}, []string{"user name is empty"}, []string{"hunter22"}},
		"empty password":          {[]fastly.Option{fastly.WithBasicAuth("jane@example.com", "")}, []string{"password is empty"}, nil},
		"colon in user name":      {[]fastly.Option{fastly.WithBasicAuth("jane:doe", "hunter22")}, []string{"colon"}, []string{"hunter22", "jane"}},
		"line break in user name": {[]fastly.Option{fastly.WithBasicAuth("jane\n", "hunter22")}, []string{"user name", "line break"}, []string{"hunter22", "jane"}},
		"line break in password":  {[]fastly.Option{fastly.WithBasicAuth("jane", "hunter22\r\n")}, []string{"password", "line break"}, []string{"hunter22"}},

		"control in password":       {[]fastly.Option{fastly.WithBasicAuth("jane", "hunter22\x1f")}, []string{"password", "control character"}, []string{"hunter22"}},
		"unparsable URL":            {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com:port")}, []string{"base URL can't be parsed", "should look like https://api.fastly.com"}, nil},
		"unparsable, with password": {[]fastly.Option{key, fastly.WithBaseURL("https://jane:hunter22@api.example.com:port")}, []string{"base URL can't be parsed", "should look like https://api.fastly.com"}, []string{"hunter22", "jane"}},
		"control character in URL":  {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com/\n")}, []string{"the base URL holds a control character (a line break at its end?)"}, nil},
		"space after URL":           {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com ")}, []string{"the base URL holds white space"}, nil},
		"quotes around URL":         {[]fastly.Option{key, fastly.WithBaseURL(`"https://api.example.com"`)}, []string{"the base URL has quotes around it: leave them out"}, nil},
		"byte order mark in URL":    {[]fastly.Option{key, fastly.WithBaseURL("\ufeffhttps://api.example.com")}, []string{"the base URL begins with a byte order mark"}, nil},
		"hidden secret as URL":      {[]fastly.Option{key, fastly.WithBaseURL("[REDACTED]")}, []string{"the base URL is [REDACTED], as a hidden secret prints"}, nil},
		"empty URL":                 {[]fastly.Option{key, fastly.WithBaseURL("")}, []string{"the base URL is empty"}, nil},
		"no scheme":                 {[]fastly.Option{key, fastly.WithBaseURL("api.example.com")}, []string{`"api.example.com" is not an absolute`, "should look like https://api.fastly.com"}, nil},
		"other scheme":              {[]fastly.Option{key, fastly.WithBaseURL("ftp://api.example.com")}, []string{"not an absolute http or https URL"}, nil},
		"no host":                   {[]fastly.Option{key, fastly.WithBaseURL("https:///tokens")}, []string{"not an absolute http or https URL"}, nil},
		"port but no host":          {[]fastly.Option{key, fastly.WithBaseURL("https://:443")}, []string{"not an absolute http or https URL"}, nil},
		"user in URL":               {[]fastly.Option{key, fastly.WithBaseURL("https://jane:hunter22@api.example.com")}, []string{"do not belong there"}, []string{"hunter22"}},
		"query in URL":              {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com?key=hunter22")}, []string{"query", "leave them out"}, []string{"hunter22"}},
		"question mark in URL":      {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com/?")}, []string{"query", "leave them out"}, nil},
		"fragment in URL":           {[]fastly.Option{key, fastly.WithBaseURL("https://api.example.com/#top")}, []string{"fragment", "leave them out"}, nil},
		"plain http":                {[]fastly.Option{key, fastly.WithBaseURL("http://api.example.com")}, []string{"plain http", "would show the credentials", "use https"}, nil},

		"empty user agent":          {[]fastly.Option{key, fastly.WithUserAgent("")}, []string{"user agent", `such as "deploy-tool/1.4"`}, nil},
		"user agent of two lines":   {[]fastly.Option{key, fastly.WithUserAgent("tool/1\r\nFastly-Key: x")}, []string{"user agent"}, nil},
		"user agent beyond ASCII":   {[]fastly.Option{key, fastly.WithUserAgent("wörk/1")}, []string{"user agent"}, nil},
		"padded user agent":         {[]fastly.Option{key, fastly.WithUserAgent("tool/1 ")}, []string{"user agent"}, nil},
		"negative attempts":         {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: -1})}, []string{"MaxAttempts is negative", "1 disables retries"}, nil},
		"negative MinBackoff":       {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: -1})}, []string{"negative"}, nil},
		"negative MaxBackoff":       {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxBackoff: -1})}, []string{"negative"}, nil},
		"negative MaxWait":          {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxWait: -1})}, []string{"negative"}, nil},
		"backoff upside down":       {[]fastly.Option{key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: 2, MaxBackoff: 1})}, []string{"MinBackoff is longer than MaxBackoff"}, nil},
		"the first bad one reports": {[]fastly.Option{fastly.WithUserAgent(""), fastly.WithAPIKey("")}, []string{"user agent"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := fastly.NewClient(test.opts...)
			assert.Nil(t, c)
			assertInvalid(t, err, test.says...)
			for _, hidden := range test.never {
				assert.NotContains(t, err.Error(), hidden)
			}
		})
	}
}

func TestNewClientAcceptsWhatCanWork(t *testing.T) {
	t.Parallel()
	key := fastly.WithAPIKey(someKey)
	tests := map[string][]fastly.Option{
		"a key alone":             {key},
		"the same option twice":   {fastly.WithAPIKey("first"), key},
		"no credentials, said so": {fastly.WithoutAuthentication()},
		"plain http, allowed":     {key, fastly.WithInsecurePlainHTTP(), fastly.WithBaseURL("http://proxy.internal:3128")},
		"allowed afterwards":      {key, fastly.WithBaseURL("http://proxy.internal:3128"), fastly.WithInsecurePlainHTTP()},
		"scheme in upper case":    {key, fastly.WithBaseURL("HTTP://LOCALHOST:8080")},
		"default TLS versions":    {key, fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}})},
		"own transport":           {fastly.WithTransport(http.DefaultTransport), fastly.WithHTTPClient(&http.Client{Timeout: time.Second})},
		"a key with a tilde":      {fastly.WithAPIKey("key~")},
		"several products":        {key, fastly.WithUserAgent("deploy-tool/1.4 plugin/2 (linux)")},
		"zero retry policy":       {key, fastly.WithRetryPolicy(fastly.RetryPolicy{})},
		"constant backoff":        {key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Second, MaxBackoff: time.Second})},
		"only MinBackoff":         {key, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Minute})},
		"only MaxBackoff":         {key, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxBackoff: time.Millisecond})},
		"nil logger":              {key, fastly.WithLogger(nil)},
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
		"FASTLY_API_TOKEN":                 {fromToken, "", nil, fromToken},
		"FASTLY_API_KEY":                   {"", fromKey, nil, fromKey},
		"FASTLY_API_TOKEN precedes":        {fromToken, fromKey, nil, fromToken},
		"an option precedes both":          {fromToken, fromKey, []fastly.Option{fastly.WithAPIKey(fromOption)}, fromOption},
		"an option replaces the variables": {"", "", []fastly.Option{fastly.WithAPIKey(fromOption)}, fromOption},
		"a bad variable is ignored":        {"bad\n", "", []fastly.Option{fastly.WithAPIKey(fromOption)}, fromOption},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			srv := newStub(t, http.StatusOK, nil, tokenJSON)
			t.Setenv("FASTLY_API_TOKEN", test.token)
			t.Setenv("FASTLY_API_KEY", test.key)
			t.Setenv("FASTLY_API_URL", srv.URL+"/from/env/")
			c, err := fastly.NewClientFromEnv(append(test.opts, noRetry)...)
			require.NoError(t, err)
			// The environment is read once.
			t.Setenv("FASTLY_API_TOKEN", "changed")
			t.Setenv("FASTLY_API_KEY", "changed")
			_, err = c.Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err)
			got := srv.request(t)
			assert.Equal(t, []string{test.wantKey}, got.header["Fastly-Key"])
			assert.Equal(t, "/from/env/tokens/self", got.uri)
		})
	}
}

func TestNewClientFromEnvPrefersBaseURLOption(t *testing.T) {
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	t.Setenv("FASTLY_API_TOKEN", someKey)
	t.Setenv("FASTLY_API_URL", "not a URL")
	c, err := fastly.NewClientFromEnv(fastly.WithBaseURL(srv.URL), noRetry)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "/tokens/self", srv.request(t).uri)
}

func TestNewClientFromEnvWithoutAuthenticationHasNoKey(t *testing.T) {
	srv := newAPI(t)
	t.Setenv("FASTLY_API_TOKEN", someKey)
	t.Setenv("FASTLY_API_URL", srv.URL)
	c, err := fastly.NewClientFromEnv(fastly.WithoutAuthentication(), noRetry)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{
		Username: srv.User().Login, Password: fastly.Secret(srv.User().Password),
	})
	require.NoError(t, err)
	require.Len(t, srv.Requests(), 1)
	assert.NotContains(t, srv.Requests()[0].Header, "Fastly-Key")
}

func TestNewClientFromEnvDefaultsToTheAPI(t *testing.T) {
	t.Setenv("FASTLY_API_TOKEN", someKey)
	t.Setenv("FASTLY_API_URL", "")
	var hosts []string
	c, err := fastly.NewClientFromEnv(noRetry, fastly.WithHTTPClient(&http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.String())
		return respond(http.StatusOK, tokenJSON)(r)
	})}))
	require.NoError(t, err)
	_, err = c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"https://api.fastly.com/tokens/self"}, hosts)
}

func TestNewClientFromEnvRejectsWhatCannotWork(t *testing.T) {
	tests := map[string]struct {
		token, key, url string
		opts            []fastly.Option
		says            []string
	}{
		"nothing set":      {"", "", "", nil, []string{"no credentials", "set FASTLY_API_TOKEN (or FASTLY_API_KEY)"}},
		"bad token":        {"hunter22\n", "", "", nil, []string{"API key", "line break", "(from FASTLY_API_TOKEN)"}},
		"bad key":          {"", "hunter22 ", "", nil, []string{"API key", "(from FASTLY_API_KEY)"}},
		"quoted token":     {"'hunter22'", "", "", nil, []string{"has quotes around it: leave them out (from FASTLY_API_TOKEN)"}},
		"hidden key":       {"", "[REDACTED]", "", nil, []string{"is [REDACTED], as a hidden secret prints: reveal the secret (from FASTLY_API_KEY)"}},
		"quoted URL":       {"hunter22", "", `"https://api.example.com"`, nil, []string{"the base URL has quotes around it: leave them out (from FASTLY_API_URL)"}},
		"bad URL":          {someKey, "", "api.example.com", nil, []string{"base URL", "should look like", "(from FASTLY_API_URL)"}},
		"plain http":       {"hunter22", "", "http://api.example.com", nil, []string{"plain http", "would show the credentials", "use https", "(from FASTLY_API_URL)"}},
		"bad option first": {"", "", "", []fastly.Option{fastly.WithUserAgent("")}, []string{"user agent"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FASTLY_API_TOKEN", test.token)
			t.Setenv("FASTLY_API_KEY", test.key)
			t.Setenv("FASTLY_API_URL", test.url)
			c, err := fastly.NewClientFromEnv(test.opts...)
			assert.Nil(t, c)
			assertInvalid(t, err, test.says...)
			assert.NotContains(t, err.Error(), "hunter22")
		})
	}
}

func TestTransportThatEndsAtTLS12IsAccepted(t *testing.T) {
	t.Parallel()
	rt := &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: tls.VersionTLS12}} //nolint:gosec // the point of the test
	mustClient(t, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
}

func TestLoginMayHoldQuotesAndSpaces(t *testing.T) {
	t.Parallel()
	for _, password := range []string{`"quoted"`, " 'spaced out' ", "[redacted]", "x[REDACTED]", "pass\u00a0word", "\u200b", "\xe4"} {
		mustClient(t, fastly.WithBasicAuth("jane", password))
		mustClient(t, fastly.WithBasicAuth(password, "secret"))
	}
}

func TestOptionGivenTwiceCountsTheLastTime(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	c := mustClient(t, noRetry,
		fastly.WithAPIKey("first"), fastly.WithBaseURL("https://api.example.com"), fastly.WithUserAgent("first/1"),
		fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), fastly.WithUserAgent("last/1"))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	got := srv.request(t)
	assert.Equal(t, []string{someKey}, got.header["Fastly-Key"])
	assert.Equal(t, []string{"last/1 " + libraryProduct}, got.header["User-Agent"])
}

func TestUserAgentStartsWithTheProgram(t *testing.T) {
	t.Parallel()
	for product, want := range map[string]string{
		"":                         libraryProduct,
		"deploy-tool/1.4":          "deploy-tool/1.4 " + libraryProduct,
		"deploy-tool/1.4 plugin/2": "deploy-tool/1.4 plugin/2 " + libraryProduct,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, tokenJSON)
			var opts []fastly.Option
			if product != "" {
				opts = append(opts, fastly.WithUserAgent(product))
			}
			_, err := srv.client(t, opts...).Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{want}, srv.request(t).header["User-Agent"])
		})
	}
}

func TestBaseURLPathIsThePrefixOfEachPath(t *testing.T) {
	t.Parallel()
	for _, base := range []struct{ given, want string }{
		{"", ""},
		{"/", ""},
		{"/fastly", "/fastly"},
		{"/fastly/api//", "/fastly/api"},
		{"/a%2Fb/", "/a%2Fb"},
		{"/a%2fb/c", "/a%2fb/c"},
		{"/a%2F/", "/a%2F"},
		{"/with%20space", "/with%20space"},
		{"/%C3%A9", "/%C3%A9"},
	} {
		for _, op := range operations {
			t.Run(base.given+" "+op.name, func(t *testing.T) {
				t.Parallel()
				srv := newStub(t, op.status, nil, op.body)
				require.NoError(t, op.do(t.Context(), srv.client(t, fastly.WithBaseURL(srv.URL+base.given))))
				assert.Equal(t, base.want+op.path, srv.request(t).uri)
			})
		}
	}
}

func TestBaseURLHostIsSentInLowerCase(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	base := strings.Replace(srv.URL, "127.0.0.1", "LocalHost", 1)
	_, err := srv.client(t, fastly.WithBaseURL(base)).Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, strings.ToLower(strings.TrimPrefix(base, "http://")), srv.request(t).host)
}

func TestErrorPathExcludesThatOfTheBaseURL(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusNotFound, nil, "")
	err := srv.client(t, fastly.WithBaseURL(srv.URL+"/fastly")).Tokens.RevokeToken(t.Context(), someID)
	assert.Equal(t, "/tokens/"+someID, responseError(t, err).Path)
}

func TestHTTPClientIsUsedAndNeverModified(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	set := []*http.Cookie{{Name: "session", Value: "one"}} //nolint:gosec // a cookie of a test
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "edge", Value: "one", Path: "/"}) //nolint:gosec // a cookie of a test
		_, _ = io.WriteString(w, tokenJSON)
	})
	home, err := url.Parse(srv.URL)
	require.NoError(t, err)
	jar.SetCookies(home, set)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	var below []http.Header // of what the caller's transport sends
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
	assert.Equal(t, someKey, below[0].Get("Fastly-Key"), "the caller's transport sees the credentials")
	for _, request := range srv.requests() {
		assert.Empty(t, request.header["Cookie"], "the caller's jar is not used")
	}
	assert.Equal(t, set, jar.Cookies(home), "nothing is put into the caller's jar")

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
	assert.Empty(t, srv.requests()[2].header["Fastly-Key"], "the caller's client sends no key of ours")
}

func TestZeroHTTPClientIsNotModified(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	hc := new(http.Client)
	_, err := srv.client(t, fastly.WithHTTPClient(hc)).Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, new(http.Client), hc)
}

func TestHTTPClientTLSSettingsAreUsed(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, tokenJSON)
	}))
	t.Cleanup(srv.Close)
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), fastly.WithHTTPClient(srv.Client()), noRetry)
	got, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, someID, got.ID)
}

func TestPlainHTTPIsRejectedUnlessLoopback(t *testing.T) {
	t.Parallel()
	for host, loopback := range map[string]bool{
		"localhost": true, "LOCALHOST:8080": true, "127.0.0.1": true, "127.9.8.7:1": true, "[::1]": true, "[::1]:8080": true, "[::ffff:127.0.0.1]:8080": true,
		"api.fastly.com": false, "10.0.0.1": false, "192.168.1.1:8080": false, "0.0.0.0": false, "[::]": false, "169.254.0.1": false,
		"localhost.evil.example": false, "127.0.0.1.evil.example": false, "127.0.0.1x": false, "1270.0.1": false,
	} {
		for name, auth := range map[string]fastly.Option{
			"key":       fastly.WithAPIKey(canaryKey),
			"password":  fastly.WithBasicAuth(canaryLogin, canaryPassword),
			"none":      fastly.WithoutAuthentication(),
			"transport": fastly.WithTransport(respond(http.StatusNoContent, "")),
		} {
			_, err := fastly.NewClient(auth, fastly.WithBaseURL("http://"+host))
			if loopback {
				require.NoError(t, err, host)
			} else {
				assertInvalid(t, err, "plain http", "would show the credentials", "https")
				assertNoSecret(t, err)
			}
			_, err = fastly.NewClient(auth, fastly.WithBaseURL("http://"+host), fastly.WithInsecurePlainHTTP())
			require.NoError(t, err, "%s %s allowed on purpose", name, host)
			_, err = fastly.NewClient(fastly.WithInsecurePlainHTTP(), fastly.WithBaseURL("https://"+host), auth)
			require.NoError(t, err)
		}
	}
}

// The mistakes that put a secret there.
func TestBaseURLWithASecretIsNotShown(t *testing.T) {
	t.Parallel()
	for _, rawURL := range []string{
		"https://" + canaryLogin + ":" + canaryKey + "@api.fastly.com",
		"https://" + canaryKey + "@api.fastly.com:port",
		canaryLogin + ":" + canaryKey + "@api.fastly.com",
		"https:" + canaryLogin + ":" + canaryKey + "@api.fastly.com",
		"//" + canaryKey + "@api.fastly.com",
		"https://api.fastly.com?key=" + canaryKey,
		"https://api.fastly.com#" + canaryKey,
		canaryKey,
	} {
		_, err := fastly.NewClient(fastly.WithAPIKey(someKey), fastly.WithBaseURL(rawURL))
		require.ErrorIs(t, err, fastly.ErrInvalidArgument)
		assertNoSecret(t, err)
	}
}

// marking is a middleware that notes its name when it gets a request.
func marking(name string, seen *[]string) fastly.Option {
	return fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			*seen = append(*seen, name)
			return next.RoundTrip(r)
		})
	})
}

func TestMiddlewaresAreCalledFromTheOutside(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, tokenJSON)
	var seen []string
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	parent := srv.client(t, marking("a", &seen), marking("b", &seen))
	child, err := parent.With(marking("c", &seen), marking("d", &seen))
	require.NoError(t, err)
	rewired, err := child.With(fastly.WithHTTPClient(&http.Client{Transport: base}), marking("e", &seen))
	require.NoError(t, err)
	for c, want := range map[*fastly.Client]string{parent: "ab", child: "cdab", rewired: "ecdab"} {
		seen = nil
		_, err = c.Tokens.GetTokenCurrent(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, strings.Join(seen, ""))
	}
}

func TestMiddlewareIsMadeAgainOnlyForAnotherTransport(t *testing.T) {
	t.Parallel()
	made := 0
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		made++
		return next
	}))
	for _, step := range []struct {
		opt  fastly.Option
		made int
	}{
		{fastly.WithAPIKey("other"), 1},
		{fastly.WithHTTPClient(&http.Client{Timeout: time.Minute}), 1},
		{fastly.WithHTTPClient(&http.Client{Transport: respond(http.StatusOK, "")}), 2},
		{fastly.WithTransport(respond(http.StatusOK, "")), 3},
	} {
		_, err := c.With(step.opt)
		require.NoError(t, err)
		assert.Equal(t, step.made, made)
	}
}

// It can trace, count and log each attempt.
func TestMiddlewareSeesEachAttempt(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]func(http.RoundTripper) fastly.Option{
		"of the HTTP client": func(rt http.RoundTripper) fastly.Option {
			return fastly.WithHTTPClient(&http.Client{Transport: rt})
		},
		"of the caller": fastly.WithTransport,
	} {
		status := []int{http.StatusTooManyRequests, http.StatusOK}
		var bodies, keys []string
		below := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			code := status[0]
			status = status[1:]
			if code == http.StatusTooManyRequests {
				return respond(code, "slow down")(r)
			}
			return respond(code, createdJSON)(r)
		})
		opts := []fastly.Option{transport(below), quickRetry, fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
			return roundTripFunc(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				bodies, keys = append(bodies, string(body)), append(keys, r.Header.Get("Fastly-Key"))
				return next.RoundTrip(r)
			})
		})}
		key := ""
		if name == "of the HTTP client" {
			key = someKey
			opts = append(opts, fastly.WithAPIKey(someKey))
		}
		_, err := mustClient(t, opts...).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "x"})
		require.NoError(t, err, name)
		assert.Equal(t, []string{"name=x", "name=x"}, bodies, name)
		assert.Equal(t, []string{key, key}, keys, name)
	}
}

func TestMiddlewareMustBeOne(t *testing.T) {
	t.Parallel()
	_, err := fastly.NewClient(fastly.WithAPIKey(someKey), fastly.WithMiddleware(nil))
	assertInvalid(t, err, "WithMiddleware was given nil")
	none := fastly.WithMiddleware(func(http.RoundTripper) http.RoundTripper { return nil })
	_, err = fastly.NewClient(fastly.WithAPIKey(someKey), none)
	assertInvalid(t, err, "a middleware returned nil")
	_, err = mustClient(t, fastly.WithAPIKey(someKey)).With(none)
	assertInvalid(t, err, "a middleware returned nil")
	for says, tr := range map[string]*http.Transport{
		"nil *http.Transport": nil, "MinVersion of TLS 1.0": {TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}}, //nolint:gosec // to be rejected
	} {
		_, err = fastly.NewClient(fastly.WithAPIKey(someKey), fastly.WithMiddleware(func(http.RoundTripper) http.RoundTripper { return tr }))
		assertInvalid(t, err, says)
	}
}

// It would send its own key in place of that of a client of With, which would then revoke another
// token than its current one.
func TestTransportThatAuthenticatesIsRejectedBelowOtherCredentials(t *testing.T) {
	t.Parallel()
	for _, rt := range []http.RoundTripper{
		&fastly.APIKeyTransport{Key: someKey}, &fastly.BasicAuthTransport{Username: "jane", Password: "hunter22"},
	} {
		returned := fastly.WithMiddleware(func(http.RoundTripper) http.RoundTripper { return rt })
		for _, opt := range []fastly.Option{fastly.WithHTTPClient(&http.Client{Transport: rt}), returned} {
			_, err := fastly.NewClient(fastly.WithAPIKey(someKey), opt)
			assertInvalid(t, err, "adds credentials of its own", "give it to WithTransport")
			_, err = mustClient(t, fastly.WithoutAuthentication()).With(opt)
			assertInvalid(t, err, "adds credentials of its own", "give it to WithTransport")
		}
		same := fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return next })
		_, err := fastly.NewClient(fastly.WithTransport(rt), same)
		require.NoError(t, err)
	}
}

func TestTLSIsCheckedBelowMiddlewares(t *testing.T) {
	t.Parallel()
	weak := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}} //nolint:gosec // to be rejected
	var seen []string
	for _, opt := range []fastly.Option{fastly.WithTransport(weak), fastly.WithHTTPClient(&http.Client{Transport: weak})} {
		_, err := fastly.NewClient(marking("a", &seen), opt)
		assertInvalid(t, err, "MinVersion of TLS 1.0")
	}
}
