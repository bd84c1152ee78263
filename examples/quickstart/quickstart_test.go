package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) { demotest.Main(m) }

var operations = []string{
	"GetTokenCurrent", "ListTokensUser", "ListTokensCustomer", "GetToken",
	"CreateToken", "RevokeTokenCurrent", "RevokeToken", "BulkRevokeTokens",
}

// onAPI runs the program with srv as if that was the real API.
func onAPI(ctx context.Context, srv *fastlytest.Server, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = quickstart(ctx, demo.To(srv, demotest.Impatient()), args, &out, &errs)
	return code, out.String(), errs.String()
}

// assertAsBefore checks that of srv's tokens only those made here are revoked,
// and all of them.
func assertAsBefore(t *testing.T, srv *fastlytest.Server, made int) {
	t.Helper()
	n := 0
	for _, token := range srv.Tokens() {
		mine := strings.HasPrefix(token.Name, "quickstart ")
		if mine {
			n++
		}
		assert.Equal(t, mine, !token.DeletedAt.IsZero(), "revoked: %q", token.Name)
	}
	assert.Equal(t, made, n, "tokens made")
}

func changes(srv *fastlytest.Server) (n int) {
	for _, r := range srv.Requests() {
		if r.Method != http.MethodGet {
			n++
		}
	}
	return n
}

func TestDemoShowsAllEightOperations(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	code := quickstart(t.Context(), demo.Client, []string{"-demo"}, &out, &errs)
	require.Equal(t, demo.ExitOK, code, "stderr: %s", errs.String())
	assert.Empty(t, errs.String())
	text := out.String()
	assert.Contains(t, text, "embedded server")
	assert.Contains(t, text, "8 of 8")
	assert.Contains(t, text, "4, 4 revoked")
	assert.Contains(t, text, "13: 6 without an end, 4 ending within 30 days, 5 with the scope global\n")
	assert.Contains(t, text, "[REDACTED]")
	assert.Contains(t, text, "terraform-prod")
	last := 0
	for _, name := range operations {
		at := strings.Index(text, "  "+name+" ")
		assert.Greater(t, at, last, "%s is not shown, or not in order", name)
		last = at
	}
	demotest.AssertFits(t, 100, text)
}

func TestRealAPIIsOnlyReadWithoutWrite(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	code, out, errs := onAPI(t.Context(), srv)
	require.Equal(t, demo.ExitOK, code, "stderr: %s", errs)
	assert.Zero(t, changes(srv), "requests that change something")
	assert.NotContains(t, out, "embedded")
	assert.Contains(t, out, "Only read operations run; -write also creates tokens\nthat live 10 minutes, and revokes them.\n")
	assert.Contains(t, out, `"old-jenkins": global, every service, never expires, never used`)
	assert.Equal(t, 4, strings.Count(out, "run with -write"))
	assert.Contains(t, out, "4 of 8")
	for _, name := range operations {
		assert.Contains(t, out, name)
	}
	demotest.AssertNoSecret(t, srv, out, errs)
	assertAsBefore(t, srv, 0)
}

func TestWriteRevokesWhatItMadeAndNothingElse(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	code, out, errs := onAPI(t.Context(), srv, "-write")
	require.Equal(t, demo.ExitOK, code, "stderr: %s", errs)
	assert.Contains(t, out, "can't revoke itself here", "the server wants a global scope for that")
	assert.Contains(t, out, "7 of 8")
	assertAsBefore(t, srv, 4)
	demotest.AssertNoSecret(t, srv, out, errs)
	for _, token := range srv.Tokens() {
		if strings.HasPrefix(token.Name, "quickstart ") {
			assert.Equal(t, fastly.Scopes{fastly.ScopePurgeSelect}, token.Scopes)
			assert.WithinDuration(t, time.Now().Add(lifetime), token.ExpiresAt, time.Minute)
		}
	}
	for _, r := range srv.Requests() {
		if r.Method == http.MethodDelete && r.Path == "/tokens/self" {
			assert.NotEqual(t, srv.Key().Reveal(), r.Header.Get("Fastly-Key"), "the user's own key was to be revoked")
		}
	}
}

