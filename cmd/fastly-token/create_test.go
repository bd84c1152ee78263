package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// newLoginSite is a site whose program has a login and no key.
func newLoginSite(t testing.TB) *site {
	s := newSite(t)
	s.set(varToken, "")
	s.logIn(s.User())
	return s
}

func TestCreateKeepsTheAccessTokenInAFile(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	path := filepath.Join(s.dir, "token")

	o := s.run("create", "--out", path, "--name", "deploy", "--scope", "purge_select,purge_all", "--service", serviceA, "--service", serviceB, "--ttl", "30d")

	require.Equal(t, 0, o.code, o.err)
	require.Len(t, s.made(), 1)
	token := s.made()[0]
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, token.AccessToken.Reveal(), string(content), "want the token and no line break")
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	assert.Regexp(t, `^deploy \[r-`, token.Name)
	assert.Equal(t, fastly.Scopes{"purge_select", "purge_all"}, token.Scopes)
	assert.Equal(t, []string{serviceA, serviceB}, token.Services)
	assert.WithinDuration(t, time.Now().Add(30*day), token.ExpiresAt, time.Minute)
	assert.Contains(t, o.out, token.ID)
	for _, r := range s.Requests() {
		assert.Empty(t, r.Header.Get("Fastly-Key"), "a create by login carries no key")
	}
}

func TestCreatePrintsTheAccessTokenAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	stdout := &strings.Builder{}
	o := s.runWith(&app{stdin: strings.NewReader(""), stdout: stdout}, "create", "--print", "--ttl", "0d")
	require.Equal(t, 0, o.code, o.err)
	assert.Equal(t, s.made()[0].AccessToken.Reveal()+"\n", stdout.String())
	assert.True(t, s.made()[0].ExpiresAt.IsZero(), "0d is for ever")
	assert.Contains(t, o.err, s.made()[0].ID)
}

func TestUnknownScopeIsAnsweredWithTheScopesOnce(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	o := s.run("create", "--scope", "typo", "--print")
	assert.Equal(t, exitFailed, o.code)
	assert.Equal(t, 1, strings.Count(o.err, "purge_select"), o.err)
}

func TestCreateAsJSONShowsNoSecret(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	o := s.run("create", "--json", "--out", filepath.Join(s.dir, "token"))
	require.Equal(t, 0, o.code, o.err)
	var got fastly.TokenResponse
	require.NoError(t, json.Unmarshal([]byte(o.out), &got))
	assert.Equal(t, s.made()[0].ID, got.ID)
	assert.NotContains(t, o.out, "access_token")
}

func TestLoginComesFromFlagsOrStandardInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.AddUser(ada)
	s.set(varUsername, "somebody else")
	s.set(varPassword, "/no/such/file")
	stdin := strings.NewReader(ada.Password + "\r\n" + ada.OTP + "\nthe rest")

	o := s.runWith(&app{stdin: stdin}, "create", "--out", filepath.Join(s.dir, "token"),
		"--username", ada.Login, "--password-file", "-", "--otp-file", "-")

	require.Equal(t, 0, o.code, o.err)
	rest, err := io.ReadAll(stdin)
	require.NoError(t, err)
	assert.Equal(t, "the rest", string(rest), "no more than two lines are read")
}

func TestOneTimePasswordIsReadOnlyIfTheAPIAsks(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	s.set(varOTP, "/no/such/file")
	o := s.run("create", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, 0, o.code, o.err)

	s = newLoginSite(t)
	s.AddUser(ada)
	s.logIn(ada)
	s.set(varOTP, s.file("code", ada.OTP+"\n"))
	o = s.run("create", "--out", filepath.Join(s.dir, "token"))
	require.Equal(t, 0, o.code, o.err)
	requests := s.Requests()
	require.Len(t, requests, 2)
	assert.Empty(t, requests[0].Header.Get("Fastly-OTP"))
	assert.Equal(t, ada.OTP, requests[1].Header.Get("Fastly-OTP"))
}

func TestOneTimePasswordThatIsMissingOrWrong(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	s.AddUser(ada)
	s.logIn(ada)
	o := s.run("create", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.err, "the one-time password is missing: put it in the file of FASTLY_OTP_FILE or --otp-file")

	s.set(varOTP, s.file("code", "000000"))
	s.ResetRequests()
	o = s.run("create", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "--otp-file")
	assert.Len(t, s.Requests(), 2, "a wrong code from a file is not tried again")
	assert.Empty(t, s.made())
}

