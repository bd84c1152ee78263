//go:build unix

package main

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServeIsAnAPIOnLoopbackUntilItIsSignaled(t *testing.T) {
	t.Parallel()
	for sig, args := range map[syscall.Signal][]string{syscall.SIGINT: {"--json"}, syscall.SIGTERM: {"--json", "--without-sudo"}} {
		s := newSite(t)
		s.set(varToken, "")
		p := s.command(append([]string{"serve"}, args...)...)
		require.NoError(t, p.Start())
		p.stdout.waitFor(t, "\n}\n")
		var api served
		require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &api))
		u, err := url.Parse(api.URL)
		require.NoError(t, err)
		assert.True(t, net.ParseIP(u.Hostname()).IsLoopback(), api.URL)

		s.set(varURL, api.URL)
		s.set(varToken, api.Key)
		assert.Equal(t, 0, s.run("whoami", "--require", "global").code)
		s.set(varUsername, api.TwoFactor.Username)
		s.set(varPassword, s.file("password", api.TwoFactor.Password))
		s.set(varOTP, s.file("code", api.TwoFactor.OTP))
		o := s.run("create", "--out", filepath.Join(s.dir, "token"))
		assert.Equal(t, 0, o.code, o.err)
		s.set(varURL, api.URL)
		o = s.run("exec", "--by-key", "--", "true")
		assert.Equal(t, len(args) == 2, o.code == 0, "a create by key takes sudo, or not: %s", o.err)

		require.NoError(t, p.Process.Signal(sig))
		assert.Equal(t, 0, p.end(s), "that is how it ends")
		assert.NotEqual(t, 0, s.run("whoami").code, "it is gone")
	}
}

func TestServePrintsWhatAPersonNeeds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.command("serve")
	require.NoError(t, p.Start())
	p.stdout.waitFor(t, "One-time password")
	for _, want := range []string{"http://127.0.0.1:", "API key", "User name", "Password"} {
		assert.Contains(t, p.stdout.String(), want)
	}
	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	p.Wait() //nolint:errcheck // its output has secrets, on purpose
	assert.Equal(t, 0, p.ProcessState.ExitCode())
	assert.Equal(t, 8, strings.Count(p.stdout.String(), "\n"))
}

func TestServeGivesACommandTheEnvironmentOfTheServer(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--two-factor"}} {
		s := newSite(t)
		s.set(varKey, "another key")
		s.set("FASTLY_CUSTOMER_ID", "of-the-real-account")
		program := build(t)
		script := `set -e
			"$0" whoami --require global --json >whoami
			"$0" create --service "$FASTLY_SERVICE_ID" --out token >&2
			"$0" list --customer self >&2
			FASTLY_API_TOKEN=$(cat token) "$0" whoami >&2
			env | grep ^FASTLY_
			exit 7`
		p := s.command(append(append([]string{"serve"}, flags...), "--", "sh", "-c", script, program)...)
		require.NoError(t, p.Start())
		require.Equal(t, 7, p.end(s), p.stderr.String())
		env := p.stdout.String()
		assert.NotContains(t, env, s.URL)
		assert.NotContains(t, env, varKey)
		assert.NotContains(t, env, "FASTLY_CUSTOMER_ID")
		assert.Contains(t, env, varService+"=")
		assert.Equal(t, flags != nil, strings.Contains(env, varOTP+"=") && strings.Contains(env, varTOTP+"="), env)
		password := regexp.MustCompile(varPassword + "=(.+)").FindStringSubmatch(env)
		require.Len(t, password, 2)
		assert.NoDirExists(t, filepath.Dir(password[1]), "its files are removed")
	}
}

func TestServePassesSignalsOnToItsCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.command("serve", "--", "sh", "-c", waiting)
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal, wherever the tests run
	require.NoError(t, p.Start())
	p.stdout.waitFor(t, "ready")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 41, p.end(s))
}

func TestServePrintsLinesForAShell(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set("TMPDIR", filepath.Join(s.dir, "it's a folder"))
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "it's a folder"), 0o700))
	address := freeAddress(t)
	p := s.command("serve", "--addr", address, "--env", "--two-factor")
	require.NoError(t, p.Start())
	p.stdout.waitFor(t, varTOTP)

	script := p.stdout.String() + `"$0" create --out token && test -s "$FASTLY_TOTP_SECRET_FILE" && echo "$FASTLY_API_URL"`
	user := s.command()
	user.Path, user.Args = "/bin/sh", []string{"sh", "-c", script, build(t)}
	require.NoError(t, user.Start())
	assert.Equal(t, 0, user.end(s), user.stderr.String())
	assert.Contains(t, user.stdout.String(), "http://"+address+"\n")

	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 0, p.end(s))
	left, err := os.ReadDir(filepath.Join(s.dir, "it's a folder"))
	require.NoError(t, err)
	assert.Empty(t, left, "its files are removed")
}

// freeAddress returns an address on which nothing listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestServeRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for args, want := range map[string]string{
		"--addr 0.0.0.0:0":        `"0.0.0.0" is not a loopback address`,
		"--addr :8080":            `"" is not a loopback address`,
		"--addr example.com:8080": `"example.com" is not a loopback address`,
		"--addr 127.0.0.1":        "want an address such as 127.0.0.1:8080",
		"--env --json":            "exclude each other",
		"--env -- true":           "exclude each other",
		"--":                      "there is no command to run",
		"true":                    `unexpected argument "true"`,
		"--two-factor":            "--two-factor is for --env and a command",
	} {
		o := s.run(append([]string{"serve"}, strings.Fields(args)...)...)
		assert.Equal(t, exitUsage, o.code, args)
		assert.Contains(t, o.err, want, args)
	}
	o := s.run("serve", "--addr", strings.TrimPrefix(s.URL, "http://"), "--env")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "address already in use")
	assert.Equal(t, exitNotFound, s.run("serve", "--", "no-such-command-anywhere").code)
}
