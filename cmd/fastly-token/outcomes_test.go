//go:build unix

package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestRevokeWhoseResponseWasLostSaysWhatBecameOfEachToken(t *testing.T) {
	t.Parallel()
	const missing = "0000000000000000000000"
	cut := fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodDelete}
	always := cut
	always.Times = -1
	foreign := fastlytest.Fault{Kind: fastlytest.StatusAfter, Method: http.MethodDelete, Status: 502, Body: "<title>Bad gateway</title>", Times: -1}
	for name, tc := range map[string]struct {
		fault   fastlytest.Fault
		missing bool
		tokens  int
		code    int
		says    string
	}{
		"two, one response lost":                   {cut, false, 2, 0, "revoked    "},
		"two, every response lost":                 {always, false, 2, 0, "revoked    "},
		"two, pages of a gateway":                  {foreign, false, 2, 0, "revoked    "},
		"one, every response lost":                 {always, false, 1, 0, "revoked    "},
		"two and one that is not there, one lost":  {cut, true, 2, exitFailed, "not found  " + missing},
		"one and one that is not there, none lost": {fastlytest.Fault{Kind: fastlytest.Delay}, true, 1, exitFailed, "not found  " + missing},
	} {
		s := newSite(t)
		ids := s.addTokens(tc.tokens)
		s.Inject(tc.fault)
		args := append([]string{"revoke"}, ids...)
		if tc.missing {
			args = append(args, missing)
		}
		o := s.run(args...)
		assert.Equal(t, tc.code, o.code, "%s: %s%s", name, o.out, o.err)
		assert.Contains(t, o.out, tc.says, name)
		for _, id := range ids {
			assert.Contains(t, o.out, "revoked    "+id, name)
			assert.True(t, isRevoked(t, s, id), name)
		}
	}
}

func TestRevokeThatCannotBeLookedAtIsNotSaidToBeDone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ids := s.addTokens(2)
	s.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodDelete, Times: -1})
	for _, id := range ids {
		s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodGet, Path: "/tokens/" + id, Status: 503, Times: -1})
	}
	o := s.run(append([]string{"revoke"}, ids...)...)
	assert.Equal(t, exitFailed, o.code)
	assert.Equal(t, 2, strings.Count(o.out, "failed "), o.out)
	assert.Contains(t, o.err, "whether it was revoked is not known")
}

func TestTokenOfTheKeyWhoseResponseWasLostIsRevoked(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, -1} {
		for _, others := range []int{0, 1, 2} {
			s := newSite(t)
			own, ids := s.Tokens()[0].ID, s.addTokens(others)
			s.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodDelete, Times: times})
			o := s.run(append([]string{"revoke", own}, ids...)...)
			assert.Equal(t, 0, o.code, o.err)
			assert.Equal(t, others+1, strings.Count(o.out, "revoked "), o.out)
			assert.Empty(t, active(s.Tokens()))
		}
	}
}

func TestTokenOfTheKeyIsLeftIfAnotherTryNeedsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	own, ids := s.Tokens()[0].ID, s.addTokens(2)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 503, Method: http.MethodDelete, Path: "/tokens*", Times: -1})
	o := s.run("revoke", own, ids[0], ids[1])
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "token "+own+", that of the API key, is left for another try\n")
	for _, r := range s.Requests() {
		assert.False(t, r.Method == http.MethodDelete && r.Path == "/tokens/self")
	}
}

func TestRevokeSelfWhoseResponseWasLostIsDone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodDelete, Times: -1})
	o := s.run("revoke", "--self")
	assert.Equal(t, 0, o.code, o.err)
	assert.Contains(t, o.out, "revoked    "+s.Tokens()[0].ID)
}

func TestNotRevokedIsSaidOnlyIfItIsKnown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		faults []fastlytest.Fault
		code   int
		says   string
	}{
		"refused":            {[]fastlytest.Fault{{Kind: fastlytest.Status, Status: 403}}, exitLookInto, "was NOT revoked"},
		"every response cut": {[]fastlytest.Fault{{Kind: fastlytest.CutAfter}}, 0, "revoked token"},
		"no connection":      {[]fastlytest.Fault{{Kind: fastlytest.CutBefore}}, exitLookInto, "may not have been revoked"},
		"busy":               {[]fastlytest.Fault{{Kind: fastlytest.Status, Status: 503}}, exitLookInto, "may not have been revoked"},
	} {
		s := newExecSite(t)
		for _, f := range tc.faults {
			f.Method, f.Times = http.MethodDelete, -1
			s.Inject(f)
		}
		o := s.run("exec", "--", "true")
		assert.Equal(t, tc.code, o.code, "%s: %s", name, o.err)
		assert.Contains(t, o.err, tc.says, name)
		assert.Contains(t, o.err, s.made()[0].ID, name)
		if tc.says != "was NOT revoked" {
			assert.NotContains(t, o.err, "NOT", name)
		}
	}
}