// newTOTPSite is a site whose program has the login of a user with an authenticator.
// Its clock and that of the API stand still, except for waits.
func newTOTPSite(t testing.TB) *site {
	var mu sync.Mutex
	now := time.Now().Truncate(step * time.Second).Add(10 * time.Second)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	s := newSite(t, fastlytest.WithClock(clock))
	s.now = clock
	u := s.AddUser(fastlytest.User{Login: "totp@example.com", Password: "a made-up password", TOTPSecret: totpSecret})
	s.logIn(u)
	key := s.AddToken(u.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "mine"}})
	s.set(varToken, key.AccessToken.Reveal())
	s.sleep = func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
		return nil
	}
	return s
}

const totpSecret = "JBSWY3DPEHPK3PXP"

func TestOneTimePasswordsAreMadeFromTheSecret(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"create", "--out", "token"}, {"exec", "--", "true"}, {"rotate", "--out", "token"}} {
		s := newTOTPSite(t)
		s.set(varOTP, "/no/such/file") // a secret goes before a code
		args = append(args[:1:1], append([]string{"--totp-secret-file", s.file("secret", "jbsw y3dp ehpk 3pxp\n")}, args[1:]...)...)
		if args[0] != "exec" {
			args[len(args)-1] = filepath.Join(s.dir, "token")
		}
		o := s.run(args...)
		require.Equal(t, 0, o.code, "%v: %s", args, o.err)
		assert.Len(t, s.made(), 1)
		assert.NotContains(t, o.err, "waiting")
	}
}

func TestCodeOfASecretIsUsedOnceAndAPipeWithTheSecretReadOnce(t *testing.T) {
	t.Parallel()
	for _, pipe := range []bool{false, true} {
		s := newTOTPSite(t)
		file := s.file("secret", totpSecret)
		if pipe {
			file = "-"
		}
		s.Inject(fastlytest.Fault{
			Kind: fastlytest.Status, Method: http.MethodPost, Every: 2,
			Status: 429, Header: http.Header{"Retry-After": {"0"}}, Body: `{"msg":"slower"}`,
		})
		o := s.runWith(&app{stdin: strings.NewReader(totpSecret + "\nthe next line\n")},
			"create", "--out", filepath.Join(s.dir, "token"), "--totp-secret-file", file)
		require.Equal(t, 0, o.code, o.err)
		assert.Contains(t, o.err, "waiting for the next one-time password\n")
		var codes []string
		for _, r := range s.Requests() {
			codes = append(codes, r.Header.Get("Fastly-OTP"))
		}
		require.Len(t, codes, 3, "without a code, with one and a 429, with the next")
		assert.Empty(t, codes[0])
		assert.NotEqual(t, codes[1], codes[2])
	}
}

func TestSecretThatMakesNoCodes(t *testing.T) {
	t.Parallel()
	s := newTOTPSite(t)
	for _, content := range []string{"not base32!", "314159"} {
		s.set(varTOTP, s.file("secret", content))
		o := s.run("create", "--out", filepath.Join(s.dir, "token"))
		assert.Equal(t, exitUsage, o.code)
		assert.Contains(t, o.err, "the TOTP secret in \""+filepath.Join(s.dir, "secret")+"\" is not base32")
		assert.NotContains(t, o.err, content)
	}
	s.set(varTOTP, s.file("secret", "KRSXG5CTMVRXEZLU")) // of another account
	o := s.run("create", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "that one-time password was not accepted")
	assert.Len(t, s.Requests(), 3+2, "the next code is tried, and no other")
}

func TestOneTimePasswordOfAPipeIsReadOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.AddUser(ada)
	s.logIn(ada)
	s.Inject(fastlytest.Fault{
		Kind: fastlytest.Status, Method: http.MethodPost, Every: 2,
		Status: 429, Header: http.Header{"Retry-After": {"0"}}, Body: `{"msg":"slower"}`,
	})
	o := s.runWith(&app{stdin: strings.NewReader(ada.OTP + "\nthe next line\n")}, "create", "--out", filepath.Join(s.dir, "token"), "--otp-file", "-")
	require.Equal(t, 0, o.code, o.err)
	requests := s.Requests()
	require.Len(t, requests, 3)
	assert.Equal(t, ada.OTP, requests[1].Header.Get("Fastly-OTP"))
	assert.Equal(t, ada.OTP, requests[2].Header.Get("Fastly-OTP"))
}

