package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// echoes are the ways in which a server or a proxy may repeat a text.
var echoes = map[string]func(string) string{
	"as it is": func(s string) string { return s },
	"JSON": func(s string) string {
		return `{"msg":` + quoteJSON(s) + `,"detail":` + quoteJSON(s) + `,"code":` + quoteJSON(s) + `}`
	},
	"JSON escaped all over":                func(s string) string { return `{"msg":"` + escapeAll(s, `\u%04x`, false) + `"}` },
	"JSON escaped all over, in upper case": func(s string) string { return `{"msg":"` + escapeAll(s, `\u%04X`, false) + `"}` },
	"JSON of Python":                       func(s string) string { return `{"msg":"not ` + quoteASCII(s) + ` here"}` },
	"JSON of PHP": func(s string) string {
		return `{"msg":"not ` + strings.ReplaceAll(quoteASCII(s), "/", `\/`) + ` here"}`
	},
	"JSON of PHP with all characters": func(s string) string {
		return `{"msg":"not ` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "/", `\/`).Replace(s) + ` here"}`
	},
	"JSON with slashes escaped": func(s string) string {
		return `{"other":` + strings.ReplaceAll(quoteJSON(s), "/", `\/`) + `}`
	},
	"JSON in JSON":            func(s string) string { return `{"msg":` + quoteJSON(`{"sent":`+quoteJSON(s)+`}`) + `}` },
	"JSON in HTML":            func(s string) string { return "<pre>" + html.EscapeString(quoteASCII(s)) + "</pre>" },
	"JSON in HTML with names": func(s string) string { return "<pre>" + escapeNames(quoteASCII(s)) + "</pre>" },
	"JSON:API": func(s string) string {
		return `{"errors":[{"title":` + quoteJSON(s) + `,"detail":` + quoteJSON(s) + `}]}`
	},
	"JSON that breaks off":            func(s string) string { return `{"msg":` + strings.TrimSuffix(quoteJSON(s), `"`) },
	"percent all over, in upper case": func(s string) string { return escapeAll(s, "%%%02X", true) },
	"encodeURIComponent":              func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
	"query":                           url.QueryEscape,
	"query in lower case":             func(s string) string { return percentByte.ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower) },
	"path":                            url.PathEscape,
	"percent all over":                func(s string) string { return escapeAll(s, "%%%02x", true) },
	"HTML":                            func(s string) string { return "<html><title>400 " + html.EscapeString(s) + "</title></html>" },
	"HTML with names": func(s string) string {
		return "<pre>" + escapeNames(s) + "</pre>"
	},
	"HTML in numbers":          func(s string) string { return "<p>" + escapeAll(s, "&#x%x;", false) + "</p>" },
	"HTML in decimal":          func(s string) string { return "<title>" + escapeAll(s, "&#%d;", false) + "</title>" },
	"Go syntax":                func(s string) string { return fmt.Sprintf("header[%q]", s) },
	"twice, close together":    func(s string) string { return s + s },
	"behind 64 KiB but a bit":  func(s string) string { return strings.Repeat("x", 64<<10-20) + s },
	"behind 64 KiB but a byte": func(s string) string { return strings.Repeat("x", 64<<10-len(s)+1) + s },
	"JSON up to 64 KiB":        func(s string) string { return `{"msg":"` + strings.Repeat("x", 64<<10-28) + s + `"}` },
	"behind 1 KiB but a bit":   func(s string) string { return strings.Repeat("x", 1<<10-15) + s },
	"broken by a line":         func(s string) string { return "first\n" + s + "\nlast" },
}

// quoteASCII escapes what is not ASCII, without quotes around it.
func quoteASCII(s string) string { return strings.Trim(strconv.QuoteToASCII(s), `"`) }

var escapeNames = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "/", "&sol;").Replace

// escapeAll formats each byte or character.
func escapeAll(s, format string, bytewise bool) string {
	var b strings.Builder
	if bytewise {
		for i := range len(s) {
			fmt.Fprintf(&b, format, s[i])
		}
		return b.String()
	}
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

// secretCreates are creates with canaries, in each way to authenticate them.
var secretCreates = map[string]struct {
	auth fastly.Option
	req  func() *fastly.CreateTokenRequest
}{
	"key":                {fastly.WithAPIKey(canaryKey), canaryRequest},
	"key function":       {fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return canaryKey, nil }), canaryRequest},
	"password":           {fastly.WithBasicAuth(canaryLogin, canaryPassword), canaryRequest},
	"own transport":      {ownTransport, canaryRequest},
	"login":              {fastly.WithoutAuthentication(), canaryLoginRequest},
	"login over another": {ownTransport, canaryLoginRequest},
}

