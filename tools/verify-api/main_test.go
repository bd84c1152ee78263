package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/internal/facts"
)

// noon is what the servers' clocks show, so that no hour of a rate limit ends.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// run is a run of the command against a server.
type run struct {
	srv            *fastlytest.Server
	app            *app
	env            map[string]string
	stdout, stderr bytes.Buffer
}

// newRun returns a run with the credentials of the server's user.
func newRun(t *testing.T, opts ...fastlytest.Option) *run {
	t.Helper()
	opts = append(opts, fastlytest.WithClock(func() time.Time { return noon }))
	r := &run{srv: fastlytest.NewServer(opts...)}
	t.Cleanup(r.srv.Close)
	user := r.srv.User()
	r.env = map[string]string{
		"FASTLY_API_URL":       r.srv.URL,
		"FASTLY_API_TOKEN":     r.srv.Key().Reveal(),
		"FASTLY_USERNAME":      user.Login,
		"FASTLY_PASSWORD_FILE": file(t, user.Password),
	}
	other := r.srv.AddToken(r.srv.AddUser(fastlytest.User{}).ID, fastly.TokenCreatedResponse{})
	r.env["FASTLY_OTHER_TOKEN"] = other.AccessToken.Reveal()
	for i := range 9 { // enough to see the order of lists
		r.srv.AddToken(user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: "deploy of example.org", CreatedAt: noon.AddDate(0, 0, -i), IP: "198.51.100.7", UserAgent: "deploy/1.0",
		}})
	}
	r.app = &app{
		getenv: func(name string) string { return r.env[name] },
		stdin:  bufio.NewReader(strings.NewReader("")), stdout: &r.stdout, stderr: &r.stderr,
		transport: http.DefaultTransport,
		wait: func(_ context.Context, d time.Duration) error {
			r.srv.Advance(d)
			return nil
		},
	}
	return r
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o600))
	return path
}

func (r *run) do(t *testing.T, args ...string) int {
	t.Helper()
	code := r.app.run(t.Context(), args)
	t.Log(r.stderr.String() + "\n" + r.table())
	return code
}

// table is the output without the transcript.
func (r *run) table() string {
	table, _, _ := strings.Cut(r.stdout.String(), "\nHolds: ")
	return table
}

// verdicts returns the verdict of each fact.
func (r *run) verdicts() map[string]facts.Verdict {
	all := map[string]facts.Verdict{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+) +(holds|does not hold|can't tell)`).FindAllStringSubmatch(r.table(), -1) {
		all[m[1]] = facts.Verdict(m[2])
	}
	return all
}

func (r *run) with(verdict facts.Verdict) (ids []string) {
	for id, v := range r.verdicts() {
		if v == verdict {
			ids = append(ids, id)
		}
	}
	return ids
}

// live returns the names of the active tokens of the run.
func (r *run) live() (names []string) {
	for _, t := range r.srv.Tokens() {
		if strings.HasPrefix(t.Name, "verify-api ") && t.DeletedAt.IsZero() {
			names = append(names, t.Name)
		}
	}
	return names
}

// counted returns how many requests were no reads.
func (r *run) counted() (n int) {
	for _, req := range r.srv.Requests() {
		if req.Method != http.MethodGet {
			n++
		}
	}
	return n
}

// private returns what the output must not show.
func (r *run) private() []string {
	user := r.srv.User()
	all := []string{user.ID, user.CustomerID, user.Login, user.Password, "example.org", "198.51.100.7", "127.0.0.1", "deploy/1.0"}
	for _, t := range r.srv.Tokens() {
		all = append(all, t.ID, t.AccessToken.Reveal())
	}
	return all
}

func TestReadsByDefault(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	assert.Equal(t, 0, r.do(t, "--yes"))
	assert.Empty(t, r.with(facts.DoesNotHold))
	assert.Greater(t, len(r.with(facts.Holds)), 45)
	assert.Equal(t, facts.CantTell, r.verdicts()["create"])
	assert.Zero(t, r.counted())
	assert.Contains(t, r.stdout.String(), " Requests that count toward the rate limit: 0.\n")
	assert.Regexp(t, `(?m)^create +can't tell +checked only with --write$`, r.table())
	assert.Regexp(t, `(?m)^token-of-a-session +can't tell +a step before it failed: the list has no such token; it has 10 in all$`, r.table())
	for _, secret := range r.private() {
		assert.NotContains(t, r.stdout.String(), secret)
	}
}

