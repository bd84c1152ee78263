//go:build unix

package main

import (
	"encoding/json"
	"net"
	"net/url"
	"path/filepath"
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
	for _, want := range []string{"http://127.0.0.1:", "API token", "User name", "Password"} {
		assert.Contains(t, p.stdout.String(), want)
	}
	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	p.Wait() //nolint:errcheck // its output has secrets, on purpose
	assert.Equal(t, 0, p.ProcessState.ExitCode())
	assert.Equal(t, 7, strings.Count(p.stdout.String(), "\n"))
}