// ownTransport adds a credential in its own way.
var ownTransport = fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+canaryKey)
	return http.DefaultTransport.RoundTrip(r)
}))

// sentSecrets returns the secrets of a request, which a server could repeat.
func sentSecrets(r *http.Request) (secrets []string) {
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, password, _ := r.BasicAuth()
	for _, s := range []string{r.Header.Get("Fastly-Key"), credentials, password, r.FormValue("password"), r.Header.Get("Fastly-OTP")} {
		if s != "" {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

// newEcho starts a server that passes the secrets of each request to respond.
func newEcho(t *testing.T, respond func(w http.ResponseWriter, secrets []string)) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secrets := sentSecrets(r)
		if !assert.NotEmpty(t, secrets) {
			return
		}
		w.Header().Set("Connection", "close")
		respond(w, secrets)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestErrorsRedactWhatTheResponseRepeats(t *testing.T) {
	t.Parallel()
	for name, create := range secretCreates {
		for form, echo := range echoes {
			if strings.Contains(form, "64 KiB") && name != "key" {
				continue // slow, and the authentication makes no difference
			}
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				var status, which, count atomic.Int32
				srv := newEcho(t, func(w http.ResponseWriter, secrets []string) {
					count.Store(int32(len(secrets)))
					if n := int(which.Load()); n >= 0 {
						secrets = secrets[n:][:1]
					}
					if status.Load() == http.StatusFound {
						w.Header().Set("Location", "https://"+url.PathEscape(secrets[0])+".example/"+url.PathEscape(secrets[0]))
					}
					w.Header().Set("X-Echo", url.QueryEscape(secrets[0]))
					w.WriteHeader(int(status.Load()))
					for _, secret := range secrets {
						// The client may have read enough.
						_, _ = io.WriteString(w, echo(secret))
					}
				})
				c := mustClient(t, noRetry, create.auth, fastly.WithBaseURL(srv.URL))
				codes := []int32{400, 200, 302, 401, 429, 503}
				if name != "key" && name != "login" && form != "JSON" {
					codes = codes[:1] // the others get each form with a 400, and each status with JSON
				}
				for _, code := range codes {
					// All secrets at once, and each alone.
					for n := int32(-1); n < count.Load(); n++ {
						if n >= 0 && code != 400 {
							break
						}
						status.Store(code)
						which.Store(n)
						_, err := c.Tokens.CreateToken(t.Context(), create.req())
						require.Error(t, err)
						assertNoSecret(t, err)
						assertPrintable(t, err)
					}
				}
			})
		}
	}
}

func TestRedactFindsSecretsThatLookEncoded(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{`quote"&amp;`, `back\\slash`, "per%41cent", "plus+plus", `a\&amp;"z`, `\u0041bcd`, "&#65;bcd"} {
		for form, echo := range echoes {
			if strings.Contains(form, "KiB") {
				continue
			}
			text := fastly.RedactTokens(echo(secret), "short", "no", secret)
			assert.Contains(t, text, "[REDACTED]", "%q as %s", secret, form)
		}
	}
	assert.Equal(t, "a [REDACTED] [REDACTED][REDACTED] b", fastly.RedactTokens("a hush%21 hush!hush! b", "hush!"))
	assert.Equal(t, "[REDACTED]", fastly.RedactTokens("abcdefgh", "abcdef", "cdefgh"), "secrets that overlap")
	assert.Equal(t, "100% as it was", fastly.RedactTokens("100% as it was", "hush!"))
}

// The body ends, or is cut, within a secret: most of one is a secret, too.
func TestErrorsRedactATruncatedSecret(t *testing.T) {
	t.Parallel()
	for secret, create := range map[string]string{canaryKey: "key", canaryPassword: "login"} {
		for _, before := range []int{0, 64<<10 - len(secret)/2, 64<<10 - len(secret) + 1, 64<<10 - telltale} {
			for _, missing := range []int{1, 1000} {
				t.Run(fmt.Sprint(create, before, missing), func(t *testing.T) {
					t.Parallel()
					body := strings.Repeat("x", before) + secret[:len(secret)-1]
					srv := newEcho(t, func(w http.ResponseWriter, _ []string) {
						w.Header().Set("Content-Length", strconv.Itoa(len(body)+missing))
						w.WriteHeader(http.StatusBadRequest)
						_, _ = io.WriteString(w, body)
					})
					create := secretCreates[create]
					c := mustClient(t, noRetry, create.auth, fastly.WithBaseURL(srv.URL))
					_, err := c.Tokens.CreateToken(t.Context(), create.req())
					require.Error(t, err)
					assertNoSecret(t, err)
				})
			}
		}
	}
}

func TestErrorsRedactWhatATruncatedBodyEndsWith(t *testing.T) {
	t.Parallel()
	const key = "ab12cd34-ab12cd34"
	for body, want := range map[string]string{
		"no " + key:           "no [REDACTED]",
		"no " + key + "-ab12": "no [REDACTED]-[REDACTED]", // not from its second half on
		"no " + key[:5]:       "no [REDACTED]",
		"no " + key[:4]:       "no [REDACTED]",
		"no " + key[:3]:       "no ab1", // says too little
	} {
		srv := newStub(t, http.StatusBadRequest, http.Header{"Content-Length": {"99"}}, body)
		_, err := srv.client(t, fastly.WithAPIKey(key)).Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, want, responseError(t, err).Msg)
	}
}

