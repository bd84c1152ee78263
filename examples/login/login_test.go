package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
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

// session is a run of the program against srv as the real API.
type session struct {
	t    *testing.T
	srv  *fastlytest.Server
	file string // that is not there yet
	out  bytes.Buffer
	errs bytes.Buffer
}

func newSession(t *testing.T) *session {
	return &session{t: t, srv: demotest.Start(t), file: filepath.Join(t.TempDir(), "token")}
}

// run types lines and returns the exit code.
func (s *session) run(lines []string, args ...string) int {
	return s.runTo(s.t.Context(), &s.out, lines, args...)
}

func (s *session) runTo(ctx context.Context, stdout io.Writer, lines []string, args ...string) int {
	l := login{
		base: s.srv.URL, options: []fastly.Option{demotest.Impatient()},
		ask:    newConsole(strings.NewReader(strings.Join(lines, "\n")), &s.errs),
		stdout: stdout, stderr: demo.NewPrinter(&s.errs),
	}
	return l.run(ctx, args)
}

// made is the token that was created, if any.
func (s *session) made() (token fastly.TokenCreatedResponse, ok bool) {
	for _, token := range s.srv.Tokens()[15:] {
		return token, true
	}
	return token, false
}

// saved is the file's text, checked for who may read it.
func (s *session) saved() string {
	s.t.Helper()
	info, err := os.Stat(s.file)
	require.NoError(s.t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(s.t, os.FileMode(0o600), info.Mode().Perm())
	}
	text, err := os.ReadFile(s.file)
	require.NoError(s.t, err)
	return string(text)
}

// assertFiles looks for files beside those that should be there.
func (s *session) assertFiles(want ...string) {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(s.file))
	require.NoError(s.t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	assert.Equal(s.t, want, got, "files")
}

// assertSilent checks that stderr has neither password nor access token.
func (s *session) assertSilent() {
	s.t.Helper()
	demotest.AssertNoSecret(s.t, s.srv, s.errs.String())
	assert.NotContains(s.t, s.errs.String(), demo.Ada().Password)
}

var (
	ada = demo.Ada()
	// answers are those to all questions.
	answers = []string{ada.Login, ada.Password, ada.OTP}
)

func TestTokenIsWrittenToTheFile(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	code := s.run(answers[1:], "-out", s.file, "-username", ada.Login, "-name", "ci", "-scope", "purge_all, purge_select",
		"-service", demo.ServiceAPI, "-service", demo.ServiceWWW, "-ttl", "30d")
	require.Equal(t, exitCreated, code, "stderr: %s", s.errs.String())
	token, ok := s.made()
	require.True(t, ok)
	assert.Equal(t, token.AccessToken.Reveal(), s.saved())
	assert.Equal(t, ada.ID, token.UserID)
	assert.Equal(t, "ci", token.Name)
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, token.Scopes)
	assert.Equal(t, []string{demo.ServiceAPI, demo.ServiceWWW}, token.Services)
	assert.WithinDuration(t, time.Now().AddDate(0, 0, 30), token.ExpiresAt, 2*time.Hour)
	assert.Empty(t, s.out.String())
	assert.Contains(t, s.errs.String(), token.ID)
	s.assertFiles("token")
	s.assertSilent()
}

func TestTokenIsPrintedAlone(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	require.Equal(t, exitCreated, s.run(answers, "-print", "-ttl", "0d"), "stderr: %s", s.errs.String())
	token, ok := s.made()
	require.True(t, ok)
	assert.Equal(t, token.AccessToken.Reveal()+"\n", s.out.String())
	assert.True(t, token.ExpiresAt.IsZero())
	assert.Equal(t, fastly.Scopes{fastly.ScopeGlobalRead}, token.Scopes)
	s.assertSilent()
}

