package fastly_test

import (
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// fuzzed is a client that gets one response to everything, without a network.
// Each worker of a fuzzer has one for all its inputs.
type fuzzed struct {
	*fastly.Client
	status int
	body   string
	last   *http.Request // nil: nothing was sent
	sent   []byte        // body of the last request
}

func newFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	c := new(fuzzed)
	transport := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		c.last, c.sent = r, nil
		if r.Body != nil {
			var err error
			if c.sent, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		return respond(c.status, c.body)(r)
	})
	c.Client = mustClient(f, noRetry, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: transport}))
	return c
}

// with sets the response of the next call.
func (c *fuzzed) with(status int, body string) *fastly.TokensService {
	c.status, c.body, c.last = status, body, nil
	return c.Tokens
}

func addResponses(f *testing.F) {
	f.Helper()
	for _, body := range invalidResponses {
		if len(body) < 1<<10 {
			f.Add(body)
		}
	}
	for _, form := range validTokens {
		f.Add(form.json)
	}
	for _, body := range []string{
		"\ufeff[]", "\x1f\x8b", `{"id":"a","name":"\ud83d","user_agent":"` + "\xff" + `","limit_services":true,"created_at":"2030-01-02 03:04:05 utc"}`,
		"[]", "[" + tokenJSON + "]", "[" + tokenJSON + "," + tokenJSON + "]",
		`{"id":"a","scope":"purge_all  global","scopes":["x"],"services":["s",null],"service_id":"s","created_at":"2030-01-02T03:04:05+00:00","expires_at":null}`,
		`{"id":"a","x":1e400}`, `[{"id":"a","x":-1e400}]`, // more than a float64 holds
		`{"id":"a","x":{"id":"b","y":[{"id":"c"},{"id":"d"}]},"":1,"i":2,"di":3,"ic":4}`,
		`{"\u0069\u0064":"a\ud83d\ude00","name":"\\\"","user_agent":"\u2028","ip":"::1","last_used_at":"2030-01-02T03:04:05.123456789-07:00"}`,
	} {
		f.Add(body)
	}
}

func FuzzDecodeToken(f *testing.F) {
	addResponses(f)
	c := newFuzzed(f)
	f.Fuzz(func(t *testing.T, body string) {
		token, err := c.with(200, body).GetToken(t.Context(), someID)
		if err != nil {
			assert.Nil(t, token)
			assertOneLine(t, err)
			return
		}
		var want map[string]any
		requireJSON(t, body, &want)
		assert.NotEmpty(t, token.ID)
		assertSameToken(t, want, *token)
		assertRoundTrip(t, c, *token)
	})
}

// assertStrict checks what was accepted: no duplicate names. Free text may be cut within a character.
func assertStrict(t *testing.T, body string) {
	t.Helper()
	assert.True(t, jsontext.Value(strings.TrimPrefix(body, "\ufeff")).IsValid(jsontext.AllowInvalidUTF8(true)), "accepted, but not JSON that means one thing only")
}

// requireJSON reads what was accepted with encoding/json. It keeps numbers as they
// are written, since a valid one may be more than a float64 holds.
func requireJSON(t *testing.T, body string, want any) {
	t.Helper()
	assertStrict(t, body)
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(body, "\ufeff")))
	d.UseNumber()
	require.NoError(t, d.Decode(want), "accepted, but not the JSON expected")
}

// assertSameToken compares with what encoding/json makes of the same text.
func assertSameToken(t *testing.T, want map[string]any, got fastly.TokenResponse) {
	t.Helper()
	text := func(name string) string {
		s, ok := want[name].(string)
		assert.True(t, ok || want[name] == nil, "accepted, but %s is no string", name)
		return s
	}
	assert.Equal(t, text("id"), got.ID)
	assert.Equal(t, text("name"), got.Name)
	assert.Equal(t, text("user_id"), got.UserID)
	assert.Equal(t, text("customer_id"), got.CustomerID)
	assert.Equal(t, text("ip"), got.IP)
	assert.Equal(t, text("user_agent"), got.UserAgent)
	for name, at := range map[string]time.Time{
		"created_at": got.CreatedAt, "updated_at": got.UpdatedAt, "deleted_at": got.DeletedAt,
		"expires_at": got.ExpiresAt, "last_used_at": got.LastUsedAt, "sudo_expires_at": got.SudoExpiresAt,
	} {
		wanted, err := parseAnyTime(text(name))
		assert.True(t, err == nil || text(name) == "", "accepted, but %s is no time", name)
		assert.True(t, wanted.Equal(at), "%s: %v is not %v", name, at, wanted)
	}
}

