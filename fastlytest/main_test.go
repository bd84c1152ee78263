package fastlytest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the time of most tests' clocks, in the middle of an hour.
var start = time.Date(2030, 5, 6, 7, 30, 0, 0, time.UTC)

// api is a server and a plain HTTP client for it.
type api struct {
	*Server
	t  *testing.T
	hc *http.Client
}

// soon is far longer than anything takes, however busy the machine is.
const soon = time.Minute

// newAPI starts a server whose clock stands at start, with a client that speaks
// HTTP/1.
func newAPI(t *testing.T, opts ...Option) *api {
	t.Helper()
	return startAPI(t, &http.Transport{}, opts)
}

// newHTTP2API is newAPI with a client that speaks HTTP/2 only.
func newHTTP2API(t *testing.T, opts ...Option) *api {
	t.Helper()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return startAPI(t, &http.Transport{Protocols: p}, opts)
}

var protocols = map[string]func(*testing.T, ...Option) *api{"HTTP1": newAPI, "HTTP2": newHTTP2API}

func startAPI(t *testing.T, tr *http.Transport, opts []Option) *api {
	t.Helper()
	tr.DisableCompression = true
	clock := WithClock(func() time.Time { return start })
	s := NewServer(append([]Option{clock}, opts...)...)
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.Close()
	})
	return &api{s, t, &http.Client{
		Transport:     tr,
		Timeout:       soon,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type mod func(*http.Request)

func header(name, value string) mod {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func key(k fastly.Secret) mod { return header("Fastly-Key", k.Reveal()) }

func basic(login, password string) mod {
	return func(r *http.Request) { r.SetBasicAuth(login, password) }
}

// loggedIn is a form with the user's login and more fields.
func loggedIn(u User, pairs ...string) mod {
	return form(append([]string{"username", u.Login, "password", u.Password}, pairs...)...)
}

// confirm sends POST /sudo for the key.
func (a *api) confirm(k fastly.Secret, u User) {
	a.t.Helper()
	r := a.send("POST", "/sudo", key(k), form("password", u.Password))
	require.Equal(a.t, http.StatusOK, r.status, r.body)
}

func body(contentType, text string) mod {
	return func(r *http.Request) {
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		r.Body = io.NopCloser(strings.NewReader(text))
		r.ContentLength = int64(len(text))
	}
}

// form takes names and values in turn.
func form(pairs ...string) mod {
	f := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return body("application/x-www-form-urlencoded", f.Encode())
}

const bulkType = "application/vnd.api+json; ext=bulk"

func bulk(ids ...string) mod {
	var items []string
	for _, id := range ids {
		items = append(items, `{"type":"token","id":"`+id+`"}`)
	}
	return body(bulkType, `{"data":[`+strings.Join(items, ",")+`]}`)
}

type reply struct {
	status int
	header http.Header
	body   string
	length int64
	te     []string
	proto  int
}

func (a *api) request(method, path string, mods ...mod) *http.Request {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.URL+path, nil)
	require.NoError(a.t, err)
	r.Header.Set("User-Agent", "tester/1")
	for _, m := range mods {
		m(r)
	}
	return r
}

// do sends a request and returns the response or what went wrong.
func (a *api) do(method, path string, mods ...mod) (reply, error) {
	a.t.Helper()
	resp, err := a.hc.Do(a.request(method, path, mods...))
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), resp.ContentLength, resp.TransferEncoding, resp.ProtoMajor}, err
}

// send is do for responses that come whole.
func (a *api) send(method, path string, mods ...mod) reply {
	a.t.Helper()
	r, err := a.do(method, path, mods...)
	require.NoError(a.t, err)
	return r
}

// made is the token that the response to a create is about.
func (a *api) made(r reply) fastly.TokenCreatedResponse {
	a.t.Helper()
	require.Equal(a.t, http.StatusOK, r.status, r.body)
	kept, ok := a.Token(decode[map[string]any](a.t, r)["id"].(string))
	require.True(a.t, ok)
	return kept
}

// decode is the body as JSON.
func decode[T any](t *testing.T, r reply) (v T) {
	t.Helper()
	assert.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal([]byte(r.body), &v), "body: %s", r.body)
	return v
}

// assertProblem checks status and code or msg of a refusal.
func assertProblem(t *testing.T, r reply, status int, codeOrMsg string) {
	t.Helper()
	assert.Equal(t, status, r.status, "body: %s", r.body)
	got := decode[map[string]string](t, r)
	assert.NotEmpty(t, got["msg"])
	if codeOrMsg != got["code"] {
		assert.Contains(t, got["msg"], codeOrMsg)
	}
}

// ids are those of a list.
func ids(t *testing.T, r reply) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, "body: %s", r.body)
	out := []string{}
	for _, item := range decode[[]map[string]any](t, r) {
		out = append(out, item["id"].(string))
	}
	return out
}

// token adds a token with an ID and scopes and returns its key.
func (a *api) token(userID, id string, scopes ...fastly.Scope) fastly.Secret {
	return a.AddToken(userID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{ID: id, Name: id, Scopes: scopes},
	}).AccessToken
}

func (a *api) revoked(id string) bool {
	a.t.Helper()
	t, ok := a.Token(id)
	require.True(a.t, ok, "no token %s", id)
	return !t.DeletedAt.IsZero()
}