func TestWritesAndRevokesWhatItCreated(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	assert.Equal(t, 0, r.do(t, "--write", "--sudo", "--yes"))
	assert.Empty(t, r.with(facts.DoesNotHold))
	assert.Greater(t, len(r.with(facts.Holds)), 95)
	for _, id := range []string{"create", "create-json", "create-by-key", "revoke-bulk", "revoke-bulk-rest", "revoke-self",
		"revoke-self-purge", "others-revoke", "expired", "sudo-create", "wrong-password"} {
		assert.Equal(t, facts.Holds, r.verdicts()[id], id)
	}
	for _, token := range r.srv.Tokens() {
		assert.True(t, token.DeletedAt.IsZero() || strings.HasPrefix(token.Name, "verify-api "), "%s was not its own", token.Name)
	}
	assert.Empty(t, r.live())
	assert.LessOrEqual(t, r.counted(), 40)
	assert.Contains(t, r.stdout.String(), `"name":["verify-api `)
	for _, secret := range r.private() {
		assert.NotContains(t, r.stdout.String(), secret)
	}
}

// codes types one-time passwords, each of which works once.
type codes struct {
	srv    *fastlytest.Server
	secret string
	passed time.Duration
	typed  int
}

func (c *codes) Read(p []byte) (int, error) {
	c.srv.Advance(30 * time.Second)
	c.passed += 30 * time.Second
	c.typed++
	return copy(p, fastlytest.TOTP(c.secret, noon.Add(c.passed))+"\n"), nil
}

func TestAsksForACodeForEachLogin(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	user := r.srv.AddUser(fastlytest.User{Superuser: true, TOTPSecret: "GEZDGNBVGY3TQOJQ"})
	key := r.srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
	r.env["FASTLY_API_TOKEN"] = key.AccessToken.Reveal()
	r.env["FASTLY_USERNAME"] = user.Login
	r.env["FASTLY_PASSWORD_FILE"] = file(t, user.Password)
	typist := &codes{srv: r.srv, secret: user.TOTPSecret}
	r.app.stdin = bufio.NewReader(typist)
	r.app.wait = func(_ context.Context, d time.Duration) error {
		r.srv.Advance(d)
		typist.passed += d
		return nil
	}
	r.do(t, "--write", "--sudo", "--yes")
	assert.Empty(t, r.with(facts.DoesNotHold))
	for _, id := range []string{"two-factor", "two-factor-code", "create-json", "create-basic", "sudo-create", "wrong-code"} {
		assert.Equal(t, facts.Holds, r.verdicts()[id], id)
	}
	assert.Empty(t, r.live())
	used := map[string]bool{}
	for _, req := range r.srv.Requests() {
		if code := req.Header.Get("Fastly-OTP"); code != "" {
			assert.False(t, used[code], "a code was sent twice")
			used[code] = true
		}
	}
	assert.Len(t, used, typist.typed+1) // and the wrong one
}

func TestCodeOfAFileIsUsedOnce(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	user := r.srv.AddUser(fastlytest.User{Superuser: true, OTP: "314159"})
	r.env["FASTLY_API_TOKEN"] = r.srv.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal()
	r.env["FASTLY_USERNAME"] = user.Login
	r.env["FASTLY_PASSWORD_FILE"] = file(t, user.Password)
	r.env["FASTLY_OTP_FILE"] = file(t, user.OTP)
	assert.Equal(t, 0, r.do(t, "--write", "--yes"))
	assert.Equal(t, facts.Holds, r.verdicts()["create"])
	assert.Equal(t, facts.CantTell, r.verdicts()["create-json"])
	assert.NotContains(t, r.stdout.String(), "314159")
}

// elsewhere makes the run reach the server under another name, over TLS.
func elsewhere(t *testing.T, r *run) {
	t.Helper()
	target, err := url.Parse(r.srv.URL)
	require.NoError(t, err)
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }})
	t.Cleanup(front.Close)
	transport := front.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, front.Listener.Addr().String())
	}
	transport.TLSClientConfig.ServerName = "example.com"
	transport.TLSClientConfig.MinVersion = tls.VersionTLS12
	t.Cleanup(transport.CloseIdleConnections)
	r.app.transport = transport
	r.env["FASTLY_API_URL"] = "https://example.com"
}

