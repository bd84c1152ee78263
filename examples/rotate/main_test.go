//go:build unix

package main

import (
	"bytes"
	"context"
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

// crashVar makes the test binary the program: one that kills itself at the point
// that the variable names.
const crashVar = "ROTATE_TEST_CRASH_AT"

func TestMain(m *testing.M) {
	if crash, ok := os.LookupEnv(crashVar); ok {
		os.Exit(rotate(context.Background(), os.Args[1:], world{
			connect: demo.Client, credentials: demo.HasCredentials(), key: fastly.Secret(os.Getenv("FASTLY_API_TOKEN")),
			environ: os.Environ(), cacheDir: os.UserCacheDir,
			stdout: os.Stdout, stderr: os.Stderr, pause: time.Millisecond,
			at: func(point string) {
				if point == crash {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
					select {}
				}
			},
		}))
	}
	demotest.Main(m)
}

// lifetime is that of most tests' old tokens.
const lifetime = 30 * 24 * time.Hour

// bench is a server with a token to rotate, and a place to put the new one.
type bench struct {
	*fastlytest.Server
	t      *testing.T
	old    fastly.TokenCreatedResponse
	dir    string // nothing but the token may stay here
	out    string
	state  string
	world  world
	ctx    context.Context
	stdout lockedBuffer
	stderr lockedBuffer
}

// newBench has a key of its own, and an old token beside it.
func newBench(t *testing.T) *bench {
	t.Helper()
	srv := fastlytest.NewServer()
	t.Cleanup(srv.Close)
	now := srv.Tokens()[0].CreatedAt
	old := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name:      "deploy",
		Scopes:    fastly.Scopes{fastly.ScopePurgeSelect, fastly.ScopeGlobal},
		Services:  []string{demo.ServiceWWW, demo.ServiceShop},
		CreatedAt: now.Add(-time.Hour),
		ExpiresAt: now.Add(-time.Hour).Add(lifetime),
	}})
	b := &bench{Server: srv, t: t, old: old, dir: t.TempDir(), ctx: t.Context()}
	b.out, b.state = filepath.Join(b.dir, "token"), filepath.Join(b.dir, ".token.rotate")
	b.world = world{
		credentials: true,
		environ:     os.Environ(),
		cacheDir:    func() (string, error) { return b.dir, nil },
		stdout:      &b.stdout, stderr: &b.stderr,
		pause: time.Millisecond,
		at:    func(string) {},
	}
	b.use(srv.Key())
	return b
}

// use makes the program run with a key.
func (b *bench) use(key fastly.Secret) {
	b.world.key = key
	b.world.connect = func(demoToo bool, stderr io.Writer, opts ...fastly.Option) (*fastly.Client, *fastlytest.Server, error) {
		opts = append([]fastly.Option{fastly.WithAPIKey(key.Reveal())}, opts...)
		return demo.To(b.Server, fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond}))(demoToo, stderr, opts...)
	}
}

// forEver gives the bench an old token that never expires.
func (b *bench) forEver() {
	b.old = b.AddToken(b.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "for ever"}})
}

// run runs the program, which must never show a secret.
func (b *bench) run(args ...string) int {
	b.t.Helper()
	b.stdout.reset()
	b.stderr.reset()
	code := rotate(b.ctx, args, b.world)
	b.checkSecrets(b.stdout.String() + b.stderr.String())
	if state, err := os.ReadFile(b.state); err == nil {
		b.checkSecrets(string(state))
	}
	return code
}

func (b *bench) checkSecrets(text string) {
	b.t.Helper()
	for _, token := range b.Tokens() {
		assert.NotContains(b.t, text, token.AccessToken.Reveal(), "a token is shown")
	}
}

// args are those that rotate the old token.
func (b *bench) args() []string { return []string{"-id", b.old.ID, "-out", b.out} }

func (b *bench) output() string { return b.stdout.String() + b.stderr.String() }