// loseFirstCreateWithCode makes the first create with a one-time password vanish, its
// response and the token in lists, and the second one be refused for its code.
func loseFirstCreateWithCode(s *site) {
	creates := 0
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && r.Header.Get("Fastly-OTP") != "" {
			if creates++; creates == 2 {
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
					Body: io.NopCloser(strings.NewReader(`{"msg":"2fa.verify","code":"2fa.verify"}`))}, nil
			}
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		switch {
		case err != nil:
		case r.Method == http.MethodPost && creates == 1:
			_ = resp.Body.Close()
			return nil, io.ErrUnexpectedEOF
		case r.Method == http.MethodGet && r.URL.Path == "/tokens":
			_ = resp.Body.Close()
			resp.Body = io.NopCloser(bytes.NewReader([]byte("[]")))
		}
		return resp, err
	})}))
}

func TestEveryTokenThatMayExistIsNamed(t *testing.T) {
	t.Parallel()
	s := newTOTPSite(t)
	s.set(varTOTP, s.file("secret", totpSecret))
	loseFirstCreateWithCode(s)
	o := s.run("exec", "--", "true")
	assert.Equal(t, exitLookInto, o.code, o.err)
	require.NotEmpty(t, s.made())
	lost := active(s.made())
	require.Len(t, lost, 1, "that of the second code is revoked")
	assert.Contains(t, o.err, lost[0].Name)
}

// The revokes get no response, and the key does not see the tokens of other customers.
func TestTokenThatTheKeyDoesNotSeeIsNotSaidToBeRevoked(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.logIn(s.AddUser(fastlytest.User{CustomerID: "3xAkp8JtCw0RzUe6nQv2Hb"}))
	s.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: http.MethodDelete, Times: -1})
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/tokens/") && r.URL.Path != "/tokens/self" {
			r.URL.Path = "/tokens/0000000000000000000000"
		}
		return http.DefaultTransport.RoundTrip(r)
	})}))
	o := s.run("exec", "--", "true")
	assert.Equal(t, exitLookInto, o.code)
	require.Len(t, active(s.made()), 1)
	assert.Contains(t, o.err, "token "+s.made()[0].ID+" may not have been revoked")
}

func TestPrintNeedsAnOutputThatKeeps(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	for name, redirect := range map[string]string{"closed": ">&-", "the null device": ">/dev/null", "a full device": ">/dev/full"} {
		p := s.command()
		p.Path, p.Args = "/bin/sh", []string{"sh", "-c", `"$0" create --print ` + redirect, build(t)}
		require.NoError(t, p.Start())
		assert.Equal(t, exitUsage, p.end(s), name)
		assert.Contains(t, p.stderr.String(), "--print: standard output is closed, or a device that keeps nothing", name)
	}
	assert.Empty(t, s.Requests())
}