// form returns the fields of a form or of JSON.
func form(req fastlytest.Request) url.Values {
	values, _ := url.ParseQuery(string(req.Body))
	var object map[string]any
	if json.Unmarshal(req.Body, &object) == nil {
		values = url.Values{}
		for name, value := range object {
			values.Set(name, strings.Trim(fmt.Sprint(value), "[]"))
		}
	}
	return values
}

func TestNothingHarmfulIsSentToAnotherHost(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	elsewhere(t, r)
	user := r.srv.User()
	start := time.Now()
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Login+":"+user.Password))
	assert.Equal(t, 0, r.do(t, "--write", "--yes"))
	assert.Empty(t, r.with(facts.DoesNotHold))
	for _, id := range []string{"create-json", "revoke-bulk-rest", "revoke-self-purge", "others-revoke", "others-bulk"} {
		assert.Equal(t, facts.Holds, r.verdicts()[id], id)
	}
	creates := 0
	for _, req := range r.srv.Requests() {
		fields := form(req)
		assert.NotEqual(t, "/sudo", req.Path)
		assert.NotEqual(t, http.StatusTooManyRequests, req.Status)
		assert.Contains(t, []string{"", user.Login}, fields.Get("username"))
		assert.Contains(t, []string{"", user.Password}, fields.Get("password"))
		assert.Contains(t, []string{"", "Basic Og==", pair}, req.Header.Get("Authorization"))
		assert.Empty(t, req.Header.Get("Fastly-OTP"))
		if req.Method != http.MethodPost {
			continue
		}
		creates++
		ends, err := time.Parse(time.RFC3339, fields.Get("expires_at"))
		assert.NoError(t, err)
		// The server's clock stands still, the run's does not.
		assert.LessOrEqual(t, ends.Sub(req.Time), 10*time.Minute+time.Since(start))
		assert.Regexp(t, `^(purge_select|purge_all purge_select|global:read)$`, fields.Get("scope")+fields.Get("scopes"))
		assert.Empty(t, req.Query)
	}
	assert.Greater(t, creates, 10)
	assert.LessOrEqual(t, r.counted(), 40)
	assert.Empty(t, r.live())
	for _, g := range facts.Groups() {
		for _, f := range g.Facts {
			if f.Effect == facts.Harms {
				assert.Equal(t, facts.CantTell, r.verdicts()[f.ID], f.ID)
			}
		}
	}
}

func TestSudoGetsThePasswordOnlyIfTold(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	elsewhere(t, r)
	r.do(t, "--write", "--sudo", "--yes")
	assert.Equal(t, facts.Holds, r.verdicts()["sudo-create"])
	assert.Empty(t, r.with(facts.DoesNotHold))
	for _, req := range r.srv.Requests() {
		if req.Path == "/sudo" {
			assert.Equal(t, r.srv.User().Password, form(req).Get("password"))
		}
	}
	assert.LessOrEqual(t, r.counted(), 40)
	assert.Empty(t, r.live())
}

// altered puts a server in front that changes responses.
func altered(t *testing.T, r *run, change func(*http.Response, []byte) []byte) {
	t.Helper()
	target, err := url.Parse(r.srv.URL)
	require.NoError(t, err)
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(resp *http.Response) error {
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			resp.Body = io.NopCloser(bytes.NewReader(change(resp, body)))
			return nil
		},
	})
	t.Cleanup(front.Close)
	r.env["FASTLY_API_URL"] = front.URL
}

