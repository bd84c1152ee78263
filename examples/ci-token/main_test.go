//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) {
	demotest.Main(m)
}

// ci is a server and a world around it.
type ci struct {
	*fastlytest.Server
	t       *testing.T
	signals chan os.Signal
	world   world
	stdout  lockedBuffer
	stderr  lockedBuffer
}

func newCI(t *testing.T) *ci {
	t.Helper()
	c := &ci{Server: fastlytest.NewServer(), t: t, signals: make(chan os.Signal, 4)}
	t.Cleanup(c.Close)
	c.world = world{
		connect:     demo.To(c.Server, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond})),
		credentials: true,
		environ:     append(os.Environ(), "FASTLY_API_TOKEN="+c.Key().Reveal()),
		stdin:       strings.NewReader(""),
		stdout:      &c.stdout,
		stderr:      &c.stderr,
		signals:     c.signals,
		atTerminal:  func() bool { return false },
		pause:       time.Millisecond,
	}
	return c
}

// run runs the program, whose own output must never hold a secret.
func (c *ci) run(args ...string) int {
	c.t.Helper()
	code := run(args, c.world)
	for _, token := range c.Tokens() {
		assert.NotContains(c.t, c.stderr.String(), token.AccessToken.Reveal(), "a token was printed")
	}
	return code
}

// made are the tokens beside the parent's.
func (c *ci) made() []fastly.TokenCreatedResponse { return c.Tokens()[1:] }

// assertRevoked wants one token to have been made, and to be revoked.
func (c *ci) assertRevoked() {
	c.t.Helper()
	if assert.Len(c.t, c.made(), 1) {
		assert.NotZero(c.t, c.made()[0].DeletedAt, "the token is still alive; output:\n%s", c.stderr.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waitFor waits until the buffer holds the text.
func (l *lockedBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	assert.Eventually(t, func() bool { return strings.Contains(l.String(), text) }, 10*time.Second, 2*time.Millisecond, "never printed: %s", text)
}

func TestCommandGetsAShortLivedTokenInsteadOfTheParents(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	parent := c.Key().Reveal()
	c.world.environ = append(c.world.environ, "FASTLY_API_KEY="+parent, "OTHER_TOOL=https://x:"+parent+"@example.com", "KEPT=yes")
	before := time.Now()

	code := c.run("-service", demo.ServiceWWW, "-service", demo.ServiceShop, "-scope", "purge_select,purge_all", "-ttl", "10m", "-name", "deploy", "--", "env")

	require.Equal(t, 0, code, c.stderr.String())
	c.assertRevoked()
	token := c.made()[0]
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeSelect, fastly.ScopePurgeAll}, token.Scopes)
	assert.Equal(t, []string{demo.ServiceWWW, demo.ServiceShop}, token.Services)
	assert.WithinDuration(t, before.Add(10*time.Minute), token.ExpiresAt, 30*time.Second)
	assert.True(t, strings.HasPrefix(token.Name, "deploy "), token.Name)

	lines := strings.Split(c.stdout.String(), "\n")
	assert.Contains(t, lines, "FASTLY_API_TOKEN="+token.AccessToken.Reveal())
	assert.Contains(t, lines, "KEPT=yes")
	assert.NotContains(t, c.stdout.String(), parent, "the parent token went to the command")
	assert.NotContains(t, c.stdout.String(), "FASTLY_API_KEY")
	assert.Contains(t, c.stderr.String(), "OTHER_TOOL", "leaving out a variable should be said")
}

func TestTokenGoesToTheVariableAskedFor(t *testing.T) {
	t.Parallel()
	c := newCI(t)

	require.Equal(t, 0, c.run("-env", "PURGE_KEY", "env"), c.stderr.String())

	assert.Contains(t, c.stdout.String(), "PURGE_KEY="+c.made()[0].AccessToken.Reveal())
	assert.NotContains(t, c.stdout.String(), "FASTLY_API_TOKEN")
	c.assertRevoked()
}

func TestCommandTalksThroughTheStandardStreams(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.world.stdin = strings.NewReader("hello")

	require.Equal(t, 0, c.run("--", "sh", "-c", "cat; echo oops >&2"))

	assert.Equal(t, "hello", c.stdout.String())
	assert.Contains(t, c.stderr.String(), "oops\n")
}

func TestExitCodeIsTheCommands(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]int{
		"exit 0":        0,
		"exit 7":        7,
		"kill -KILL $$": 137,
		"kill -TERM $$": 143,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			c := newCI(t)
			assert.Equal(t, want, c.run("--", "sh", "-c", command), c.stderr.String())
			c.assertRevoked()
		})
	}
}

func TestCommandThatCannotRunCostsNoToken(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, []byte("text"), 0o600))
	for command, want := range map[string]int{
		"no-such-command-anywhere": exitNotFound,
		"/no/such/file":            exitNotFound,
		plain:                      exitNotExecutable,
		filepath.Dir(plain):        exitNotExecutable,
	} {
		c := newCI(t)
		assert.Equal(t, want, c.run("--", command), "%s: %s", command, c.stderr.String())
		assert.Empty(t, c.Requests(), "a token was asked for")
	}
}

