package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

// exit codes
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// onAPI runs the program with srv as if that was the real API, and the login of
// its user typed.
func onAPI(ctx context.Context, srv *fastlytest.Server, write bool, more ...fastly.Option) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = onAPIWith(ctx, srv, write, &out, &errs, more...)
	return code, out.String(), errs.String()
}

func onAPIWith(ctx context.Context, srv *fastlytest.Server, write bool, stdout, stderr io.Writer, more ...fastly.Option) int {
	impatient := fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 2, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	account := &demo.Account{Client: srv.Client(append(more, impatient)...), URL: srv.URL, Options: []fastly.Option{impatient}}
	stdin := strings.NewReader(srv.User().Login + "\n" + srv.User().Password + "\n")
	err := quickstart(ctx, account, write, newConsole(stdin, stderr), stdout)
	return demo.Report(ctx, stderr, "quickstart", err)
}

// assertAsBefore checks that of srv's tokens only those made here are revoked,
// and all of them.
func assertAsBefore(t *testing.T, srv *fastlytest.Server, made int) {
	t.Helper()
	n := 0
	for _, token := range srv.Tokens() {
		mine := isMine(token)
		if mine {
			n++
		}
		assert.Equal(t, mine, !token.DeletedAt.IsZero(), "revoked: %q", token.Name)
	}
	assert.Equal(t, made, n, "tokens made")
}

func isMine(token fastly.TokenCreatedResponse) bool {
	return strings.HasPrefix(token.Name, "quickstart ")
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
	require.NoError(t, run(t.Context(), []string{"-demo"}, strings.NewReader(""), &out, &errs))
	assert.Empty(t, errs.String())
	text := out.String()
	assert.Contains(t, text, "embedded server")
	assert.Contains(t, text, "8 of 8")
	assert.Contains(t, text, "4, 4 revoked")
	assert.Contains(t, text, "13: 6 never expire, 4 expire within 30 days, 5 have the scope global\n")
	assert.Contains(t, text, "[REDACTED]")
	assert.Contains(t, text, "terraform-prod")
	last := 0
	for _, name := range operations {
		at := strings.Index(text, "  "+name+" ")
		assert.Greater(t, at, last, "%s is not shown, or not in order", name)
		last = at
	}
	for line := range strings.Lines(text) {
		assert.LessOrEqual(t, utf8.RuneCountInString(line), 101, line)
	}
}

