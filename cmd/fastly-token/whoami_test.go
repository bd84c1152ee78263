package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

const (
	serviceA = "6pQ3vWcZr1LkT8mYxN0bHd"
	serviceB = "2fJt9sRaUe7GhKq4CwXz5M"
)

// purgeOnly gives the program a token that can do nothing but purge.
func purgeOnly(s *site) fastly.TokenCreatedResponse {
	token := s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "purge", Scopes: fastly.Scopes{fastly.ScopePurgeSelect}, Services: []string{serviceA},
		ExpiresAt: time.Now().Add(3*day + time.Hour),
	}})
	s.set(varToken, token.AccessToken.Reveal())
	return token
}

func TestWhoamiShowsTheCurrentToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := purgeOnly(s)

	o := s.run("whoami")

	assert.Equal(t, 0, o.code, o.err)
	for _, want := range []string{token.ID, "purge_select", serviceA, stamp(token.ExpiresAt) + " (in 3d)"} {
		assert.Contains(t, o.out, want)
	}
	require.Len(t, s.Requests(), 1)
	assert.Equal(t, "/tokens/self", s.Requests()[0].Path)
}

func TestWhoamiIsACheckThatAPurgeOnlyTokenCanRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		says string // empty: passes
	}{
		{[]string{"--require", "purge_select"}, ""},
		{[]string{"--require", "purge_select:" + serviceA, "--valid-for", "3d"}, ""},
		{[]string{"--require", "purge_select:" + serviceB}, "does not allow purge_select on the service " + serviceB},
		{[]string{"--require", "purge_select", "--require", "purge_all"}, "does not allow purge_all\n"},
		{[]string{"--require", "global:read"}, "does not allow global:read\n"},
		{[]string{"--require", "global:read:" + serviceA}, "does not allow global:read on the service " + serviceA},
		{[]string{"--valid-for", "7d"}, "in 3d, and must work for 7d"},
		{[]string{"--valid-for", "74h"}, "in 3d, and must work for 3d2h"},
	} {
		s := newSite(t)
		purgeOnly(s)
		o := s.run(append([]string{"whoami"}, tc.args...)...)
		if tc.says == "" {
			assert.Equal(t, 0, o.code, "%v: %s", tc.args, o.err)
			assert.Empty(t, o.err)
		} else {
			assert.Equal(t, exitFinding, o.code, "%v", tc.args)
			assert.Contains(t, o.err, tc.says)
		}
	}
}

// It may be a mistyped one. The API has more scopes than it documents.
func TestScopeThatIsNotDocumentedIsAllowedOnlyIfTheTokenNamesIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	args := []string{"whoami", "--require", "purge_al", "--require", "purge_select:" + serviceA, "--require", "admin:write:" + serviceA}
	const warnings = "fastly-token: --require: \"purge_al\" is not a documented scope: only a token that names it has it\n" +
		"fastly-token: --require: \"admin:write\" is not a documented scope: only a token that names it has it\n"
	o := s.run(args...)
	assert.Equal(t, exitFinding, o.code, "the scope global covers the documented ones")
	assert.Equal(t, warnings+"fastly-token: the token does not allow purge_al\n"+
		"fastly-token: the token does not allow admin:write on the service "+serviceA+"\n", o.err)

	for _, services := range [][]string{nil, {serviceA}, {serviceB}} {
		token := fastly.TokenResponse{Scopes: fastly.Scopes{"purge_al", "purge_select", "admin:write"}, Services: services}
		s.set(varToken, s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: token}).AccessToken.Reveal())
		assert.Equal(t, len(services) == 1 && services[0] == serviceB, s.run(args...).code == exitFinding, "%v", services)
	}
	assert.Equal(t, exitUsage, s.run("whoami", "--require", "purge all").code)
}

func TestWhoamiNamesAllThatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	purgeOnly(s)
	o := s.run("whoami", "--require", "purge_all", "--require", "global", "--valid-for", "30d")
	assert.Equal(t, exitFinding, o.code)
	assert.Regexp(t, `(?s)purge_all.*global.*expires`, o.err)
}

func TestGlobalTokenThatNeverExpiresMeetsEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	o := s.run("whoami", "--require", "purge_all:"+serviceA, "--require", "global:read", "--valid-for", "3650d")
	assert.Equal(t, 0, o.code, o.err)
}

func TestWhoamiAsJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := purgeOnly(s)

	o := s.run("whoami", "--json", "--require", "global")

	assert.Equal(t, exitFinding, o.code, "JSON changes no exit code")
	var got fastly.TokenResponse
	require.NoError(t, json.Unmarshal([]byte(o.out), &got))
	assert.Equal(t, token.ID, got.ID)
	assert.Equal(t, token.Scopes, got.Scopes)
	assert.NotContains(t, o.out, "access_token")
}

func TestRequirementIsAScopeWithOrWithoutAService(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]requirement{
		"purge_all":                 {"purge_all", ""},
		"global:read":               {"global:read", ""},
		"admin:write":               {"admin:write", ""},
		"purge_all:svc1":            {"purge_all", "svc1"},
		"global:svc1":               {"global", "svc1"},
		"global:read:svc1":          {"global:read", "svc1"},
		"admin:write:" + serviceA:   {"admin:write", serviceA},
		"tls:SU1Z0isxPaozGVKXdv0eY": {"tls", "SU1Z0isxPaozGVKXdv0eY"},
		"tls:read:all":              {"tls:read:all", ""},
	} {
		got, err := parseRequirement(text)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", ":", "purge_all:", ":svc", "a b", "a,b"} {
		_, err := parseRequirement(text)
		assert.Error(t, err, text)
		s := newSite(t)
		assert.Equal(t, exitUsage, s.run("whoami", "--require", text).code, text)
		assert.Empty(t, s.Requests())
	}
}

func TestWhoamiReportsARejectedKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varToken, "not-a-key-of-anybody")
	o := s.run("whoami", "--require", "purge_all")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "401")
	assert.NotContains(t, o.err, "not-a-key-of-anybody")
}