func TestPasswordGoesAsBasicAuthAndTheCodeOnlyWhenWanted(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	plain := s.srv.AddUser(fastlytest.User{})
	require.Equal(t, exitCreated, s.run([]string{plain.Login, plain.Password}, "-print"), "stderr: %s", s.errs.String())
	require.Len(t, s.srv.Requests(), 1)

	s.srv.ResetRequests()
	require.Equal(t, exitCreated, s.run(answers, "-print"), "stderr: %s", s.errs.String())
	requests := s.srv.Requests()
	require.Len(t, requests, 2)
	assert.Empty(t, requests[0].Header.Get("Fastly-OTP"))
	assert.Equal(t, ada.OTP, requests[1].Header.Get("Fastly-OTP"))
	for _, r := range requests {
		login, password, ok := (&http.Request{Header: r.Header}).BasicAuth()
		assert.True(t, ok)
		assert.Equal(t, ada.Login, login)
		assert.Equal(t, ada.Password, password)
		assert.NotContains(t, string(r.Body), "password")
	}
}

func TestRefusesBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	existing := filepath.Join(dir, "existing")
	require.NoError(t, os.WriteFile(existing, []byte("precious"), 0o600))
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "-out FILE, or -print"},
		{[]string{"-demo"}, "-out FILE, or -print"},
		{[]string{"-print", "-out", "x"}, "exclude"},
		{[]string{"-print", "-force"}, "-out"},
		{[]string{"-out", existing}, "exists"},
		{[]string{"-out", dir}, "not a regular file"},
		{[]string{"-out", dir, "-force"}, "not a regular file"},
		{[]string{"-out", filepath.Join(dir, "missing", "token")}, "no such file"},
		{[]string{"-out", filepath.Join(existing, "token")}, "not a directory"},
		{[]string{"-print", "-ttl", "long"}, "want a duration"},
		{[]string{"-print", "word"}, "word"},
		{[]string{"-print", "-scope", ""}, "global:read"},
		{[]string{"-print", "-scope", " , "}, "global:read"},
		{[]string{"-print", "-scope", "purge_all;purge_select"}, `"purge_all;purge_select" is no scope`},
	} {
		s := newSession(t)
		assert.Equal(t, demo.ExitUsage, s.run(answers, tt.args...), "%v", tt.args)
		assert.Contains(t, s.errs.String(), tt.says, "%v", tt.args)
		assert.Empty(t, s.srv.Requests(), "%v", tt.args)
		assert.Empty(t, s.out.String(), "%v", tt.args)
		assert.Equal(t, 1, strings.Count(s.errs.String(), "\n"), "want one line: %s", s.errs.String())
	}
	text, err := os.ReadFile(existing)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "a temporary file is left")
}

func TestForceReplacesTheFile(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	require.NoError(t, os.WriteFile(s.file, []byte("old"), 0o600))
	require.Equal(t, exitCreated, s.run(answers, "-out", s.file, "-force"), "stderr: %s", s.errs.String())
	token, _ := s.made()
	assert.Equal(t, token.AccessToken.Reveal(), s.saved())
	s.assertFiles("token")
}

func TestForceKeepsTheOldFileUntilThereIsAToken(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	require.NoError(t, os.WriteFile(s.file, []byte("old"), 0o600))
	require.Equal(t, demo.ExitFailed, s.run([]string{ada.Login, "wrong"}, "-out", s.file, "-force"))
	assert.Equal(t, "old", s.saved())
	s.assertFiles("token")
}

func TestFileThatCameMeanwhileIsNotReplaced(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	f, err := newTokenFile(file, false)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	place, err := f.keep("the-access-token")
	f.discard()
	require.ErrorIs(t, err, os.ErrExist)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
	// The access token is not lost.
	assert.Contains(t, place, filepath.Base(f.temp.Name()))
	text, err = os.ReadFile(f.temp.Name())
	require.NoError(t, err)
	assert.Equal(t, "the-access-token", string(text))
}

func TestWrongCodesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	require.Equal(t, exitCreated, s.run([]string{ada.Login, ada.Password, "000000", "111111", ada.OTP}, "-out", s.file), "stderr: %s", s.errs.String())
	assert.Equal(t, 2, strings.Count(s.errs.String(), "not accepted"))

	s = newSession(t)
	require.Equal(t, demo.ExitFailed, s.run([]string{ada.Login, ada.Password, "0", "1", "2", ada.OTP}, "-out", s.file), "a fourth code was tried")
	assert.Len(t, s.srv.Requests(), 4)
	s.assertFiles()
	s.assertSilent()
}

func TestAnswersThatAreMissingOrWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lines []string
		says  string
	}{
		"no user name":         {nil, "user name: the input has ended"},
		"empty user name":      {[]string{"", "x"}, "user name: it is empty"},
		"no password":          {answers[:1], "password: the input has ended"},
		"no code":              {answers[:2], "one-time code: the input has ended"},
		"wrong password":       {[]string{ada.Login, "wrong-password"}, "invalid_grant"},
		"endless line":         {[]string{strings.Repeat("x", 5000)}, "longer than"},
		"colon in a user name": {[]string{"a:b", "x"}, "colon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			assert.Equal(t, demo.ExitFailed, s.run(tt.lines, "-out", s.file))
			assert.Contains(t, s.errs.String(), tt.says)
			assert.NotContains(t, s.errs.String(), "wrong-password")
			_, ok := s.made()
			assert.False(t, ok)
			s.assertFiles()
		})
	}
}

func TestCreateWithUnknownOutcomeSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"answer lost":                 {Kind: fastlytest.CutAfter},
		"answer cut before the token": {Kind: fastlytest.CutMiddle, Keep: 5},
		"answer cut after the ID":     {Kind: fastlytest.CutMiddle, Keep: 60},
		"garbage":                     {Kind: fastlytest.Garbage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			plain := s.srv.AddUser(fastlytest.User{})
			s.srv.Inject(fault)
			assert.Equal(t, exitLookInto, s.run([]string{plain.Login, plain.Password}, "-out", s.file, "-name", "machine 7"))
			token, ok := s.made()
			require.True(t, ok, "the server has made it")
			assert.Contains(t, s.errs.String(), `a token named "machine 7" may exist`)
			assert.Len(t, s.srv.Requests(), 1, "sent once")
			s.assertFiles()
			demotest.AssertNoSecret(t, s.srv, s.errs.String())
			assert.NotEmpty(t, token.ID)
		})
	}
}

