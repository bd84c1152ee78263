// Package examples_test runs the examples as processes, in the environment that
// "fastly-token serve" gives to a command.
package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

const service = "SU1Z0isxPaozGVKXdv0eY"

var programs string // the directory with the examples, built

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "examples-*"); err != nil {
		panic(err)
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-ldflags=-s -w", "-o", programs+string(filepath.Separator), "./...")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(programs); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

// account is an API and the directory of a program that uses it.
type account struct {
	*fastlytest.Server
	dir string
}

func newAccount(t *testing.T) *account {
	a := &account{fastlytest.NewServer(), t.TempDir()}
	t.Cleanup(a.Close)
	return a
}

// file writes a file and returns its path.
func (a *account) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (a *account) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(a.dir, name))
	require.NoError(t, err)
	return string(content)
}

func (a *account) environ(t *testing.T) []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "FASTLY_") })
	return append(env, "FASTLY_API_URL="+a.URL, "FASTLY_API_TOKEN="+a.Key().Reveal(), "FASTLY_SERVICE_ID="+service,
		"FASTLY_USERNAME="+a.User().Login, "FASTLY_PASSWORD_FILE="+a.file(t, "password", a.User().Password+"\n"))
}

// process is a program and its output.
type process struct {
	*exec.Cmd
	out, err bytes.Buffer
}

func (a *account) command(t *testing.T, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, filepath.Join(programs, name), args...)} // #nosec G204 -- what was built
	p.Stdout, p.Stderr, p.Dir, p.Env = &p.out, &p.err, a.dir, a.environ(t)
	return p
}

// set sets a variable; later entries go before earlier ones.
func (p *process) set(variables ...string) *process {
	p.Env = append(p.Env, variables...)
	return p
}

// end waits for the process and returns its exit code. It must not have shown a secret.
func (p *process) end(t *testing.T, a *account) int {
	t.Helper()
	err := p.Wait()
	require.NotNil(t, p.ProcessState, "wait: %v", err)
	for _, token := range a.Tokens() {
		assert.NotContains(t, p.out.String()+p.err.String(), token.AccessToken.Reveal(), "the access token of %q", token.Name)
	}
	assert.NotContains(t, p.out.String()+p.err.String(), a.User().Password)
	return p.ProcessState.ExitCode()
}

// run runs the process to its end.
func (p *process) run(t *testing.T, a *account) int {
	t.Helper()
	require.NoError(t, p.Start())
	return p.end(t, a)
}

// made returns the tokens that a program made.
func (a *account) made() []fastly.TokenCreatedResponse { return a.Tokens()[1:] }