func TestTokenThatCannotBePrintedIsRevokedByTheKeyAtHand(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	o := s.runWith(&app{stdin: strings.NewReader(""), stdout: failingWriter{}}, "create", "--print", "--scope", "purge_all")
	assert.Equal(t, exitFailed, o.code)
	require.Len(t, s.made(), 1)
	assert.Contains(t, o.err, "token "+s.made()[0].ID+" was revoked")
	s.assertRevoked()

	// One of somebody else can't.
	s = newExecSite(t)
	other := s.AddUser(fastlytest.User{CustomerID: "3xAkp8JtCw0RzUe6nQv2Hb"})
	s.set(varToken, s.AddToken(other.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal())
	o = s.runWith(&app{stdin: strings.NewReader(""), stdout: failingWriter{}}, "create", "--print", "--scope", "purge_all")
	assert.Equal(t, exitLookInto, o.code)
	assert.Contains(t, o.err, "token "+s.made()[0].ID+" was NOT revoked")
}

func TestWhatWasDoneIsSaidAlthoughNobodyReadsTheOutput(t *testing.T) {
	t.Parallel()
	full := func(s *site, args ...string) outcome {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(s.t, err)
		defer f.Close()
		return s.runWith(&app{stdin: strings.NewReader(""), stdout: f}, args...)
	}
	for _, format := range [][]string{nil, {"--json"}} {
		s := newRotateSite(t)
		o := full(s, append([]string{"rotate", oldID, "--out", filepath.Join(s.dir, "token")}, format...)...)
		assert.Equal(t, exitFailed, o.code)
		assert.Contains(t, o.err, "handed over token "+s.made()[0].ID+"\n")
		assert.Contains(t, o.err, "Token "+oldID+" is revoked.\n")

		s = newExecSite(t)
		o = full(s, append([]string{"create", "--out", filepath.Join(s.dir, "token")}, format...)...)
		assert.Equal(t, exitFailed, o.code)
		assert.Contains(t, o.err, "created token "+s.made()[0].ID)

		s = newSite(t)
		id := s.addTokens(1)[0]
		o = full(s, append([]string{"revoke", id}, format...)...)
		assert.Equal(t, exitFailed, o.code)
		assert.Contains(t, o.err, "revoked    "+id+"\n")
	}
}

func TestPastedAccessTokensAreNotPrinted(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	token := s.AddToken(s.User().ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal() // not that of the environment
	out := filepath.Join(s.dir, "token")
	for _, args := range [][]string{
		{"get", token},
		{"get", token + "\n"},
		{"get", "Fastly-Key: " + token},
		{"revoke", token},
		{"list", "--customer", token},
		{"whoami", "--require", token},
		{"whoami", "--require", "purge_all:" + token},
		{"create", "--out", out, "--scope", token},
		{"create", "--out", out, "--scope", "purge_all," + token},
		{"create", "--out", out, "--service", token},
		{"create", "--out", out, "--name", token},
		{"create", "--out", token},
		{"create", "--out", out, "--ttl", token},
		{"create", "--" + token},
		{"rotate", token, "--out", out},
		{"rotate", "--", token},
		{"exec", "--", token},
		{"exec", token},
		{"exec", "--", "sh", "-c", "exit 7", token},
		{"serve", "--addr", token},
		{"serve", "--", token},
		{"audit", "--ignore", token},
		{token},
		{"help", token},
		{"completion", token},
	} {
		o := s.run(args...) // which looks for the token in the output
		assert.NotEqual(t, 0, o.code, "%q", args)
	}
	for _, r := range s.Requests() {
		assert.NotContains(t, r.Path+string(r.Body), token, "it is not sent, either")
	}
	assert.NoFileExists(t, out)
}
func TestListThatCannotBeReadWholeIsShownInPart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	// A field of one token is not a time.
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || r.URL.Path != "/tokens" {
			return resp, err
		}
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		used := s.Tokens()[1].LastUsedAt.UTC().Format(time.RFC3339)
		require.Contains(t, string(body), used)
		resp.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), used, "yesterday", 1)))
		return resp, nil
	})}))
	o := s.run("list")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "the list is not complete")
	assert.Contains(t, o.out, "laptop of Olga")

	o = s.run("audit", "--revoke-unused", "--yes")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "the list is not complete")
	assert.NotContains(t, o.out, "were not used")
	assert.Empty(t, active(nil))
	for _, token := range s.Tokens() {
		assert.True(t, token.DeletedAt.IsZero(), "nothing is revoked")
	}
	assert.NotEqual(t, 0, s.run("audit", "--metrics").code)
}

func TestRotateNamesTheTokenOfALostCreateUntilItIsFound(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	path := filepath.Join(s.dir, "token")
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && r.Method == http.MethodGet && r.URL.Path == "/tokens" { // lists lag
			_ = resp.Body.Close()
			resp.Body = io.NopCloser(strings.NewReader("[]"))
		}
		return resp, err
	})}))
	s.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodPost, Path: "/tokens"})
	o := s.run("rotate", oldID, "--out", path)
	assert.Equal(t, exitLookInto, o.code, o.err)
	lost := s.made()[0]
	assert.Contains(t, o.err, lost.Name)
	assert.Equal(t, s.made()[1].AccessToken.Reveal(), s.read(path), "another one was handed over")

	o = s.run("rotate", oldID, "--out", path)
	assert.Equal(t, exitLookInto, o.code, o.err)
	assert.Contains(t, o.err, lost.Name, "it is not forgotten")
}

func TestWhatElseFailedIsSaidAlthoughNobodyReadsTheOutput(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	s.set(varUsername, "wrong")
	o := s.runWith(&app{stdin: strings.NewReader(""), stdout: brokenPipe}, "rotate", oldID, "--out", filepath.Join(s.dir, "token"), "--json")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "POST /tokens: 400")

	s = newExecSite(t)
	o = s.runWith(&app{stdin: strings.NewReader(""), stdout: brokenPipe}, "create", "--print")
	assert.Equal(t, exitFailed, o.code)
	require.Len(t, s.made(), 1)
	assert.Contains(t, o.err, "the access token could not be kept: broken pipe; token "+s.made()[0].ID+" was revoked")
}

func TestTimeoutDuringTheWaitForAPasswordIsNoMistakeOfTheCaller(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	fifo := filepath.Join(s.dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	p := s.command("create", "--print", "--timeout", "50ms", "--password-file", fifo) // whose end ends the wait, too
	require.NoError(t, p.Start())
	assert.Equal(t, exitFailed, p.end(s))
	assert.Contains(t, p.stderr.String(), "--timeout 50ms is over: the password of ")
	assert.NotContains(t, p.stderr.String(), "--help")
}
