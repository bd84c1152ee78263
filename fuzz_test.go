package fastly_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// fuzzClient returns a client that is given one answer to everything, and where
// to find the last request that it sent.
func fuzzClient(t *testing.T, status int, body string) (c *fastly.Client, last *http.Request) {
	t.Helper()
	last = new(http.Request)
	answer := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		*last = *r
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	return mustClient(t, never, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: answer})), last
}

func addAnswers(f *testing.F) {
	f.Helper()
	for _, body := range notATokenAtAll {
		f.Add(body)
	}
	for _, body := range []string{
		tokenAnswer, "[]", "[" + tokenAnswer + "]", "[" + tokenAnswer + "," + tokenAnswer + "]",
		`{"id":"a","scope":"purge_all  global","scopes":["x"],"services":["s",null],"service_id":"s","created_at":"2030-01-02T03:04:05+00:00","expires_at":null}`,
		`{"id":"a","x":{"id":"b","y":[{"id":"c"},{"id":"d"}]},"":1,"i":2,"di":3,"ic":4}`,
		`{"\u0069\u0064":"a\ud83d\ude00","name":"\\\"","user_agent":"\u2028","ip":"::1","last_used_at":"2030-01-02T03:04:05.123456789-07:00"}`,
	} {
		f.Add(body)
	}
}

func FuzzDecodeToken(f *testing.F) {
	addAnswers(f)
	f.Fuzz(func(t *testing.T, body string) {
		c, _ := fuzzClient(t, 200, body)
		token, err := c.Tokens.GetToken(t.Context(), someID)
		if err != nil {
			assert.Nil(t, token)
			assertFitToPrint(t, err)
			return
		}
		assertStrict(t, body)
		var want map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &want), "taken, and yet no JSON object")
		assert.NotEmpty(t, token.ID)
		assertSameToken(t, want, *token)
		assertGoesThroughJSON(t, *token)
	})
}

// assertStrict is for what was taken: no duplicate names, no invalid UTF-8.
func assertStrict(t *testing.T, body string) {
	t.Helper()
	assert.True(t, fastly.IsStrict([]byte(body)), "taken, and yet no JSON that means one thing only")
}

// assertSameToken compares with what encoding/json makes of the same text.
func assertSameToken(t *testing.T, want map[string]any, got fastly.TokenResponse) {
	t.Helper()
	text := func(name string) string {
		s, ok := want[name].(string)
		assert.True(t, ok || want[name] == nil, "taken, and yet %s is no string", name)
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
		wanted, err := time.Parse(time.RFC3339, text(name))
		assert.True(t, err == nil || text(name) == "", "taken, and yet %s is no time", name)
		assert.True(t, wanted.Equal(at), "%s: %v is not %v", name, at, wanted)
	}
}

func assertGoesThroughJSON(t *testing.T, token fastly.TokenResponse) {
	t.Helper()
	for _, at := range []time.Time{token.CreatedAt, token.UpdatedAt, token.DeletedAt, token.ExpiresAt, token.LastUsedAt, token.SudoExpiresAt} {
		if at.Year() < 0 || at.Year() > 9999 {
			return // RFC 3339 can't say it in UTC
		}
	}
	text, err := json.Marshal(token)
	require.NoError(t, err)
	c, _ := fuzzClient(t, 200, string(text))
	again, err := c.Tokens.GetToken(t.Context(), someID)
	require.NoError(t, err, "%s", text)
	if len(token.Services) == 0 {
		token.Services, again.Services = nil, nil
	}
	if len(token.Scopes) == 0 {
		token.Scopes, again.Scopes = nil, nil
	}
	// A scope of several words comes back as several.
	assert.Equal(t, strings.Fields(token.Scopes.String()), strings.Fields(again.Scopes.String()))
	token.Scopes, again.Scopes = nil, nil
	assert.Equal(t, token, *again)
}