func TestExamplesAreShortAndNeedNoOtherModule(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*/*")
	require.NoError(t, err)
	assert.Len(t, paths, 6)
	for _, path := range paths {
		assert.Equal(t, "main.go", filepath.Base(path))
		text, err := os.ReadFile(path) // #nosec G304 -- of this repository
		require.NoError(t, err)
		limit := 100
		if filepath.Dir(path) == "quickstart" {
			limit = 250
		}
		assert.Less(t, strings.Count(string(text), "\n"), limit, path)
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			first, rest, _ := strings.Cut(name, "/")
			assert.NotContains(t, rest, "internal", path)
			if strings.Contains(first, ".") {
				assert.True(t, strings.HasPrefix(name+"/", "github.com/fastly-tokens/fastly/"), "%s imports %s", path, name)
			}
		}
	}
}

func TestWithoutCredentialsTheVariableIsNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		program, variable string
		args              []string
	}{
		{"expiring", "FASTLY_API_TOKEN", nil},
		{"rotate", "FASTLY_API_TOKEN", []string{"-out", "token"}},
		{"ci-token", "FASTLY_API_TOKEN", []string{"true"}},
		{"rotate", "FASTLY_USERNAME", []string{"-out", "token"}},
		{"rotate", "FASTLY_PASSWORD_FILE", []string{"-out", "token"}},
		{"ci-token", "FASTLY_USERNAME", []string{"true"}},
		{"ci-token", "FASTLY_PASSWORD_FILE", []string{"true"}},
		{"login", "FASTLY_USERNAME", []string{"-out", "token"}},
		{"login", "FASTLY_PASSWORD_FILE", []string{"-out", "token"}},
		{"purge", "FASTLY_SERVICE_ID", nil},
	} {
		a := newAccount(t)
		if test.program == "rotate" {
			test.args = append(test.args, "-id", a.Tokens()[0].ID)
		}
		p := a.command(t, test.program, test.args...).set(test.variable + "=")
		assert.Equal(t, 1, p.run(t, a), "%v", test)
		assert.Contains(t, p.err.String(), test.variable)
		assert.Empty(t, p.out.String())
		assert.Empty(t, a.made())
		assert.NoFileExists(t, filepath.Join(a.dir, "token"))
	}
}

func TestLoginKeepsTheAccessToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.command(t, "login", "-out", "token", "-scope", "purge_all", "-lifetime", "1h").set("FASTLY_API_TOKEN=")
	require.Equal(t, 0, p.run(t, a), p.err.String())
	assert.Equal(t, a.made()[0].AccessToken.Reveal(), a.read(t, "token"))
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll}, a.made()[0].Scopes)
	assert.WithinDuration(t, time.Now().Add(time.Hour), a.made()[0].ExpiresAt, time.Minute)
	assert.Contains(t, p.out.String(), a.made()[0].ID)
}

func TestLoginWithAOneTimePassword(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := a.AddUser(fastlytest.User{OTP: "314159"})
	p := a.command(t, "login", "-out", "token")
	p.set("FASTLY_USERNAME="+ada.Login, "FASTLY_PASSWORD_FILE="+a.file(t, "hers", ada.Password), "FASTLY_OTP_FILE="+a.file(t, "code", ada.OTP+"\n"))
	assert.Equal(t, 0, p.run(t, a), p.err.String())
	assert.Equal(t, ada.ID, a.made()[0].UserID)
}

func TestLoginKeepsATokenThatComesWithAnError(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Inject(fastlytest.Fault{Kind: fastlytest.CutMiddle, Method: http.MethodPost, Keep: 1 << 10})
	p := a.command(t, "login", "-out", "token")
	code := p.run(t, a)
	assert.Equal(t, a.made()[0].AccessToken.Reveal(), a.read(t, "token"), "exit code %d: %s", code, p.err.String())
}

func TestLoginOfUnknownOutcomeNamesTheToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodPost})
	p := a.command(t, "login", "-out", "token")
	assert.Equal(t, 1, p.run(t, a))
	assert.Contains(t, p.err.String(), a.made()[0].Name)
	assert.NoFileExists(t, filepath.Join(a.dir, "token"))
}

func TestLoginNeedsAPlaceForTheToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.file(t, "there", "")
	for _, args := range [][]string{nil, {"-out", "there"}, {"-out", filepath.Join("there", "token")}, {"-out", filepath.Join("no", "token")}} {
		p := a.command(t, "login", args...)
		assert.Equal(t, 1, p.run(t, a))
		assert.Contains(t, p.err.String(), "-out")
	}
	assert.Empty(t, a.Requests())
}

func TestAnEmptyFlagMakesNoWiderToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for _, args := range [][]string{
		{"login", "-out", "token", "-scope", ""}, {"login", "-out", "token", "-scope", " , "}, {"login", "-out", "token", "-lifetime", "0"},
		{"ci-token", "-scope", "", "go", "version"}, {"ci-token", "-service", "", "go", "version"},
	} {
		p := a.command(t, args[0], args[1:]...)
		assert.Equal(t, 1, p.run(t, a), "%v", args)
		assert.Contains(t, p.err.String(), "-scope")
	}
	assert.Empty(t, a.Requests())
}

func TestExpiringListsTokensAndFails(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for name, days := range map[string]int{"a\x1b[2J": 1, "later": 8, "much later": 20} {
		a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: name, ExpiresAt: time.Now().AddDate(0, 0, days)}})
	}
	p := a.command(t, "expiring", "-days", "14")
	assert.Equal(t, 4, p.run(t, a), p.err.String())
	assert.Regexp(t, `^\S+  "\w+"  "a\\x1b\[2J"  "global"\n\S+  "\w+"  "later"  "global"\n$`, p.out.String())

	p = a.command(t, "expiring", "-days", "0")
	assert.Equal(t, 0, p.run(t, a), p.err.String())
	assert.Equal(t, "No token expires within 0 days.\n", p.out.String())

	p = a.command(t, "expiring").set("FASTLY_API_TOKEN=wrong")
	assert.Equal(t, 1, p.run(t, a), "that is no finding")
	assert.Contains(t, p.err.String(), "401")

	a.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Method: http.MethodGet, Times: -1,
		Body: `[{"id":"read","name":"first","scope":"global","expires_at":"2026-01-02T02:04:05Z"},{"id":"unread","expires_at":"soon"}]`})
	p = a.command(t, "expiring")
	assert.Equal(t, 1, p.run(t, a), "that is not all")
	assert.Contains(t, p.out.String(), `"read"  "first"`)
	assert.Contains(t, p.err.String(), "expiring: ")
}

// assertRotated checks that the file has a new token that works, and that the old
// one is revoked.
func assertRotated(t *testing.T, a *account, oldID string) {
	t.Helper()
	created := a.made()[len(a.made())-1]
	assert.Equal(t, created.AccessToken.Reveal(), a.read(t, "token"))
	assert.True(t, created.DeletedAt.IsZero(), "the new token is revoked")
	old, _ := a.Token(oldID)
	assert.False(t, old.DeletedAt.IsZero(), "the old token is left")
	assert.Equal(t, old.Scopes, created.Scopes)
	assert.Equal(t, old.Services, created.Services)
}

func TestRotateReplacesTheToken(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	old := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "purger", Scopes: fastly.Scopes{fastly.ScopePurgeSelect}, Services: []string{service}, ExpiresAt: time.Now().AddDate(0, 0, 30),
	}})
	p := a.command(t, "rotate", "-id", old.ID, "-out", "token", "-grace", "1ms")
	require.Equal(t, 0, p.run(t, a), p.err.String())
	assertRotated(t, a, old.ID)
	assert.Contains(t, p.out.String(), "replaces token "+strconv.Quote(old.ID))
}

func TestRotateIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	old := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: fastly.Scopes{fastly.ScopePurgeAll}}})
	a.file(t, "token", old.AccessToken.Reveal())
	a.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Times: -1})
	p := a.command(t, "rotate", "-out", "token")
	assert.Equal(t, 1, p.run(t, a))
	assert.Contains(t, p.err.String(), old.ID, "what is left")

	a.ClearFaults()
	p = a.command(t, "rotate", "-out", "token")
	require.Equal(t, 0, p.run(t, a), p.err.String())
	assertRotated(t, a, old.ID)
}

// The file is for others to read, so it must not get the rights of the key that rotates.
func TestRotateNeverReplacesTheTokenOfItsOwnKey(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	expired := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: time.Now().Add(-time.Hour)}})
	for _, content := range []string{"", "no access token", expired.AccessToken.Reveal()} {
		if content != "" {
			a.file(t, "token", content)
		}
		p := a.command(t, "rotate", "-out", "token")
		assert.Equal(t, 1, p.run(t, a), "%q", content)
		assert.Contains(t, p.err.String(), "-id")
	}
	assert.Len(t, a.Tokens(), 2, "nothing is created")
	assert.True(t, a.Tokens()[0].DeletedAt.IsZero(), "the token of the key is revoked")
}

// TestPurgeFollowsARotation has an API that purges, which the server is not.
func TestPurgeFollowsARotation(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	var got []string
	purges := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Surrogate-Key")+" "+r.Header.Get("Fastly-Key"))
		if r.Header.Get("Fastly-Key") == "expired" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte("{\"status\":\"\x1b[2J\"}"))
	}))
	t.Cleanup(purges.Close)
	for key, code := range map[string]int{"first": 0, "expired": 1} {
		p := a.command(t, "purge", "article-42", "menu").set("FASTLY_API_URL="+purges.URL, "FASTLY_API_TOKEN_FILE="+a.file(t, "key", key+"\n"))
		assert.Equal(t, code, p.run(t, a), p.err.String())
		assert.Contains(t, got, "POST /service/"+service+"/purge article-42 menu "+key)
		assert.NotContains(t, p.err.String(), "\x1b")
		assert.Equal(t, code == 1, strings.Contains(p.err.String(), "401"), p.err.String())
	}
}

func TestPurgeShowsWhatItsTokenMayDo(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	for scope, want := range map[fastly.Scope]string{fastly.ScopePurgeSelect: ": true\n", fastly.ScopeGlobalRead: ": false\n"} {
		token := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: fastly.Scopes{scope}}})
		p := a.command(t, "purge").set("FASTLY_API_TOKEN=" + token.AccessToken.Reveal())
		assert.Equal(t, 0, p.run(t, a), p.err.String())
		assert.Contains(t, p.out.String(), want)
	}
	p := a.command(t, "purge", "article-42")
	assert.Equal(t, 1, p.run(t, a), "there is nothing to purge")
	assert.Contains(t, p.err.String(), "404")
}