// A short secret may be a word of a message. It is redacted as a value only.
func TestErrorsRedactAShortSecretOnlyAsAValue(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"password": "wrong", "password of seven": "correct", "one-time password": "731", "key": "abc"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			create := func(status int, body string) *fastly.GenericTokenError {
				srv := newStub(t, status, http.Header{"X-Echo": {secret}, "X-Text": {"it is " + secret}}, body)
				req, auth := new(fastly.CreateTokenRequest), fastly.WithAPIKey(someKey)
				switch name {
				case "key":
					auth = fastly.WithAPIKey(secret)
				case "one-time password":
					req.OTP = fastly.Secret(secret)
				default:
					req.Username, req.Password = "jane", fastly.Secret(secret)
				}
				_, err := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), auth).Tokens.CreateToken(t.Context(), req)
				return responseError(t, err)
			}
			text := "username or password is " + secret
			got := create(http.StatusBadRequest, `{"msg":`+quoteJSON(text)+`}`)
			assert.Equal(t, text, got.Msg)
			assert.JSONEq(t, `{"msg":`+quoteJSON(text)+`}`, got.Body)
			assert.Equal(t, []string{"[REDACTED]"}, got.Header["X-Echo"])
			assert.Equal(t, []string{"it is " + secret}, got.Header["X-Text"])

			got = create(http.StatusBadRequest, `{"msg":`+quoteJSON(secret)+`,"detail":`+quoteJSON(secret)+`,"code":`+quoteJSON(secret)+`,"sent":{"value":`+quoteJSON(secret)+`}}`)
			assert.Equal(t, "[REDACTED]", got.Msg)
			assert.Equal(t, "[REDACTED]", got.Detail)
			assert.Equal(t, "[REDACTED]", got.Code)
			assert.JSONEq(t, `{"msg":"[REDACTED]","detail":"[REDACTED]","code":"[REDACTED]","sent":{"value":"[REDACTED]"}}`, got.Body)

			got = create(http.StatusBadGateway, secret)
			assert.Equal(t, "[REDACTED]", got.Msg)
			assert.Equal(t, "[REDACTED]", got.Body)
		})
	}
}

func TestErrorsRedactALongSecretAnywhere(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"password": "hunter22", "one-time password": "7319", "key": "abcd"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusBadRequest, http.Header{"X-Text": {"it is " + secret}}, `{"msg":"it is `+secret+`!"}`)
			req, auth := new(fastly.CreateTokenRequest), fastly.WithAPIKey(someKey)
			switch name {
			case "key":
				auth = fastly.WithAPIKey(secret)
			case "one-time password":
				req.OTP = fastly.Secret(secret)
			default:
				req.Username, req.Password = "jane", fastly.Secret(secret)
			}
			_, err := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), auth).Tokens.CreateToken(t.Context(), req)
			got := responseError(t, err)
			assert.Equal(t, "it is [REDACTED]!", got.Msg)
			assert.JSONEq(t, `{"msg":"it is [REDACTED]!"}`, got.Body)
			assert.Equal(t, []string{"it is [REDACTED]"}, got.Header["X-Text"])
		})
	}
}