// parseAnyTime reads the forms of a time that are accepted.
func parseAnyTime(text string) (at time.Time, err error) {
	for _, separator := range []string{"T", " "} {
		for _, space := range []string{"", " "} {
			for _, zone := range []string{"Z07:00", "Z0700", "Z07", "UTC"} {
				at, err = time.Parse("2006-01-02"+separator+"15:04:05"+space+zone, strings.ToUpper(text))
				if err == nil {
					return at, nil
				}
			}
		}
	}
	return at, err
}

// assertRoundTrip marshals a token and reads it again.
func assertRoundTrip(t *testing.T, c *fuzzed, token fastly.TokenResponse) {
	t.Helper()
	text, err := json.Marshal(token)
	require.NoError(t, err)
	again, err := c.with(200, string(text)).GetToken(t.Context(), someID)
	require.NoError(t, err, "%s", text)
	if len(token.Services) == 0 {
		token.Services, again.Services = nil, nil
	}
	// A scope of several words is read as several.
	assert.Equal(t, fastly.ParseScopes(token.Scopes.String()), fastly.ParseScopes(again.Scopes.String()))
	token.Scopes, again.Scopes = nil, nil
	assert.Equal(t, token, *again)
}

func FuzzDecodeTokens(f *testing.F) {
	addResponses(f)
	c := newFuzzed(f)
	f.Fuzz(func(t *testing.T, body string) {
		list, err := c.with(200, body).ListTokensUser(t.Context())
		for _, token := range list {
			assert.NotEmpty(t, token.ID)
			assert.NotContains(t, token.ID, "\ufffd")
		}
		if err != nil {
			assert.True(t, list == nil || len(list) > 0, "nil if nothing could be read")
			assert.ErrorIs(t, err, fastly.ErrInvalidResponse)
			assertOneLine(t, err)
			return
		}
		var want []map[string]any
		requireJSON(t, body, &want)
		require.NotNil(t, list, "an empty list is not nil")
		require.Len(t, list, len(want))
		for i, token := range list {
			assertSameToken(t, want[i], token)
			// A token reads the same alone.
			alone, err := json.Marshal(want[i])
			require.NoError(t, err)
			got, err := c.with(200, string(alone)).GetToken(t.Context(), someID)
			require.NoError(t, err)
			assert.Equal(t, token.Scopes.String(), got.Scopes.String())
			assert.Equal(t, token.Services, got.Services)
		}
	})
}