func TestTokenOfABrokenAnswerIsKept(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"ends early":   {Kind: fastlytest.StatusAfter, Status: 200, Body: `{"id":"abc","access_token":"the-access-token-of-the-answer","name":`},
		"wrong member": {Kind: fastlytest.StatusAfter, Status: 200, Body: `{"id":"abc","access_token":"the-access-token-of-the-answer","expires_at":7}`},
		"no ID":        {Kind: fastlytest.StatusAfter, Status: 200, Body: `{"access_token":"the-access-token-of-the-answer"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			plain := s.srv.AddUser(fastlytest.User{})
			s.srv.Inject(fault)
			code := s.run([]string{plain.Login, plain.Password}, "-out", s.file)
			assert.Equal(t, exitLookInto, code, "the error is reported, too")
			assert.Contains(t, s.errs.String(), "login: fastly: POST /tokens")
			assert.Equal(t, "the-access-token-of-the-answer", s.saved())
			assert.NotContains(t, s.errs.String(), "the-access-token-of-the-answer")
		})
	}
}

// full is a disk with no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestTokenThatCannotBeKeptIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	assert.Equal(t, exitLookInto, s.runTo(t.Context(), full{}, answers, "-print", "-scope", "global"))
	token, ok := s.made()
	require.True(t, ok)
	assert.False(t, token.DeletedAt.IsZero(), "the token is still there")
	assert.Contains(t, s.errs.String(), "disk full")
	assert.Contains(t, s.errs.String(), "revoked again")
	s.assertSilent()

	s = newSession(t)
	assert.Equal(t, exitLookInto, s.runTo(t.Context(), full{}, answers, "-print", "-scope", "purge_all"))
	token, ok = s.made()
	require.True(t, ok)
	assert.Contains(t, s.errs.String(), token.ID)
	assert.Contains(t, s.errs.String(), "can't be revoked from here")
	s.assertSilent()
}

func TestInterruptAtAQuestion(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	ctx, cancel := context.WithCancel(t.Context())
	stdin, keyboard := io.Pipe()
	defer func() { assert.NoError(t, keyboard.Close()) }()
	l := login{base: s.srv.URL, ask: newConsole(stdin, &s.errs), stdout: &s.out, stderr: demo.NewPrinter(&s.errs)}
	go func() {
		defer cancel()
		_, err := io.WriteString(keyboard, ada.Login+"\n")
		assert.NoError(t, err)
	}()
	assert.Equal(t, demo.ExitInterrupted, l.run(ctx, []string{"-out", s.file}))
	assert.Contains(t, s.errs.String(), "nothing was created")
	assert.Empty(t, s.srv.Requests())
	s.assertFiles()
}

func TestInterruptInACreateSaysThatATokenMayExist(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	plain := s.srv.AddUser(fastlytest.User{})
	s.srv.Inject(fastlytest.Fault{Kind: fastlytest.StallAfter})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		assert.Eventually(t, func() bool { _, ok := s.made(); return ok }, 10*time.Second, time.Millisecond)
	}()
	assert.Equal(t, exitLookInto, s.runTo(ctx, &s.out, []string{plain.Login, plain.Password}, "-out", s.file))
	assert.Contains(t, s.errs.String(), "may exist")
	s.assertFiles()
}

func TestDemoNeedsNoTyping(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"-demo", "-out", file}, strings.NewReader(""), &out, &errs)
	require.Equal(t, exitCreated, code, "stderr: %s", errs.String())
	assert.Contains(t, errs.String(), "made up, and no secret")
	assert.Contains(t, errs.String(), ada.OTP)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Len(t, text, 32)
	assert.NotContains(t, errs.String(), string(text))
}

func TestFileIsAnAPIKeyAsItIs(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	require.Equal(t, exitCreated, s.run(answers, "-out", s.file), "stderr: %s", s.errs.String())
	key, err := os.ReadFile(s.file)
	require.NoError(t, err)
	client, err := fastly.NewClient(fastly.WithAPIKey(string(key)), fastly.WithBaseURL(s.srv.URL))
	require.NoError(t, err)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
}

func TestScopeThatTheAPIRefusesIsAnsweredWithTheScopesThereAre(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	assert.Equal(t, demo.ExitFailed, s.run(answers, "-out", s.file, "-scope", "everything"))
	assert.Contains(t, s.errs.String(), `login: the API refuses the scope "everything" (400 invalid_scope): the scopes are global, purge_select, purge_all, global:read`)
	assert.NotContains(t, s.errs.String(), "ScopeGlobal")
	s.assertFiles()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, strings.NewReader(""), &out, &errs))
	demotest.AssertHelp(t, out.String(), "login", "-out file")
	assert.Contains(t, out.String(), "0d: forever (default 90d)")
	assert.Empty(t, errs.String())
}

func TestProcess(t *testing.T) {
	t.Parallel()
	binary := demotest.Build(t)
	srv := demotest.Start(t)
	p := demotest.Command(t, srv, binary, "-print", "-name", "by pipe")
	p.Stdin = strings.NewReader(strings.Join(answers, "\r\n") + "\r\n")
	require.Equal(t, exitCreated, p.Code(t), "stderr: %s", p.Err.String())
	tokens := srv.Tokens()
	made := tokens[len(tokens)-1]
	assert.Equal(t, "by pipe", made.Name)
	assert.Equal(t, made.AccessToken.Reveal()+"\n", p.Out.String())
	demotest.AssertNoSecret(t, srv, p.Err.String())
}