func TestFindsEachBrokenFact(t *testing.T) {
	t.Parallel()
	replace := func(path, old, text string) func(*http.Response, []byte) []byte {
		return func(resp *http.Response, body []byte) []byte {
			if resp.Request.URL.Path != path {
				return body
			}
			return bytes.ReplaceAll(body, []byte(old), []byte(text))
		}
	}
	turn := func(method string, from, to int) func(*http.Response, []byte) []byte {
		return func(resp *http.Response, body []byte) []byte {
			if resp.Request.Method == method && resp.StatusCode == from {
				resp.StatusCode = to
			}
			return body
		}
	}
	for id, change := range map[string]func(*http.Response, []byte) []byte{
		"list-unpaginated": func(resp *http.Response, body []byte) []byte {
			resp.Header.Set("Link", `</tokens?page=2>; rel="next"`)
			return body
		},
		"list-no-secrets":      replace("/tokens", `"ip":`, `"access_token":"secret","ip":`),
		"token-scopes":         replace("/tokens", `"scope":"global"`, `"scope":"root"`),
		"token-times":          replace("/tokens", `Z","expires_at"`, `","expires_at"`),
		"current-user":         replace("/current_user", `"role"`, `"roles"`),
		"header-cache-control": func(resp *http.Response, body []byte) []byte { resp.Header.Del("Cache-Control"); return body },
		"wrong-key":            turn("GET", 401, 403),
		"create-access-token":  replace("/tokens", `"access_token":"`, `"access_token":"long`),
		"revoke":               turn("DELETE", 204, 200),
		"revoke-bulk-none":     turn("DELETE", 404, 204),
		"revoke-self-purge":    turn("DELETE", 403, 204),
		"create-by-key":        replace("/tokens", "You must POST /sudo", "You must not"),
		"create-json": func(resp *http.Response, body []byte) []byte {
			if strings.HasPrefix(resp.Request.Header.Get("Content-Type"), "application/json") {
				resp.StatusCode = 415
			}
			return body
		},
		"wrong-password": replace("/tokens", "invalid_grant", "invalid_login"),
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			r := newRun(t)
			altered(t, r, change)
			assert.Equal(t, 1, r.do(t, "--write", "--yes"))
			assert.Equal(t, facts.DoesNotHold, r.verdicts()[id])
			for _, secret := range r.private() {
				assert.NotContains(t, r.stdout.String(), secret)
			}
		})
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	stop := func(t *testing.T, prepare func(*run), reason string, opts ...fastlytest.Option) *run {
		r := newRun(t, opts...)
		elsewhere(t, r)
		prepare(r)
		assert.Equal(t, 1, r.do(t, "--write", "--yes"))
		assert.Empty(t, r.with(facts.DoesNotHold))
		assert.Contains(t, r.table(), reason)
		assert.Empty(t, r.live())
		return r
	}
	t.Run("at a wrong password", func(t *testing.T) {
		t.Parallel()
		r := stop(t, func(r *run) { r.env["FASTLY_PASSWORD_FILE"] = file(t, "of another") }, "stopped: the login was refused with invalid_grant")
		assert.Equal(t, 1, r.counted())
	})
	t.Run("at a locked user", func(t *testing.T) {
		t.Parallel()
		r := stop(t, func(r *run) {
			u := r.srv.AddUser(fastlytest.User{Locked: true})
			r.env["FASTLY_API_TOKEN"] = r.srv.AddToken(u.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal()
			r.env["FASTLY_USERNAME"], r.env["FASTLY_PASSWORD_FILE"] = u.Login, file(t, u.Password)
		}, "stopped: the login was refused with account_locked")
		assert.Equal(t, 1, r.counted())
	})
	t.Run("at a 429", func(t *testing.T) {
		t.Parallel()
		r := stop(t, func(r *run) {
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 429, Method: "GET", Path: "/current_user"})
		}, "stopped: the API sent a 429")
		assert.Zero(t, r.counted())
	})
	t.Run("with under 100 requests left", func(t *testing.T) {
		t.Parallel()
		r := stop(t, func(*run) {}, "stopped: fewer than 100 requests are left in this hour", fastlytest.WithRateLimit(105))
		assert.Less(t, r.counted(), 20)
	})
	t.Run("at a wrong code", func(t *testing.T) {
		t.Parallel()
		stop(t, func(r *run) {
			u := r.srv.AddUser(fastlytest.User{OTP: "314159"})
			r.env["FASTLY_API_TOKEN"] = r.srv.AddToken(u.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal()
			r.env["FASTLY_USERNAME"], r.env["FASTLY_PASSWORD_FILE"] = u.Login, file(t, u.Password)
			r.env["FASTLY_OTP_FILE"] = file(t, "271828")
		}, "stopped: the login was refused with 2fa.verify")
	})
}

func TestInterruptRevokesTheTokens(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.app.wait = func(ctx context.Context, _ time.Duration) error {
		assert.NotEmpty(t, r.live())
		cancel()
		return ctx.Err()
	}
	assert.Equal(t, 1, r.app.run(ctx, []string{"--write", "--yes"}))
	assert.Equal(t, facts.CantTell, r.verdicts()["default-scope"])
	assert.Empty(t, r.live())
}