func FuzzCreated(f *testing.F) {
	for _, around := range [][2]string{
		{`{"id":"a",`, `}`}, {`{`, `,"id":"a"}`}, {"", ""}, {"junk {", ""}, {`{"id":7,`, `,"x":"` + "\xff" + `"}`}, {`[{"data":{`, `}}]`},
		{`{"x":1,"x":2,`, `}`}, {`{"name":"\`, `"`}, {`{"created_at":"x",`, `} and more`}, {`{"access_token":7,`, "}"}, {`{"access_token" `, ""},
		{"\x1f\x8b{", "}"}, {`{"access\u005ftoken":"x",`, "}"}, {`{"access_token":"",`, "}"}, {`{"id`, `":"a"`},
	} {
		f.Add(around[0], around[1])
	}
	c := newFuzzed(f)
	f.Fuzz(func(t *testing.T, before, after string) {
		body := before + `"access_token":"` + canaryAccess + `"` + after
		// Something else may be, or hold, another access token, or say that all of it is compressed.
		alone := !strings.Contains(before+after, "access") && !strings.Contains(before+after, `\`) && !strings.HasPrefix(body, "\x1f\x8b")
		for _, response := range []struct{ status, maxBytes int }{{200, 1 << 20}, {500, 64<<10 - 1}} {
			status, only := response.status, alone && len(body) <= response.maxBytes
			created, err := c.with(status, body).CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			switch {
			case err == nil:
				require.Equal(t, 200, status)
				require.NotNil(t, created)
				assert.NotEmpty(t, created.ID)
				assert.NotEmpty(t, created.AccessToken)
				assertStrict(t, body)
			case only || status == 200:
				assertOneLine(t, err)
				for cause := err; cause != nil; cause = errors.Unwrap(cause) {
					assertNoSecretIn(t, "error", cause.Error())
				}
			}
			if only && status == 200 {
				require.NotNil(t, created, "the access token is lost: %v", err)
				assert.Equal(t, canaryAccess, created.AccessToken.Reveal())
			}
			if status == 500 && only {
				require.Nil(t, created)
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assert.NotContains(t, responseError(t, err).Body, canaryAccess)
			}
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for form, echo := range echoes {
		if !strings.Contains(form, "KiB") {
			f.Add(100, echo("x"), echo("y"))
		}
	}
	// Longer ones have tests of their own: here they would take most of the time.
	for _, body := range []string{
		"", "{}", "[]", "null", `{"msg":null}`, `{"msg":{"x":1}}`, `{"errors":[]}`, `{"errors":[{"title":"t","detail":"d","code":7}]}`, `{"title":"t","status":400}`,
		"<title>", "<TITLE\n>x</title", "<html>\x1b[31m", "\u202e\u2066\x00\x9b", strings.Repeat("é", 600), `{"msg":"` + strings.Repeat(`\u001b`, 300) + `"}`,
	} {
		f.Add(122, body, "")
		f.Add(203, "", body)
	}
	f.Add(77, `{"msg":"`, ` "ms"ye":"y"`) // a message that ends in a space
	c := newFuzzed(f)
	f.Fuzz(func(t *testing.T, status int, before, after string) {
		status = 300 + int(uint(status)%300)
		_, err := c.with(status, before+canaryKey+after).GetTokenCurrent(t.Context())
		response := responseError(t, err)
		assert.Equal(t, status, response.StatusCode)
		assertOneLine(t, err)
		assert.Regexp(t, oneLine, err.Error())
		for name, text := range map[string]string{"error": err.Error(), "msg": response.Msg, "detail": response.Detail, "code": response.Code, "body": response.Body} {
			assert.NotContains(t, text, canaryKey, name)
		}
		assert.LessOrEqual(t, len(response.Body), 64<<10)
	})
}

// encoders are those of the standard library.
var encoders = []func(string) string{
	html.EscapeString, url.QueryEscape, url.PathEscape, quoteJSON, strconv.Quote, strconv.QuoteToASCII, strconv.QuoteToGraphic,
	template.HTMLEscapeString, jsEscape,
	func(s string) string { return percentByte.ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower) },
}

// jsEscape leaves text alone with a character that JSEscapeString writes as \u and five digits: \u takes four.
func jsEscape(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r > 0xFFFF && !unicode.IsPrint(r) }) {
		return s
	}
	return template.JSEscapeString(s)
}

// encodable are secrets that look like escapes, in whole or in part.
var encodable = []string{
	canaryKey, canaryPassword, escapedPassword, escapedEscapes, `quote"&amp;`, `back\\slash`, `\u0041bcd`, "&#65;bcdef", `\%6eabcdef`,
	`&not%69n;`, "100%abcdef", `\06123456`, `\062345 `, "a+b c+d e", "éàüöß€😀", "%25%32%35&", "&amp;amp;", `\\\\\\\\`, "password&",
	`C:\users\x`, "abcdefg\U0003c600;",
}

func TestSecretIsFoundInWhateverTwoEncodersMake(t *testing.T) {
	t.Parallel()
	for _, secret := range encodable {
		for _, first := range encoders {
			for _, second := range encoders {
				text := second(`"` + first(first(secret)) + `"`)
				assert.Equal(t, "[REDACTED]", fastly.RedactTokens(text, secret), "%q in %q", secret, text)
			}
		}
	}
}

// A secret is found in whatever the encoders make of it, one after the other.
func FuzzRedactEncoded(f *testing.F) {
	for _, secret := range encodable {
		for order := range uint32(len(encoders)) {
			f.Add(secret, "no user %", "here", order)
			f.Add(secret, "&", ";", order*1371)
		}
	}
	f.Fuzz(func(t *testing.T, secret, before, after string, order uint32) {
		if len(secret) < 8 || !utf8.ValidString(secret) || strings.ContainsFunc(secret, unicode.IsControl) {
			return // no request can carry it, except a short one
		}
		echo := secret
		for base := uint32(len(encoders)); order > 0 && len(echo) < 1<<16; order /= base {
			echo = encoders[order%base](echo)
		}
		text := before + `"` + echo + `"` + after
		assert.Equal(t, "[REDACTED]", fastly.RedactTokens(text, secret), "%q in %q", secret, text)
	})
}

// Any other text stays as it is.
func FuzzRedactOther(f *testing.F) {
	addResponses(f)
	f.Fuzz(func(t *testing.T, text string) {
		withheld := fastly.RedactTokens(text, canaryKey)
		if !strings.ContainsAny(text, `%&\`) && !strings.Contains(text, canaryKey) {
			assert.Equal(t, text, withheld)
		}
		assert.Equal(t, "[REDACTED]", fastly.RedactTokens(text+" "+canaryKey, canaryKey))
	})
}

var (
	oneLine      = regexp.MustCompile(`\Afastly: .*\S\z`)
	wellFormedID = regexp.MustCompile(`\A[0-9A-Za-z]{1,64}\z`)
)

func FuzzCheckID(f *testing.F) {
	for _, id := range []string{
		someID, "", "self", "SELF", "sElf", "a", "../tokens", "a/b", "a%2fb", "a?b", "a#b", "a\n", " a", "é", "\xff", "\x00", "a b",
		strings.Repeat("a", 32), strings.Repeat("a", 64), strings.Repeat("a", 65), canaryAccess, "self/", "ｓｅｌｆ", "ſelf",
	} {
		f.Add(id)
	}
	c := newFuzzed(f)
	f.Fuzz(func(t *testing.T, id string) {
		// An ID of 32 letters and digits may be an access token.
		valid := wellFormedID.MatchString(id) && len(id) != 32 && !strings.EqualFold(id, "self")
		for path, call := range map[string]func(*fastly.TokensService) error{
			"/tokens/" + id: func(s *fastly.TokensService) error { return s.RevokeToken(t.Context(), id) },
			"/tokens":       func(s *fastly.TokensService) error { return s.BulkRevokeTokens(t.Context(), []string{someID, id}) },
		} {
			err := call(c.with(204, ""))
			if !valid {
				require.ErrorIs(t, err, fastly.ErrInvalidArgument)
				assert.Nil(t, c.last, "it was sent")
				assertOneLine(t, err)
				if len(id) >= telltale {
					assert.NotContains(t, err.Error(), id, "it may be an access token")
				}
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, path, c.last.URL.EscapedPath())
			assert.Equal(t, path, c.last.URL.RequestURI())
		}
	})
}

func FuzzCreateForm(f *testing.F) {
	f.Add("deploy", "purge_all", "purge_select", someService, canaryLogin, canaryPassword, int64(1893456000))
	f.Add("", "", "", "", "", "", int64(0))
	f.Add("a&b=c+d %41\n", "x y", "\x00", "a/b", "é\xff", ";\u2028", int64(-1))
	f.Add("\u202e", "global:read", "global", "self", "&password=", "=", int64(253402300799))
	f.Add("x", "a", "b", "c", "d", "e", int64(253402300800))
	c := newFuzzed(f)
	f.Fuzz(func(t *testing.T, name, scope, second, service, username, password string, expires int64) {
		req := &fastly.CreateTokenRequest{Name: name, Username: username, Password: fastly.Secret(password)}
		want := url.Values{}
		set := func(key, value string) {
			if value != "" {
				want.Set(key, value)
			}
		}
		set("name", name)
		set("username", username)
		set("password", password)
		for _, s := range []string{scope, second} {
			if s != "" {
				req.Scopes = append(req.Scopes, fastly.Scope(s))
			}
		}
		set("scope", strings.TrimSpace(scope+" "+second))
		if service != "" {
			req.Services = []string{service, service}
			want["services[]"] = req.Services
		}
		if at := time.Unix(expires, 0); expires != 0 && !at.IsZero() {
			req.ExpiresAt = at.In(time.FixedZone("", 3600))
			set("expires_at", req.ExpiresAt.UTC().Format(time.RFC3339))
		}
		_, err := c.with(200, createdJSON).CreateToken(t.Context(), req)
		if err != nil {
			require.ErrorIs(t, err, fastly.ErrInvalidArgument)
			assert.Nil(t, c.last, "it was sent")
			assertOneLine(t, err)
			return
		}
		assert.EqualValues(t, len(c.sent), c.last.ContentLength)
		assert.Equal(t, want.Encode(), string(c.sent))
		// A user name and a password go without the client's own key.
		assert.Equal(t, username == "", c.last.Header.Get("Fastly-Key") == canaryKey)
	})
}