func TestFailureHalfwayLeavesNoToken(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"create refused":            {Kind: fastlytest.Status, Status: 400, Method: http.MethodPost, Every: 3, Body: `{"msg":"no"}`},
		"create lost":               {Kind: fastlytest.CutAfter, Method: http.MethodPost, Every: 2},
		"create answered garbage":   {Kind: fastlytest.Garbage, Method: http.MethodPost},
		"create's answer cut short": {Kind: fastlytest.CutMiddle, Method: http.MethodPost},
		"create's answer cut late":  {Kind: fastlytest.CutMiddle, Method: http.MethodPost, Keep: 1 << 10},
		"revoke refused":            {Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Path: "/tokens/*", Every: 2, Body: `{"msg":"no"}`},
		"bulk revoke refused":       {Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Path: "/tokens", Body: `{"msg":"no"}`},
		"bulk revoked and refused":  {Kind: fastlytest.StatusAfter, Status: 400, Method: http.MethodDelete, Path: "/tokens", Body: `{"msg":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := demotest.Start(t)
			srv.Inject(fault)
			code, out, errs := onAPI(t.Context(), srv, "-write")
			assert.Equal(t, demo.ExitFailed, code)
			assert.True(t, strings.HasPrefix(errs, "quickstart: fastly: "), "stderr: %s", errs)
			made := 0
			for _, token := range srv.Tokens() {
				if strings.HasPrefix(token.Name, "quickstart ") {
					made++
				}
			}
			assert.Positive(t, made)
			assertAsBefore(t, srv, made)
			demotest.AssertNoSecret(t, srv, out, errs)
		})
	}
}

func TestWhatCannotBeRevokedIsNamed(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Times: -1, Body: `{"msg":"no"}`})
	code, _, errs := onAPI(t.Context(), srv, "-write")
	assert.Equal(t, demo.ExitFailed, code)
	for _, token := range srv.Tokens() {
		if strings.HasPrefix(token.Name, "quickstart ") {
			assert.Contains(t, errs, token.ID)
		}
	}
	assert.Contains(t, errs, "for at most 10m")
}

// writerFunc is an output that a test looks at as it is written.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestInterruptLeavesNoToken(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("RevokeToken ")) {
			cancel()
		}
		return len(b), nil
	})
	var errs bytes.Buffer
	code := quickstart(ctx, demo.To(srv, demotest.Impatient()), []string{"-write"}, stdout, &errs)
	assert.Equal(t, demo.ExitInterrupted, code)
	assertAsBefore(t, srv, 4)
}

func TestOutputThatFailsIsAFailure(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	var errs bytes.Buffer
	stdout := writerFunc(func([]byte) (int, error) { return 0, io.ErrShortWrite })
	assert.Equal(t, demo.ExitFailed, quickstart(t.Context(), demo.To(srv), []string{"-write"}, stdout, &errs))
	assert.Contains(t, errs.String(), "short write")
	assertAsBefore(t, srv, 4)
}

func TestTokenThatMayDoLittleStillSeesItself(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	weak := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "weak", Scopes: fastly.Scopes{fastly.ScopePurgeAll}, Services: []string{demo.ServiceAPI},
	}})
	var out, errs bytes.Buffer
	code := quickstart(t.Context(), demo.To(srv, fastly.WithAPIKey(weak.AccessToken.Reveal())), nil, &out, &errs)
	require.Equal(t, demo.ExitOK, code, "stderr: %s", errs.String())
	assert.Contains(t, out.String(), `"weak": purge_all, 1 service, never expires`)
	assert.Equal(t, 3, strings.Count(out.String(), "not allowed (403)"))
	assert.Contains(t, out.String(), "1 of 8")
}

func TestHostileNamesDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "\x1b[2Jx\n" + strings.Repeat("y", 300), CreatedAt: time.Now().AddDate(-9, 0, 0), LastUsedAt: time.Now().Add(-2 * time.Hour),
	}})
	code, out, errs := onAPI(t.Context(), srv)
	require.Equal(t, demo.ExitOK, code, "stderr: %s", errs)
	assert.NotContains(t, out, "\x1b")
	assert.Regexp(t, `"\\x1b\[2Jx\\nyyyyyyyyyyy…": .*never expires, last used 2 hours ago\n`, out)
	demotest.AssertFits(t, 100, out)
}

func TestBadCredentialsAreReported(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	var out, errs bytes.Buffer
	code := quickstart(t.Context(), demo.To(srv, fastly.WithAPIKey("wrong-key")), nil, &out, &errs)
	assert.Equal(t, demo.ExitFailed, code)
	assert.Contains(t, errs.String(), "401")
	assert.NotContains(t, errs.String(), "wrong-key")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-nope"}, demo.ExitUsage, "-nope"},
		{[]string{"word"}, demo.ExitUsage, "word"},
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, tt.code, run(t.Context(), tt.args, strings.NewReader(""), &out, &errs), "%v", tt.args)
		assert.Contains(t, errs.String(), tt.says)
		assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "want one line: %s", errs.String())
		assert.Empty(t, out.String())
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	assert.Equal(t, demo.ExitOK, run(t.Context(), []string{"-h"}, strings.NewReader(""), &out, &errs))
	demotest.AssertHelp(t, out.String(), "quickstart", "-write")
	assert.Empty(t, errs.String())
}