func TestCreateByKeyNeedsSudo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	o := s.run("create", "--by-key", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "POST /sudo")
	sudo(s)
	o = s.run("create", "--by-key", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, 0, o.code, o.err)
	assert.Len(t, s.made(), 1)
}

func TestCredentialsAreCheckedBeforeArguments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args  []string
		names []string
	}{
		{[]string{"whoami", "word"}, []string{varToken}},
		{[]string{"list", "--no-such-flag"}, []string{varToken}},
		{[]string{"get"}, []string{varToken}},
		{[]string{"revoke"}, []string{varToken}},
		{[]string{"audit", "--json", "--csv"}, []string{varToken}},
		{[]string{"create"}, []string{varUsername, "--username", varPassword, "--password-file"}},
		{[]string{"create", "--username", "x", "--no-such-flag"}, []string{varPassword}},
		{[]string{"rotate"}, []string{varToken, varUsername, varPassword}},
		{[]string{"rotate", "--by-key"}, []string{varToken}},
		{[]string{"exec"}, []string{varToken, varUsername, varPassword}},
		{[]string{"create", "--by-key"}, []string{varToken, varTokenFile}},
	} {
		s := newSite(t)
		s.set(varToken, "")
		o := s.run(tc.args...)
		assert.Equal(t, exitUsage, o.code, "%v", tc.args)
		assert.True(t, strings.HasPrefix(o.err, "fastly-token: credentials are missing: "), "%v: %s", tc.args, o.err)
		for _, name := range tc.names {
			assert.Contains(t, o.err, name, "%v", tc.args)
		}
		assert.Equal(t, 1, strings.Count(o.err, "\n"))
		assert.Empty(t, o.out)
		assert.Empty(t, s.Requests())
	}
}

func TestCreateNeedsAPlaceForTheToken(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	there := s.file("there", "x")
	for _, args := range [][]string{
		nil,
		{"--out", "x", "--print"},
		{"--print", "--force"},
		{"--print", "--json"},
		{"--out", there},
		{"--out", s.dir, "--force"},
		{"--out", filepath.Join(s.dir, "no", "such", "folder")},
		{"--print", "--scope", "a;b"},
		{"--print", "--scope", ""},
		{"--print", "--service", "not an ID"},
		{"--print", "--ttl", "soon"},
		{"--print", "--ttl", "1ms"},
		{"--print", "word"},
	} {
		o := s.run(append([]string{"create"}, args...)...)
		assert.Equal(t, exitUsage, o.code, "%v: %s", args, o.err)
		assert.Contains(t, o.err, "; see fastly-token create --help\n", "%v", args)
	}
	assert.Empty(t, s.Requests())

	assert.Equal(t, 0, s.run("create", "--out", there, "--force").code)
}

func TestBadLoginFiles(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	for path, want := range map[string]string{
		s.file("empty", "\n"):                     "is empty",
		s.file("lines", "a\nb\n"):                 "has more than one line",
		s.file("long", strings.Repeat("x", 5000)): "longer than 4 KiB",
		"/no/such/file":                           "no such file",
		"-":                                       "the line is empty",
	} {
		o := s.run("create", "--print", "--password-file", path)
		assert.Equal(t, exitUsage, o.code, path)
		assert.Contains(t, o.err, "the password of FASTLY_PASSWORD_FILE or --password-file: ")
		assert.Contains(t, o.err, want)
	}
	s.set(varPassword, s.User().Password) // instead of a file with it
	assert.Contains(t, s.run("create", "--print").err, "no such file")
	assert.Empty(t, s.Requests())
}

func TestRejectedCreateLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(*site)
		args    []string
		says    string
	}{
		"wrong password": {func(s *site) { s.set(varPassword, s.file("wrong", "wrong")) }, nil, "POST /tokens: 400"},
		"no such scope":  {func(*site) {}, []string{"--scope", "everything"}, "use one of the scopes global, purge_select, purge_all and global:read"},
		"locked": {func(s *site) {
			u := s.AddUser(fastlytest.User{Login: "locked@example.com", Password: "another password", Locked: true})
			s.logIn(u)
		}, nil, "locked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLoginSite(t)
			tc.prepare(s)
			o := s.run(append([]string{"create", "--out", filepath.Join(s.dir, "token")}, tc.args...)...)
			assert.Equal(t, exitFailed, o.code)
			assert.Contains(t, o.err, tc.says)
			assert.Equal(t, 1, strings.Count(o.err, "\n"), o.err)
			assert.NotContains(t, o.err, "[r-", "nothing is left, so no name is of interest")
			assert.NoFileExists(t, filepath.Join(s.dir, "token"))
		})
	}
}