func TestPanicRevokesTheTokens(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.app.wait = func(context.Context, time.Duration) error { panic("broken") }
	assert.Panics(t, func() { r.app.run(t.Context(), []string{"--write", "--yes"}) })
	assert.Empty(t, r.live())
}

func TestNamesTheTokensThatAreLeft(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 500, Method: "DELETE", Times: -1})
	assert.Equal(t, 1, r.do(t, "--write", "--yes"))
	require.NotEmpty(t, r.live())
	for _, name := range r.live() {
		assert.Contains(t, r.stderr.String(), fmt.Sprintf("%q", name))
	}
	assert.LessOrEqual(t, r.counted(), 40)
}

func TestTokenWhoseResponseIsLostIsRevoked(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST", Path: "/tokens"})
	assert.Equal(t, 1, r.do(t, "--write", "--yes"))
	assert.Empty(t, r.live())
	assert.Contains(t, r.stderr.String(), "may be left")
}

func TestAsksBeforeItBegins(t *testing.T) {
	t.Parallel()
	for answer, code := range map[string]int{"yes\n": 0, "no\n": 2, "y\n": 2, "": 2} {
		r := newRun(t)
		r.app.stdin = bufio.NewReader(strings.NewReader(answer))
		assert.Equal(t, code, r.do(t), "%q", answer)
		assert.Equal(t, code == 0, len(r.srv.Requests()) > 0, "%q", answer)
	}
}

func TestRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*run){
		"plain http":       func(r *run) { r.env["FASTLY_API_URL"] = "http://example.com" },
		"a password":       func(r *run) { r.env["FASTLY_API_URL"] = "https://user:hunter2hunter2@example.com" },
		"no URL":           func(r *run) { r.env["FASTLY_API_URL"] = "hunter2hunter2" },
		"no key":           func(r *run) { r.env["FASTLY_API_TOKEN"] = "" },
		"no user":          func(r *run) { r.env["FASTLY_USERNAME"] = "" },
		"no password file": func(r *run) { r.env["FASTLY_PASSWORD_FILE"] = "hunter2hunter2" },
	} {
		r := newRun(t)
		change(r)
		assert.Equal(t, 2, r.do(t, "--write", "--yes"), name)
		assert.NotContains(t, r.stderr.String(), "hunter2", name)
		assert.Empty(t, r.srv.Requests(), name)
	}
}

func TestFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	other := newRun(t)
	r := newRun(t)
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Redirect, Location: other.srv.URL + "/tokens", Times: -1})
	r.do(t, "--yes")
	assert.Empty(t, other.srv.Requests())
}

func TestCreatesNothingThatTheKeyCannotRevoke(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*run){
		"scope": func(r *run) {
			r.env["FASTLY_API_TOKEN"] = r.srv.AddToken(r.srv.User().ID, fastly.TokenCreatedResponse{
				TokenResponse: fastly.TokenResponse{Scopes: fastly.Scopes{fastly.ScopeGlobalRead}},
			}).AccessToken.Reveal()
		},
		"user": func(r *run) {
			r.env["FASTLY_API_TOKEN"] = r.srv.AddToken(r.srv.AddUser(fastlytest.User{}).ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal()
		},
	} {
		r := newRun(t)
		change(r)
		assert.Equal(t, 1, r.do(t, "--write", "--yes"), name)
		assert.Contains(t, r.stderr.String(), "Nothing is created", name)
		assert.Zero(t, r.counted(), name)
		assert.Equal(t, facts.Holds, r.verdicts()["self"], name)
	}
}

func TestWrongPasswordIsSentOnceWhateverTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	elsewhere(t, r)
	r.env["FASTLY_PASSWORD_FILE"] = file(t, "of another")
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 403, Method: "POST", Body: `{"msg":"no"}`, Times: -1})
	r.do(t, "--write", "--sudo", "--yes")
	sent := 0
	for _, req := range r.srv.Requests() {
		if strings.Contains(string(req.Body), "another") || req.Header.Get("Authorization") != "" && req.Header.Get("Authorization") != "Basic Og==" {
			sent++
		}
	}
	assert.Equal(t, 1, sent)
}