func TestCommandThatFailsToStartLeavesNoToken(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o700)) // #nosec G306 -- it is to be executed
	c := newCI(t)

	assert.Equal(t, exitNotFound, c.run("--", script), c.stderr.String())
	c.assertRevoked()
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown flag":   {"-nonsense", "--", "true"},
		"no lifetime":    {"-ttl", "0", "--", "true"},
		"bad variable":   {"-env", "A=B", "--", "true"},
		"empty variable": {"-env", "", "--", "true"},
		"bad service":    {"-service", "not an ID", "--", "true"},
		"empty scope":    {"-scope", "", "--", "true"},
		"blank scope":    {"-scope", "purge_all", "-scope", " , ", "--", "true"},
		"not a scope":    {"-scope", "a;b", "--", "true"},
	} {
		c := newCI(t)
		assert.Equal(t, exitFailed, c.run(args...), name)
		assert.Equal(t, 1, strings.Count(c.stderr.String(), "\n"), "%s: want one line: %s", name, c.stderr.String())
		assert.Empty(t, c.Requests(), name)
	}
	c := newCI(t)
	assert.Equal(t, 0, c.run("-h"))
	demotest.AssertHelp(t, c.stdout.String(), "ci-token", "-scope scope")
	assert.Contains(t, c.stdout.String(), "(default 15m)")
	assert.Contains(t, c.stdout.String(), "only print which token the environment holds (try: ci-token -- ci-token -whoami)")
	assert.Empty(t, c.stderr.String())
}

func TestDemoServerIsTheCommandsToo(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.world.connect = demo.Client
	c.world.environ = append(c.world.environ, "FASTLY_API_URL=https://api.example.com")

	require.Equal(t, 0, c.run("-demo", "--", "env"), c.stderr.String())

	assert.Contains(t, c.stderr.String(), "embedded server")
	assert.Contains(t, c.stdout.String(), "FASTLY_API_URL=http://127.0.0.1:")
	assert.NotContains(t, c.stdout.String(), "api.example.com")
	assert.Equal(t, 1, strings.Count(c.stdout.String(), "FASTLY_API_TOKEN="))
	assert.NotContains(t, c.stdout.String(), c.Key().Reveal())
	assert.Empty(t, c.Requests())
}

func TestCommandIsWantedWithCredentials(t *testing.T) {
	t.Parallel()
	c := newCI(t)

	assert.Equal(t, exitFailed, c.run())

	assert.Equal(t, "ci-token: there is no command to run; -h shows the flags\n", c.stderr.String())
	assert.Empty(t, c.Requests())
}

func TestRevokeThatFailsIsSaid(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]int{"exit 0": exitFailed, "exit 7": 7} {
		c := newCI(t)
		c.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: "DELETE", Status: 403, Times: -1})

		assert.Equal(t, want, c.run("--", "sh", "-c", command))

		token := c.made()[0]
		assert.Contains(t, c.stderr.String(), "token "+token.ID+" was NOT revoked: it works until it expires, "+stamp(token.ExpiresAt))
	}
}

func TestRevokeSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "DELETE"})

	assert.Equal(t, 0, c.run("--", "true"), c.stderr.String())
	c.assertRevoked()
}

func TestTokenThatTheCommandRevokedIsNoFailure(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: "DELETE", Status: 404})

	assert.Equal(t, 0, c.run("--", "true"), c.stderr.String())
	assert.Contains(t, c.stderr.String(), "gone already")
}

func TestCreateThatMayHaveBeenCarriedOutLeavesNoToken(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"no answer":                  {Kind: fastlytest.CutAfter},
		"answer cut in the ID":       {Kind: fastlytest.CutMiddle, Keep: 3},
		"answer cut at its end":      {Kind: fastlytest.CutMiddle, Keep: 1 << 20},
		"answer cut in the middle":   {Kind: fastlytest.CutMiddle},
		"bad gateway":                {Kind: fastlytest.StatusAfter, Status: 502},
		"a page of a captive portal": {Kind: fastlytest.Garbage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCI(t)
			fault.Method = "POST"
			c.Inject(fault)
			ran := filepath.Join(t.TempDir(), "ran")

			assert.Equal(t, exitFailed, c.run("--", "touch", ran))

			c.assertRevoked()
			assert.NoFileExists(t, ran, "the command ran without a token")
		})
	}
}

func TestLostTokenThatCannotBeFoundIsSaid(t *testing.T) {
	t.Parallel()
	t.Run("it was never made", func(t *testing.T) {
		t.Parallel()
		c := newCI(t)
		c.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: "POST", Times: -1})

		assert.Equal(t, exitFailed, c.run("-name", "deploy", "--", "true"))

		assert.Empty(t, c.made())
		assert.Contains(t, c.stderr.String(), `no token named "deploy `)
	})
	t.Run("the list is refused", func(t *testing.T) {
		t.Parallel()
		c := newCI(t)
		c.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
		c.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: "GET", Status: 403})

		assert.Equal(t, exitFailed, c.run("--", "true"))

		assert.Contains(t, c.stderr.String(), `there may be a token named "`+c.made()[0].Name+`" that nobody holds; it expires `+stamp(c.made()[0].ExpiresAt))
	})
}