func TestRealAPIIsOnlyReadWithoutWrite(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	code, out, errs := onAPI(t.Context(), srv, false)
	require.Equal(t, exitOK, code, "stderr: %s", errs)
	assert.Zero(t, changes(srv), "requests that change something")
	assert.NotContains(t, out, "embedded")
	assert.Contains(t, out, "Only read operations run; -write also creates\ntokens, which expire after 10 minutes, and revokes them.\n")
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
	code, out, errs := onAPI(t.Context(), srv, true)
	require.Equal(t, exitOK, code, "stderr: %s", errs)
	assert.Contains(t, out, "can't revoke itself here", "the server wants a global scope for that")
	assert.Contains(t, out, "7 of 8")
	assertAsBefore(t, srv, 4)
	demotest.AssertNoSecret(t, srv, out, errs)
	for _, token := range srv.Tokens() {
		if isMine(token) {
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
		"create refused":           {Kind: fastlytest.Status, Status: 400, Method: http.MethodPost, Every: 3, Body: `{"msg":"no"}`},
		"create lost":              {Kind: fastlytest.CutAfter, Method: http.MethodPost, Every: 2},
		"create with garbage":      {Kind: fastlytest.Garbage, Method: http.MethodPost},
		"create cut short":         {Kind: fastlytest.CutMiddle, Method: http.MethodPost},
		"create cut late":          {Kind: fastlytest.CutMiddle, Method: http.MethodPost, Keep: 1 << 10},
		"revoke refused":           {Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Path: "/tokens/*", Every: 2, Body: `{"msg":"no"}`},
		"bulk revoke refused":      {Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Path: "/tokens", Body: `{"msg":"no"}`},
		"bulk revoked and refused": {Kind: fastlytest.StatusAfter, Status: 400, Method: http.MethodDelete, Path: "/tokens", Body: `{"msg":"no"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := demotest.Start(t)
			srv.Inject(fault)
			code, out, errs := onAPI(t.Context(), srv, true)
			if isCreate := fault.Method == http.MethodPost; isCreate && fault.Kind != fastlytest.Status {
				assert.Equal(t, exitOK, code, "a create of unknown outcome is repaired: %s", errs)
			} else {
				assert.Equal(t, exitFailed, code)
				assert.Contains(t, errs, ": 400 no")
			}
			made := 0
			for _, token := range srv.Tokens() {
				if isMine(token) {
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
	code, _, errs := onAPI(t.Context(), srv, true)
	assert.Equal(t, exitFailed, code)
	for _, token := range srv.Tokens() {
		if isMine(token) {
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
	code := onAPIWith(ctx, srv, true, stdout, io.Discard)
	assert.Equal(t, exitInterrupted, code)
	assertAsBefore(t, srv, 4)
}

func TestOutputThatFailsIsAFailure(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	var errs bytes.Buffer
	stdout := writerFunc(func([]byte) (int, error) { return 0, io.ErrShortWrite })
	assert.Equal(t, exitFailed, onAPIWith(t.Context(), srv, true, stdout, &errs))
	assert.Contains(t, errs.String(), "short write")
	assertAsBefore(t, srv, 4)
}

func TestTokenThatMayDoLittleStillSeesItself(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	weak := srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "weak", Scopes: fastly.Scopes{fastly.ScopePurgeAll}, Services: []string{demo.ServiceAPI},
	}})
	code, out, errs := onAPI(t.Context(), srv, false, fastly.WithAPIKey(weak.AccessToken.Reveal()))
	require.Equal(t, exitOK, code, "stderr: %s", errs)
	assert.Contains(t, out, `"weak": purge_all, 1 service, never expires`)
	assert.Equal(t, 3, strings.Count(out, "not allowed (403)"))
	assert.Contains(t, out, "1 of 8")
}

func TestHostileNamesDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		Name: "\x1b[2Jx\n" + strings.Repeat("y", 300), CreatedAt: time.Now().AddDate(-9, 0, 0), LastUsedAt: time.Now().Add(-2 * time.Hour),
	}})
	code, out, errs := onAPI(t.Context(), srv, false)
	require.Equal(t, exitOK, code, "stderr: %s", errs)
	assert.NotContains(t, out, "\x1b")
	assert.Regexp(t, `"\\x1b\[2Jx\\nyyyyyyyyyyy…": .*never expires, last used 2 hours ago\n`, out)
}

func TestBadCredentialsAreReported(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	code, _, errs := onAPI(t.Context(), srv, false, fastly.WithAPIKey("wrong-key"))
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "401")
	assert.NotContains(t, errs, "wrong-key")
}

func TestFlagsDecideTheExitCode(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{"-nope": exitUsage, "word": exitUsage, "-h": exitOK} {
		var out, errs bytes.Buffer
		err := run(t.Context(), []string{args}, strings.NewReader(""), &out, &errs)
		assert.Equal(t, want, demo.Report(t.Context(), &errs, "quickstart", err), args)
		assert.NotEmpty(t, errs.String())
		assert.Empty(t, out.String())
	}
}

func TestWriteLogsIn(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	code, _, errs := onAPI(t.Context(), srv, true)
	require.Equal(t, exitOK, code, errs)
	assert.Contains(t, errs, "takes a user name and a password: a key alone can't.\n")
	creates := 0
	for _, r := range srv.Requests() {
		if r.Method == http.MethodPost {
			creates++
			assert.Empty(t, r.Header.Get("Fastly-Key"), "a create by login carries no key")
			assert.Contains(t, string(r.Body), "password=")
		}
	}
	assert.Equal(t, 4, creates)
}

func TestWriteWithoutALoginChangesNothing(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	var out, errs bytes.Buffer
	account := &demo.Account{Client: srv.Client(), URL: srv.URL}
	err := quickstart(t.Context(), account, true, newConsole(strings.NewReader(srv.User().Login+"\n"), &errs), &out)
	assert.Equal(t, exitUsage, demo.Report(t.Context(), &errs, "quickstart", err))
	assert.Contains(t, errs.String(), "password: EOF")
	assert.Empty(t, srv.Requests())
}

func TestOneTimePasswordIsAskedForIfTheAPIDoes(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	ada := demo.Ada()
	key := srv.AddToken(ada.ID, fastly.TokenCreatedResponse{})
	account := &demo.Account{Client: srv.Client(fastly.WithAPIKey(key.AccessToken.Reveal())), URL: srv.URL}
	for answers, want := range map[string]int{ada.OTP + "\n": exitOK, "000000\n" + ada.OTP: exitOK, "0\n0\n0\n0\n": exitFailed, "": exitUsage} {
		var out, errs bytes.Buffer
		stdin := strings.NewReader(ada.Login + "\r\n" + ada.Password + "\n" + answers)
		err := quickstart(t.Context(), account, true, newConsole(stdin, &errs), &out)
		assert.Equal(t, want, demo.Report(t.Context(), &errs, "quickstart", err), "%q: %s", answers, errs.String())
	}
	for _, token := range srv.Tokens() {
		assert.False(t, isMine(token) && token.DeletedAt.IsZero(), "%q is left", token.Name)
	}
}