func TestCreateOfUnknownOutcomeNamesTheToken(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: http.MethodPost})
	o := s.run("create", "--out", filepath.Join(s.dir, "token"))
	assert.Equal(t, exitLookInto, o.code)
	require.Len(t, s.made(), 1)
	assert.Contains(t, o.err, s.made()[0].Name)
	assert.Contains(t, o.err, "fastly-token list")
}

func TestAccessTokenOfABrokenResponseIsKept(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.CutMiddle, Method: http.MethodPost, Keep: 1 << 20})
	path := filepath.Join(s.dir, "token")
	o := s.run("create", "--out", path)
	assert.Equal(t, exitLookInto, o.code)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, s.made()[0].AccessToken.Reveal(), string(content))
}

func TestTokenThatCannotBeKeptIsRevoked(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	o := s.runWith(&app{stdin: strings.NewReader(""), stdout: failingWriter{}}, "create", "--print", "--scope", "global")
	assert.Equal(t, exitFailed, o.code)
	require.Len(t, s.made(), 1)
	assert.Empty(t, active(s.made()))

	// It may not be able to, and then that is said although nobody reads stdout.
	for _, stdout := range []io.Writer{failingWriter{}, brokenPipe} {
		s = newLoginSite(t)
		o = s.runWith(&app{stdin: strings.NewReader(""), stdout: stdout}, "create", "--print", "--scope", "purge_all")
		assert.Equal(t, exitLookInto, o.code)
		assert.Contains(t, o.err, s.made()[0].ID)
	}
}

func TestCreateReplacesNoFileThatAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	path := filepath.Join(s.dir, "token")
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		s.file("token", "of somebody else")
		return http.DefaultTransport.RoundTrip(r)
	})}))
	o := s.run("create", "--out", path, "--scope", "global")
	assert.Equal(t, exitFailed, o.code, o.err)
	assert.Contains(t, o.err, " was revoked")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "of somebody else", string(content))
	require.Len(t, s.made(), 1)
	assert.Empty(t, active(s.made()))
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestTokenThatIsMoreThanAskedForIsSaid(t *testing.T) {
	t.Parallel()
	created := time.Now()
	expires := created.Add(time.Minute)
	asked := &fastly.CreateTokenRequest{Scopes: fastly.Scopes{fastly.ScopePurgeSelect}, Services: []string{"A", "B"}, Lifetime: time.Minute}
	for name, tc := range map[string]struct {
		change func(*fastly.TokenResponse)
		want   string
	}{
		"as asked":        {func(*fastly.TokenResponse) {}, ""},
		"fewer services":  {func(t *fastly.TokenResponse) { t.Services = []string{"B"} }, ""},
		"sooner":          {func(t *fastly.TokenResponse) { t.ExpiresAt = expires.Add(-time.Second) }, ""},
		"another scope":   {func(t *fastly.TokenResponse) { t.Scopes = fastly.Scopes{fastly.ScopeGlobal} }, "scope global"},
		"every service":   {func(t *fastly.TokenResponse) { t.Services = nil }, "every service"},
		"no service":      {func(t *fastly.TokenResponse) { t.Services, t.LimitServices = nil, true }, ""},
		"another service": {func(t *fastly.TokenResponse) { t.Services = []string{"A", "C"} }, "service C"},
		"for ever":        {func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} }, "never"},
		"longer":          {func(t *fastly.TokenResponse) { t.ExpiresAt = expires.Add(time.Hour) }, "expires"},
	} {
		got := &fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: asked.Scopes, Services: asked.Services, CreatedAt: created, ExpiresAt: expires}}
		tc.change(&got.TokenResponse)
		if tc.want == "" {
			assert.Empty(t, excess(asked, got), name)
		} else {
			assert.Contains(t, excess(asked, got), tc.want, name)
		}
	}
}