func FuzzDecodeTokens(f *testing.F) {
	addAnswers(f)
	f.Fuzz(func(t *testing.T, body string) {
		c, _ := fuzzClient(t, 200, body)
		list, err := c.Tokens.ListTokensUser(t.Context())
		if err != nil {
			assert.Nil(t, list)
			assertFitToPrint(t, err)
			return
		}
		assertStrict(t, body)
		var want []map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &want), "taken, and yet no list of JSON objects")
		require.NotNil(t, list, "a list that is empty is not nil")
		require.Len(t, list, len(want))
		for i, token := range list {
			assert.NotEmpty(t, token.ID)
			assertSameToken(t, want[i], token)
			// A token reads the same alone.
			alone, err := json.Marshal(want[i])
			require.NoError(t, err)
			c, _ := fuzzClient(t, 200, string(alone))
			got, err := c.Tokens.GetToken(t.Context(), someID)
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
		{`{"access\u005ftoken":"x",`, "}"}, {`{"access_token":"",`, "}"}, {`{"id`, `":"a"`},
	} {
		f.Add(around[0], around[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		body := before + `"access_token":"` + canaryAccess + `"` + after
		c, _ := fuzzClient(t, 200, body)
		created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		if err == nil {
			require.NotNil(t, created)
			assert.NotEmpty(t, created.ID)
			assert.NotEmpty(t, created.AccessToken)
			assertStrict(t, body)
		} else {
			assertFitToPrint(t, err)
			assertNoSecret(t, err)
		}
		// Something else may be spelt, or hold, another access token.
		if strings.Contains(before+after, "access") || strings.Contains(before+after, `\`) || len(body) > 1<<20 {
			return
		}
		require.NotNil(t, created, "the access token is lost: %v", err)
		assert.Equal(t, canaryAccess, created.AccessToken.Reveal())
	})
}

func FuzzErrorBody(f *testing.F) {
	for form, echo := range echoes {
		if !strings.Contains(form, "KiB") {
			f.Add(400, echo("x"), echo("y"))
		}
	}
	for _, body := range []string{
		"", "{}", "[]", "null", `{"msg":null}`, `{"msg":{"x":1}}`, `{"errors":[]}`, `{"errors":[{"title":"t","detail":"d","code":7}]}`, `{"title":"t","status":400}`,
		"<title>", "<TITLE\n>x</title", "<html>\x1b[31m", "\u202e\u2066\x00\x9b", strings.Repeat("é", 40000), `{"msg":"` + strings.Repeat(`\u001b`, 3000) + `"}`,
	} {
		f.Add(422, body, "")
		f.Add(503, "", body)
	}
	f.Fuzz(func(t *testing.T, status int, before, after string) {
		status = 300 + int(uint(status)%300)
		c, _ := fuzzClient(t, status, before+canaryKey+after)
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		answer := answerOf(t, err)
		assert.Equal(t, status, answer.StatusCode)
		assertFitToPrint(t, err)
		assertOneLine(t, err)
		for name, text := range map[string]string{"error": err.Error(), "msg": answer.Msg, "detail": answer.Detail, "code": answer.Code, "body": answer.Body} {
			assert.NotContains(t, text, canaryKey, name)
		}
		// Redaction may make a text longer, but no more than each key by one word.
		assert.LessOrEqual(t, len(answer.Body), 64<<10)
	})
}

var wellFormedID = regexp.MustCompile(`\A[0-9A-Za-z]{1,64}\z`)

func FuzzCheckID(f *testing.F) {
	for _, id := range []string{
		someID, "", "self", "SELF", "sElf", "a", "../tokens", "a/b", "a%2fb", "a?b", "a#b", "a\n", " a", "é", "\xff", "\x00", "a b",
		strings.Repeat("a", 64), strings.Repeat("a", 65), canaryAccess, "self/", "ｓｅｌｆ", "ſelf",
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		ok := wellFormedID.MatchString(id) && !strings.EqualFold(id, "self")
		for path, call := range map[string]func(*fastly.Client) error{
			"/tokens/" + id: func(c *fastly.Client) error { return c.Tokens.RevokeToken(t.Context(), id) },
			"/tokens":       func(c *fastly.Client) error { return c.Tokens.BulkRevokeTokens(t.Context(), []string{someID, id}) },
		} {
			c, last := fuzzClient(t, 204, "")
			err := call(c)
			if !ok {
				require.ErrorIs(t, err, fastly.ErrInvalidArgument)
				assert.Nil(t, last.URL, "it was sent all the same")
				assertFitToPrint(t, err)
				if len(id) >= tellTale {
					assert.NotContains(t, err.Error(), id, "it may be an access token")
				}
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, path, last.URL.EscapedPath())
			assert.Equal(t, path, last.URL.RequestURI())
		}
	})
}

func FuzzCreateForm(f *testing.F) {
	f.Add("deploy", "purge_all", "purge_select", someService, canaryLogin, canaryPassword, int64(1893456000))
	f.Add("", "", "", "", "", "", int64(0))
	f.Add("a&b=c+d %41\n", "x y", "\x00", "a/b", "é\xff", ";\u2028", int64(-1))
	f.Add("\u202e", "global:read", "global", "self", "&password=", "=", int64(253402300799))
	f.Add("x", "a", "b", "c", "d", "e", int64(253402300800))
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
		c, last := fuzzClient(t, 200, createdAnswer)
		_, err := c.Tokens.CreateToken(t.Context(), req)
		if err != nil {
			require.ErrorIs(t, err, fastly.ErrInvalidArgument)
			assert.Nil(t, last.URL, "it was sent all the same")
			assertFitToPrint(t, err)
			return
		}
		var body []byte
		if last.Body != nil {
			body, err = io.ReadAll(last.Body)
			require.NoError(t, err)
		}
		assert.EqualValues(t, len(body), last.ContentLength)
		assert.Equal(t, want.Encode(), string(body))
	})
}
