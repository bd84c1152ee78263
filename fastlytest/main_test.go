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

// newAPI starts a server whose clock stands at start.
func newAPI(t *testing.T, opts ...Option) *api {
	t.Helper()
	clock := WithClock(func() time.Time { return start })
	s := NewServer(append([]Option{clock}, opts...)...)
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.Close()
	})
	return &api{s, t, &http.Client{
		Transport:     tr,
		Timeout:       10 * time.Second,
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

// do sends a request and returns the answer or what went wrong.
func (a *api) do(method, path string, mods ...mod) (reply, error) {
	a.t.Helper()
	resp, err := a.hc.Do(a.request(method, path, mods...))
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), resp.ContentLength, resp.TransferEncoding}, err
}

// send is do for requests that are answered whole.
func (a *api) send(method, path string, mods ...mod) reply {
	a.t.Helper()
	r, err := a.do(method, path, mods...)
	require.NoError(a.t, err)
	return r
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