// alive are the tokens of the old one's name that work.
func (b *bench) alive() (tokens []fastly.TokenCreatedResponse) {
	for _, token := range b.Tokens() {
		if token.Name == b.old.Name && token.DeletedAt.IsZero() {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// assertRotated wants what a rotation is for: one token that works, in its
// place, and nothing else left.
func (b *bench) assertRotated() {
	b.t.Helper()
	alive := b.alive()
	if !assert.Len(b.t, alive, 1, "tokens that work; output:\n%s", b.output()) {
		return
	}
	assert.NotEqual(b.t, b.old.ID, alive[0].ID, "the old token still works; output:\n%s", b.output())
	assert.Equal(b.t, b.old.Scopes, alive[0].Scopes)
	assert.Equal(b.t, b.old.Services, alive[0].Services)
	assert.Equal(b.t, alive[0].AccessToken.Reveal(), b.stored(), "another token is handed over; output:\n%s", b.output())
	info, err := os.Stat(b.out)
	require.NoError(b.t, err)
	assert.Equal(b.t, os.FileMode(0o600), info.Mode())
	b.assertClean()
}

// assertUntouched wants that nothing has changed but what was there before.
func (b *bench) assertUntouched(stored string) {
	b.t.Helper()
	alive := b.alive()
	if assert.Len(b.t, alive, 1, "tokens that work; output:\n%s", b.output()) {
		assert.Equal(b.t, b.old.ID, alive[0].ID, "output:\n%s", b.output())
	}
	assert.Equal(b.t, stored, b.stored())
	b.assertClean()
}

// assertClean wants no file but the token's.
func (b *bench) assertClean() {
	b.t.Helper()
	var names []string
	require.NoError(b.t, filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != b.out {
			names = append(names, path)
		}
		return err
	}))
	assert.Empty(b.t, names, "files left over")
}

// stored is what was handed over, empty if nothing was.
func (b *bench) stored() string {
	b.t.Helper()
	text, err := os.ReadFile(b.out)
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(b.t, err)
	return string(text)
}

// store is a command that takes the token as -out does.
func (b *bench) store() []string {
	return []string{"sh", "-c", `umask 077; cat >"$1.tmp" && mv "$1.tmp" "$1"`, "sh", b.out}
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

func (l *lockedBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func TestTokenIsReplacedByOneLikeIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)

	require.Equal(t, 0, b.run(b.args()...), b.output())

	b.assertRotated()
	assert.WithinDuration(t, time.Now().Add(lifetime), b.alive()[0].ExpiresAt, time.Minute)
}

func TestTokenOfTheKeyIsTheDefault(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.use(b.old.AccessToken)

	require.Equal(t, 0, b.run("-out", b.out), b.output())

	b.assertRotated()
}

func TestTokenThatNeverExpiresIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.forEver()

	require.Equal(t, 0, b.run(b.args()...), b.output())

	b.assertRotated()
	assert.Zero(t, b.alive()[0].ExpiresAt)
}

func TestLifetimeCanBeChosen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.forEver()

	require.Equal(t, 0, b.run(append([]string{"-ttl", "7d"}, b.args()...)...), b.output())

	b.assertRotated()
	assert.WithinDuration(t, time.Now().Add(7*24*time.Hour), b.alive()[0].ExpiresAt, time.Minute)
}

func TestCommandGetsTheTokenOnItsStandardInputOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	seen := filepath.Join(t.TempDir(), "seen")
	b.world.environ = append(os.Environ(), "FASTLY_API_TOKEN="+b.Key().Reveal(), "FASTLY_API_KEY=x", "KEPT=yes")

	code := b.run("-id", b.old.ID, "--", "sh", "-c", `umask 077; (env; tr '\0' ' ' </proc/$$/cmdline) >"$2"; cat >"$1"`, "sh", b.out, seen)

	require.Equal(t, 0, code, b.output())
	b.assertRotated()
	text, err := os.ReadFile(seen)
	require.NoError(t, err)
	b.checkSecrets(string(text))
	assert.Contains(t, string(text), "KEPT=yes\n")
	assert.NotContains(t, string(text), "FASTLY_API_")
}

func TestFileIsReplacedBehindASymbolicLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.NoError(t, os.WriteFile(b.out, []byte("before"), 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(b.out, link))

	require.Equal(t, 0, b.run("-id", b.old.ID, "-out", link), b.output())

	b.assertRotated()
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink, "the link was replaced")
}

func TestOneTimePasswordAndPassword(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ada := b.AddUser(fastlytest.User{Login: "ada", Password: "enchantress", OTP: "314159", SudoRequired: true})
	b.old = b.AddToken(ada.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "ada's"}})
	b.use(b.old.AccessToken)
	secrets := t.TempDir()
	password, otp := filepath.Join(secrets, "password"), filepath.Join(secrets, "otp")
	require.NoError(t, os.WriteFile(password, []byte("enchantress\n"), 0o600))
	require.NoError(t, os.WriteFile(otp, []byte("314159\n"), 0o600))

	assert.Equal(t, exitFailed, b.run("-out", b.out))
	b.assertUntouched("")
	assert.Contains(t, b.stderr.String(), "one-time password")

	require.Equal(t, 0, b.run("-out", b.out, "-username", "ada", "-password-file", password, "-otp-file", otp), b.output())
	b.assertRotated()
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"no place":                   {},
		"two places":                 {"-out", filepath.Join(dir, "x"), "--", "cat"},
		"unknown flag":               {"-nonsense"},
		"a directory":                {"-out", dir},
		"not an ID":                  {"-id", "not/an/ID", "-out", filepath.Join(dir, "x")},
		"too short a life":           {"-ttl", "1ms", "-out", filepath.Join(dir, "x")},
		"no such command":            {"--", "no-such-command-anywhere"},
		"user name, but no password": {"-username", "ada", "-out", filepath.Join(dir, "x")},
		"no such password file":      {"-username", "ada", "-password-file", filepath.Join(dir, "none"), "-out", filepath.Join(dir, "x")},
	} {
		b := newBench(t)
		assert.Equal(t, exitUsage, b.run(args...), name)
		assert.Equal(t, 1, strings.Count(b.stderr.String(), "\n"), "%s: want one line: %s", name, b.stderr.String())
		assert.Empty(t, b.Requests(), name)
		b.assertUntouched("")
	}
	b := newBench(t)
	assert.Equal(t, 0, b.run("-h"))
	demotest.AssertHelp(t, b.stdout.String(), "rotate", "-leftover ID")
	assert.Empty(t, b.stderr.String())
}

func TestMadeUpTokenNeverTakesThePlaceOfARealOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.world.credentials = false
	for _, stored := range []string{"", "real"} {
		if stored != "" {
			b.put(stored)
		}
		for _, args := range [][]string{{"-out", b.out}, append([]string{"--"}, b.store()...)} {
			assert.Equal(t, exitUsage, b.run(args...), "%v", args)
			assert.Equal(t, stored, b.stored())
			assert.Equal(t, "rotate: there are no credentials: set FASTLY_API_TOKEN, or give -demo for made-up tokens\n", b.stderr.String())
		}
	}
}

func TestTokenThatCannotBeReplacedAlike(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.AddUser(fastlytest.User{})
	theirs := b.AddToken(other.ID, fastly.TokenCreatedResponse{})

	assert.Equal(t, exitFailed, b.run("-id", theirs.ID, "-out", b.out))
	assert.Contains(t, b.stderr.String(), "belongs to another user")

	assert.Equal(t, exitFailed, b.run("-id", "0000000000000000000000", "-out", b.out))
	assert.Contains(t, b.stderr.String(), "404")
	assert.Contains(t, b.stderr.String(), "nothing has changed")

	b.assertUntouched("")
	for _, r := range b.Requests() {
		assert.Equal(t, "GET", r.Method)
	}
}