func TestHeaderOfAnErrorIsRedacted(t *testing.T) {
	t.Parallel()
	const key = "Key-In-The-Form-Of-A-Name"
	srv := newStub(t, http.StatusFound, http.Header{
		"Set-Cookie":          {"session=1"},
		"Location":            {"https://example.com/" + key + "/path?token=1#fragment"},
		"X-Served-By":         {"cache-fra-1", "cache-fra-2"},
		"X-Timer":             {"S1610625600.1,VS0,VE12"},
		"X-" + key:            {"value"},
		"X-Long":              {strings.Repeat("é", 1<<10)},
		"X-Long-And-Redacted": {strings.Repeat("x", 1<<10-10) + key},
	}, "")
	_, err := srv.client(t, fastly.WithAPIKey(key)).Tokens.GetTokenCurrent(t.Context())
	got := responseError(t, err).Header
	assert.NotContains(t, got, "Set-Cookie")
	assert.Equal(t, "https://example.com/[REDACTED]/path", got.Get("Location"))
	assert.Equal(t, "cache-fra-1, cache-fra-2", got.Get("X-Served-By"))
	assert.Equal(t, "S1610625600.1,VS0,VE12", got.Get("X-Timer"))
	assert.Equal(t, strings.Repeat("é", 510)+"…", got.Get("X-Long"), "at most 1 KiB, of whole characters")
	assert.Equal(t, strings.Repeat("x", 1<<10-10)+"[REDACTED]", got.Get("X-Long-And-Redacted"))
	assert.NotContains(t, got, "X-"+key)
}

func TestHeaderOfAnErrorIsBounded(t *testing.T) {
	t.Parallel()
	header := http.Header{"Set-Cookie": {"session=1"}}
	for i := range 100 {
		header.Set(fmt.Sprintf("Field-%03d", i), "value")
	}
	longest := "A" + strings.Repeat("a", 1<<10-1)
	header.Set(longest, "value")
	header.Set(longest+"a", "value")
	srv := newStub(t, http.StatusBadRequest, header, "")
	_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
	got := responseError(t, err).Header
	assert.Len(t, got, 64)
	assert.Contains(t, got, longest)
	assert.NotContains(t, got, longest+"a")
	assert.Contains(t, got, "Field-000")
	assert.NotContains(t, got, "Field-099")
}

// net/http quotes such responses in its errors.
func TestErrorsRedactWhatBrokenHTTPRepeats(t *testing.T) {
	t.Parallel()
	for name, create := range secretCreates {
		if name == "own transport" || name == "login over another" {
			continue // which has to redact its own key
		}
		for place, form := range map[string]string{
			"status line":    "%s\r\n\r\n",
			"status code":    "HTTP/1.1 %s OK\r\n\r\n",
			"protocol":       "%s/1.1 200 OK\r\n\r\n",
			"header line":    "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
			"header name":    "HTTP/1.1 200 OK\r\n%[1]s %[1]s: x\r\n\r\n",
			"length":         "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
			"encoding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
			"chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
			"trailer":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
			"error trailer":  "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
			"status phrase":  "HTTP/1.1 400 %s\r\nContent-Length: 0\r\n\r\n",
			"trailer's name": "HTTP/1.1 200 OK\r\nTrailer: %[1]s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%[1]s: x\r\n\r\n",
			"bad location":   "HTTP/1.1 302 Found\r\nLocation: http://[%s\r\nContent-Length: 0\r\n\r\n",
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				t.Parallel()
				var which atomic.Int32
				srv := newEcho(t, func(w http.ResponseWriter, secrets []string) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if !assert.NoError(t, err) {
						return
					}
					_, err = fmt.Fprintf(conn, form, secrets[int(which.Load())%len(secrets)])
					assert.NoError(t, err)
					assert.NoError(t, conn.Close())
				})
				c := mustClient(t, quickRetry, create.auth, fastly.WithBaseURL(srv.URL))
				for n := range int32(3) { // secrets at most
					which.Store(n)
					_, err := c.Tokens.CreateToken(t.Context(), create.req())
					require.Error(t, err)
					assertNoSecret(t, err)
					assertPrintable(t, err)
					if name == "login" {
						continue
					}
					_, err = c.Tokens.ListTokensUser(t.Context())
					require.Error(t, err)
					assertNoSecret(t, err)
				}
			})
		}
	}
}

// The access token of such a response is not known to be one.
func TestErrorsRedactTheAccessTokenInBrokenHTTP(t *testing.T) {
	t.Parallel()
	created := `{"access_token": "` + canaryKey[len(canaryKey)-32:] + `", "id":"` + someID + `"}` // as long as the API's
	for place, form := range map[string]string{
		"status line": "%s\r\n\r\n",
		"protocol":    "{\"id\":\"" + someID + "\",%s\r\n\r\n",
		"header line": "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
	} {
		srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			_, err = fmt.Fprintf(conn, form, created)
			assert.NoError(t, err)
			assert.NoError(t, conn.Close())
		})
		_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, place)
		require.ErrorContains(t, err, "[REDACTED]", place)
		assertNoSecret(t, err)
	}
}

