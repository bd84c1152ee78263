package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/internal/clock"
	"github.com/fastly-tokens/fastly/internal/secretfile"
)

func TestMain(m *testing.M) {
	clock.Lag = 20 * time.Millisecond
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "FASTLY_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(built.dir); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

// site is an API, and the environment of the program that uses it.
type site struct {
	*fastlytest.Server
	t     testing.TB
	dir   string // for files
	env   []string
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
	opts  []fastly.Option
	shown []string // secrets that the program was asked to show
}

// newSite starts an API. The program has its key, and no login.
func newSite(t testing.TB, opts ...fastlytest.Option) *site {
	t.Helper()
	srv := fastlytest.NewServer(opts...)
	t.Cleanup(srv.Close)
	s := &site{Server: srv, t: t, dir: t.TempDir(), now: time.Now}
	s.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	s.env = []string{"PATH=" + os.Getenv("PATH"), varURL + "=" + srv.URL, varToken + "=" + srv.Key().Reveal()}
	// Retries are not what is tested here, and waiting for them neither.
	s.opts = []fastly.Option{fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 2, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})}
	return s
}

// set sets a variable of the program's environment; "" unsets it.
func (s *site) set(name, value string) {
	s.env = slices.DeleteFunc(s.env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	if value != "" {
		s.env = append(s.env, name+"="+value)
	}
}

// logIn gives the program the login of the user.
func (s *site) logIn(u fastlytest.User) {
	s.set(varUsername, u.Login)
	s.set(varPassword, s.file("password", u.Password+"\n"))
}

// file writes a file and returns its path.
func (s *site) file(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(content), 0o600)) // #nosec G703 -- in a folder of its own
	return path
}

// outcome is how a run of the program ended.
type outcome struct {
	code     int
	out, err string
}

// run runs the program with no input.
func (s *site) run(args ...string) outcome {
	s.t.Helper()
	return s.runWith(&app{stdin: strings.NewReader("")}, args...)
}

// runWith runs the program in a, and checks what must hold for every run.
func (s *site) runWith(a *app, args ...string) outcome {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	a.environ, a.now = s.env, s.now
	a.sleep = s.sleep
	a.options = append(a.options, s.opts...)
	if a.stdout == nil {
		a.stdout = &stdout
	}
	if a.stderr == nil {
		a.stderr = &stderr
	}
	if a.exit == nil {
		a.exit = func(int) {}
	}
	if a.keysSignal == nil {
		a.keysSignal = func() bool { return false }
	}
	if a.readFile == nil {
		a.readFile = secretfile.ReadRegular
	}
	o := outcome{code: a.run(args), out: stdout.String(), err: stderr.String()}
	s.check(o, args)
	return o
}

// check looks for what no run may show.
func (s *site) check(o outcome, args []string) {
	s.t.Helper()
	for _, text := range []string{o.out, o.err} {
		for _, secret := range s.secrets() {
			assert.NotContains(s.t, text, secret, "a secret is shown by %v", args)
		}
		for _, word := range word.FindAllString(text, -1) {
			assert.NotEqual(s.t, "journal", word, "which is called the state file here, is shown by %v: %s", args, text)
			assert.False(s.t, goIdentifiers(s.t)[word], "%s, a name in Go, is shown by %v: %s", word, args, text)
		}
	}
	for line := range strings.Lines(o.err) {
		if strings.HasPrefix(args[0], "__") { // what a shell calls for completion
			break
		}
		if slices.Contains(args, "--verbose") && strings.HasPrefix(line, "time=") {
			continue
		}
		assert.True(s.t, strings.HasPrefix(line, "fastly-token: ") && strings.HasSuffix(line, "\n"), "not a line of the program's: %q", line)
	}
}

// secrets are the access tokens and passwords of the API, except those that the
// program was asked to show.
func (s *site) secrets() (secrets []string) {
	for _, token := range s.Tokens() {
		secrets = append(secrets, token.AccessToken.Reveal())
	}
	secrets = append(secrets, s.User().Password, ada.Password)
	return slices.DeleteFunc(secrets, func(secret string) bool { return slices.Contains(s.shown, secret) })
}

// sudo confirms the password of the key's user.
func sudo(s *site) {
	s.t.Helper()
	body := strings.NewReader(url.Values{"username": {s.User().Login}, "password": {s.User().Password}}.Encode())
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/sudo", body)
	require.NoError(s.t, err)
	req.Header.Set("Fastly-Key", s.Key().Reveal())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	require.NoError(s.t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	require.Equal(s.t, http.StatusOK, resp.StatusCode)
}

// made are the tokens that were not there at the start.
func (s *site) made() (tokens []fastly.TokenCreatedResponse) {
	for _, token := range s.Tokens()[1:] {
		if strings.Contains(token.Name, " [r-") {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// active are those of the tokens that work.
func active(tokens []fastly.TokenCreatedResponse) []fastly.TokenCreatedResponse {
	return slices.DeleteFunc(slices.Clone(tokens), func(t fastly.TokenCreatedResponse) bool { return !t.DeletedAt.IsZero() })
}

// ada is a user with two-factor authentication.
var ada = fastlytest.User{Login: "ada@example.com", Password: "a made-up password", OTP: "314159"}

var word = regexp.MustCompile(`[A-Za-z]\w*`)

// goIdentifiers are the exported names of the library that nobody would take for
// an English word.
var goIdentifiers = func() func(testing.TB) map[string]bool {
	var once sync.Once
	names := map[string]bool{}
	return func(t testing.TB) map[string]bool {
		once.Do(func() {
			for _, pattern := range []string{"../../*.go", "../../rotate/*.go"} {
				files, err := filepath.Glob(pattern)
				require.NoError(t, err)
				for _, path := range files {
					if strings.HasSuffix(path, "_test.go") {
						continue
					}
					file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
					require.NoError(t, err)
					ast.Inspect(file, func(n ast.Node) bool {
						if id, ok := n.(*ast.Ident); ok && twoHumps.MatchString(id.Name) {
							names[id.Name] = true
						}
						return true
					})
				}
			}
			require.Contains(t, names, "CreateTokenRequest")
			require.Contains(t, names, "AccessToken")
		})
		return names
	}
}()

var twoHumps = regexp.MustCompile(`^[A-Z]\w*[a-z]\w*[A-Z]|^[A-Z]{2,}[a-z]`)

// addTokens adds tokens of the user, and returns their IDs.
func (s *site) addTokens(n int) (ids []string) {
	for range n {
		ids = append(ids, s.AddToken(s.User().ID, fastly.TokenCreatedResponse{}).ID)
	}
	return ids
}