func TestCreateThatIsRefused(t *testing.T) {
	t.Parallel()
	c := newCI(t)

	assert.Equal(t, exitFailed, c.run("-scope", "everything", "--", "true"))

	assert.Contains(t, c.stderr.String(), `the API refuses the scope "everything" (400 invalid_scope): the scopes are global, purge_select, purge_all, global:read`)
	assert.NotContains(t, c.stderr.String(), "ScopeGlobal")
	assert.Empty(t, c.made())
}

func TestTokenThatIsMoreThanAskedForIsNotUsed(t *testing.T) {
	t.Parallel()
	expires := time.Now().Add(time.Minute)
	asked := &fastly.CreateTokenRequest{Scopes: fastly.Scopes{fastly.ScopePurgeSelect}, Services: []string{"A", "B"}, ExpiresAt: expires}
	for name, tc := range map[string]struct {
		change func(*fastly.TokenResponse)
		want   string
	}{
		"as asked":        {func(*fastly.TokenResponse) {}, ""},
		"fewer services":  {func(t *fastly.TokenResponse) { t.Services = []string{"B"} }, ""},
		"sooner":          {func(t *fastly.TokenResponse) { t.ExpiresAt = expires.Add(-time.Second) }, ""},
		"another scope":   {func(t *fastly.TokenResponse) { t.Scopes = fastly.Scopes{fastly.ScopeGlobal} }, "scope global"},
		"every service":   {func(t *fastly.TokenResponse) { t.Services = nil }, "every service"},
		"another service": {func(t *fastly.TokenResponse) { t.Services = []string{"A", "C"} }, "service C"},
		"for ever":        {func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} }, "never"},
		"longer":          {func(t *fastly.TokenResponse) { t.ExpiresAt = expires.Add(time.Hour) }, "expires"},
	} {
		got := &fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: asked.Scopes, Services: asked.Services, ExpiresAt: expires}}
		tc.change(&got.TokenResponse)
		if tc.want == "" {
			assert.Empty(t, excess(asked, got), name)
		} else {
			assert.Contains(t, excess(asked, got), tc.want, name)
		}
	}

	c := newCI(t)
	made := c.AddToken(c.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "too much"}})
	c.Inject(fastlytest.Fault{
		Kind: fastlytest.Status, Method: "POST", Status: 200,
		Body: `{"id":"` + made.ID + `","scope":"global","access_token":"` + made.AccessToken.Reveal() + `"}`,
	})
	ran := filepath.Join(t.TempDir(), "ran")
	assert.Equal(t, exitFailed, c.run("--", "touch", ran))
	c.assertRevoked()
	assert.NoFileExists(t, ran)
}

// waiting is a command that says when it is ready, and ends with 41 when it gets
// a signal.
const waiting = `trap "exit 41" INT TERM HUP; echo ready; while :; do sleep 0.02; done`

func TestSignalGoesToTheCommandAndTheTokenIsRevoked(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			c := newCI(t)
			go func() {
				c.stdout.waitFor(t, "ready")
				c.signals <- sig
			}()
			assert.Equal(t, 41, c.run("--", "sh", "-c", waiting), c.stderr.String())
			c.assertRevoked()
		})
	}
}

func TestInterruptKeyOfATerminalIsNotSentTwice(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.world.atTerminal = func() bool { return true }
	go func() {
		c.stdout.waitFor(t, "ready")
		c.signals <- syscall.SIGINT // the terminal has sent it to the command as well
		c.signals <- syscall.SIGTERM
	}()
	assert.Equal(t, 51, c.run("--", "sh", "-c", `trap "exit 50" INT; trap "exit 51" TERM; echo ready; while :; do sleep 0.02; done`), c.stderr.String())
	c.assertRevoked()
}

func TestSecondInterruptKeyIsSentOn(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.world.atTerminal = func() bool { return true }
	go func() {
		c.stdout.waitFor(t, "ready")
		c.signals <- syscall.SIGINT
		c.signals <- syscall.SIGINT
	}()
	assert.Equal(t, 41, c.run("--", "sh", "-c", waiting), c.stderr.String())
}

func TestSignalDuringTheCreateLeavesNoToken(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.Inject(fastlytest.Fault{Kind: fastlytest.StallAfter, Method: "POST"})
	ran := filepath.Join(t.TempDir(), "ran")
	go func() {
		assert.Eventually(t, func() bool { return len(c.made()) == 1 }, 10*time.Second, time.Millisecond)
		c.signals <- syscall.SIGTERM
	}()

	assert.Equal(t, 128+15, c.run("--", "touch", ran), c.stderr.String())

	c.assertRevoked()
	assert.NoFileExists(t, ran)
}

func TestDiskFullOrClosedLogIsNoReasonToKeepTheToken(t *testing.T) {
	t.Parallel()
	c := newCI(t)
	c.world.stderr = brokenWriter{}

	c.run("--", "true")

	c.assertRevoked()
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