// talkativeError holds the request, as some errors of transports do.
type talkativeError struct {
	Request string
	err     error
}

func (e *talkativeError) Error() string { return "cannot send " + e.Request + ": " + e.err.Error() }

func (e *talkativeError) Unwrap() error { return e.err }

func TestErrorWithoutASecretIsTheErrorOfTheTransport(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	rt := roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, reason })
	c := mustClient(t, noRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Same(t, reason, errors.Unwrap(err))
}

func TestErrorsRedactWhatTheTransportRepeats(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	tell := func(r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return err
		}
		return &talkativeError{strings.Join(sentSecrets(r), "\n") + fmt.Sprint(r.Header, r.PostForm), reason}
	}
	for name, create := range secretCreates {
		if name == "own transport" || name == "login over another" {
			continue // which has to redact its own key
		}
		for place, below := range map[string]roundTripFunc{
			"before a response": func(r *http.Request) (*http.Response, error) { return nil, tell(r) },
			"within a response": func(r *http.Request) (*http.Response, error) {
				body := io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(tell(r)))
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
			},
			"in a response with no request": func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tell(r).Error()))}, nil
			},
			"in a response with another request": func(r *http.Request) (*http.Response, error) {
				other := new(http.Request)
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tell(r).Error())), Request: other}, nil
			},
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				t.Parallel()
				c := mustClient(t, quickRetry, create.auth, fastly.WithHTTPClient(&http.Client{Transport: below}))
				_, err := c.Tokens.CreateToken(t.Context(), create.req())
				require.Error(t, err)
				assertNoSecret(t, err)
				if place == "before a response" || place == "within a response" {
					require.ErrorIs(t, err, reason, "the reason can be found all the same")
					require.ErrorAs(t, err, new(*talkativeError))
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				}
			})
		}
	}
}

func TestTransportsRedactWhatTheTransportBelowRepeats(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	below := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		return nil, &talkativeError{strings.Join(sentSecrets(r), "\n") + fmt.Sprint(r.Header), reason}
	})
	for _, rt := range []http.RoundTripper{
		&fastly.APIKeyTransport{Key: canaryKey, Base: below},
		&fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Base: below},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fastly.DefaultBaseURL, http.NoBody)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.ErrorIs(t, err, reason)
		assert.Nil(t, resp)
		assertNoSecret(t, err)
	}
}

// The transport below leaves out the request of its response, in which a client would look.
func TestClientRedactsWhatATransportOfItsOwnSent(t *testing.T) {
	t.Parallel()
	below := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		body := strings.NewReader(`{"msg":"no such key: ` + r.Header.Get("Fastly-Key") + `"}`)
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(body)}, nil
	})
	c := mustClient(t, noRetry, fastly.WithTransport(&fastly.APIKeyTransport{Key: canaryKey, Base: below}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Equal(t, "no such key: [REDACTED]", responseError(t, err).Msg)
	assertNoSecret(t, err)
}

func TestErrorOfTheKeyFunctionRedactsTheKeyThatComesWithIt(t *testing.T) {
	t.Parallel()
	stale := errors.New("the vault is sealed")
	give := func(context.Context) (fastly.Secret, error) {
		return canaryKey, fmt.Errorf("refusing the stale key %s: %w", canaryKey, stale)
	}
	_, err := mustClient(t, fastly.WithAPIKeyFunc(give)).Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, stale)
	assertNoSecret(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fastly.DefaultBaseURL, http.NoBody)
	require.NoError(t, err)
	_, err = (&fastly.APIKeyTransport{KeyFunc: give}).RoundTrip(req)
	require.ErrorIs(t, err, stale)
	assertNoSecret(t, err)
}

// endingError ends a call at a time when its text is on the way up.
type endingError struct {
	error
	asked func()
}

func (e endingError) Is(error) bool { e.asked(); return false }

func TestErrorsRedactWhatComesBeforeACancel(t *testing.T) {
	t.Parallel()
	for last := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			n := 0
			reason := endingError{errors.New("lost the request with " + r.Header.Get("Fastly-Key")), func() {
				if n++; n > last {
					cancel()
				}
			}}
			body := io.MultiReader(strings.NewReader(tokenJSON), iotest.ErrReader(reason))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
		})
		c := mustClient(t, noRetry, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
		_, err := c.Tokens.GetTokenCurrent(ctx)
		cancel()
		require.Error(t, err)
		assertNoSecret(t, err)
	}
}
