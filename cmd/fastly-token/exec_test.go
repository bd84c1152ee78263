//go:build unix

package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/internal/secretfile"
)

// newExecSite is a site whose program has a key, and a login of the same user.
func newExecSite(t testing.TB) *site {
	s := newSite(t)
	s.logIn(s.User())
	return s
}

// assertRevoked checks that a token was made and that none is left.
func (s *site) assertRevoked() {
	s.t.Helper()
	assert.NotEmpty(s.t, s.made(), "no token was made")
	assert.Empty(s.t, active(s.made()), "a token is left")
}

func TestExecGivesTheCommandATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	fifo, huge := filepath.Join(s.dir, "fifo"), s.file("huge", "") // which nobody writes to, and which is too long
	require.NoError(t, errors.Join(syscall.Mkfifo(fifo, 0o600), os.Truncate(huge, 1<<30)))
	s.env = append(s.env, "FASTLY_SERVICE_ID=abc", "FASTLY_DEBUG_MODE=true", "PLAIN_FILE="+s.file("plain", "text"),
		"COPY=x "+s.Key().Reveal()+" y", "PW="+s.User().Password, varOTP+"=/no/such", varKey+"=another-key-of-somebody",
		varTOTP+"=/no/such", "FASTLY_PASSWORD=x", "FASTLY_TF_API_KEY=x",
		"MY_TOKEN_FILE="+s.file("copy", s.Key().Reveal()+"\n"), "SAME_FILE="+filepath.Join(s.dir, ".", "password"),
		"LONG_FILE="+s.file("long", strings.Repeat("A=b\n", 5000)+"KEY="+s.Key().Reveal()+"\n"), "HUGE_FILE="+huge, "PIPE_FILE="+fifo)
	stdout := &strings.Builder{} // has the token

	o := s.runWith(&app{stdin: strings.NewReader(""), stdout: stdout}, "exec", "--scope", "purge_all", "--service", serviceA, "--ttl", "5m", "--", "env")

	require.Equal(t, 0, o.code, o.err)
	s.assertRevoked()
	token := s.made()[0]
	assert.Equal(t, fastly.Scopes{"purge_all"}, token.Scopes)
	assert.Equal(t, []string{serviceA}, token.Services)
	assert.WithinDuration(t, time.Now().Add(5*time.Minute), token.ExpiresAt, time.Minute)
	fastlyVars := regexp.MustCompile("(?m)^FASTLY_.*$").FindAllString(stdout.String(), -1)
	assert.ElementsMatch(t, []string{
		varURL + "=" + s.URL, "FASTLY_SERVICE_ID=abc", "FASTLY_DEBUG_MODE=true", varToken + "=" + token.AccessToken.Reveal(),
	}, fastlyVars)
	assert.Contains(t, stdout.String(), "PLAIN_FILE=")
	assert.Contains(t, stdout.String(), "PIPE_FILE=")
	assert.NotContains(t, stdout.String(), s.Key().Reveal())
	assert.NotContains(t, stdout.String(), s.User().Password)
	assert.Contains(t, o.err, "not passed on, because they hold or may hold credentials: COPY PW MY_TOKEN_FILE SAME_FILE LONG_FILE HUGE_FILE\n")
	assert.Contains(t, o.err, "revoked token "+token.ID)
}

// hangs returns an app that can't read the files of that name, as on a mount that
// does not answer, until the test ends.
func hangs(t *testing.T, name string, reading func()) *app {
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	return &app{stdin: strings.NewReader(""), readFile: func(path string, limit int64) (string, error) {
		if filepath.Base(path) == name {
			reading()
			<-released
		}
		return secretfile.ReadRegular(path, limit)
	}}
}

func TestFileThatHangsIsNotPassedOnAndKeepsNoToken(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"exec -- sh -c", "rotate --state state -- sh -c"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := newExecSite(t)
			s.env = append(s.env, "HUNG_FILE="+s.file("hung", "text"), "PLAIN_FILE="+s.file("plain", "text"))
			a := hangs(t, "hung", func() { assert.Empty(t, s.made(), "a token waits for a file") })
			args := strings.Fields(strings.Replace(args, "state state", "state "+filepath.Join(s.dir, "state"), 1))
			o := s.runWith(a, append(args, `cat >/dev/null; [ -z "$HUNG_FILE" ] && [ -n "$PLAIN_FILE" ]`)...)
			assert.Equal(t, 0, o.code, o.err)
			assert.Contains(t, o.err, "not passed on, because they hold or may hold credentials: HUNG_FILE\n")
			assert.NotEmpty(t, s.made())
		})
	}
}

func TestSignalEndsTheSearchOfFiles(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.env = append(s.env, "HUNG_FILE="+s.file("hung", "text"))
	signals := make(chan os.Signal)
	a := hangs(t, "hung", func() { signals <- syscall.SIGTERM })
	a.signals = signals
	o := s.runWith(a, "exec", "--", "true")
	assert.Equal(t, 128+15, o.code, o.err)
	assert.Empty(t, s.made())
}

func TestExecDoesNotPassAShortPasswordOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.AddUser(fastlytest.User{Login: "short@example.com", Password: "s3cret"})
	s.set(varToken, s.AddToken(u.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal())
	s.logIn(u)
	s.env = append(s.env, "PW="+u.Password, "EMPTY=", "WORD=s3cretary")
	o := s.run("exec", "--", "sh", "-c", `[ -z "${PW+set}" ] && [ -n "${EMPTY+set}" ] && [ -n "$WORD" ]`)
	assert.Equal(t, 0, o.code, o.err)
}

func TestExecMasksItsTokenInAGitHubJob(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.set("GITHUB_ACTIONS", "true")
	p := s.command("exec", "--", "sh", "-c", "exit 9")
	require.NoError(t, p.Start())
	assert.Equal(t, 9, p.end(s))
	assert.True(t, strings.HasPrefix(p.stderr.String(), "::add-mask::"+s.made()[0].AccessToken.Reveal()+"\n"), p.stderr.String())
	assert.Empty(t, p.stdout.String())

	s.set("GITHUB_ACTIONS", "")
	assert.NotContains(t, s.run("exec", "--", "true").err, "add-mask")
}

func TestExecTriesItsTokenBeforeTheCommandStarts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		times  int
		runs   bool
	}{
		"not known yet":                 {401, 1, true},
		"not known for half a minute":   {401, 20, false},
		"not allowed to read itself":    {403, 20, true},
		"the API can't be reached well": {503, 20, false},
	} {
		s := newExecSite(t)
		tried := 0
		s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/tokens/self" && r.Method == http.MethodGet && r.Header.Get("Fastly-Key") != s.Key().Reveal() && tried < tc.times {
				tried++
				s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodGet, Path: "/tokens/self", Status: tc.status})
			}
			return http.DefaultTransport.RoundTrip(r)
		})}))
		o := s.run("exec", "--", "touch", filepath.Join(s.dir, "ran"))
		assert.Equal(t, tc.runs, o.code == 0, "%s: %s", name, o.err)
		if tc.runs {
			assert.FileExists(t, filepath.Join(s.dir, "ran"), name)
		} else {
			assert.NoFileExists(t, filepath.Join(s.dir, "ran"), name)
			assert.Contains(t, o.err, "the new token does not work", name)
			assert.Contains(t, o.err, "; token "+s.made()[0].ID+" was revoked", name)
		}
		s.assertRevoked()
	}
}

func TestExecUsesAnotherVariable(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	o := s.run("exec", "--env", "PURGE_KEY", "--", "sh", "-c", `[ ${#PURGE_KEY} = 32 ] && ! env | grep ^FASTLY_API_TOKEN >&2`)
	assert.Equal(t, 0, o.code, o.err)
	s.assertRevoked()
}

func TestExecEndsAsItsCommandDoes(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 137, "kill -TERM $$": 143} {
		s := newExecSite(t)
		o := s.run("exec", "--", "sh", "-c", command)
		assert.Equal(t, want, o.code, "%s: %s", command, o.err)
		s.assertRevoked()
	}
}

func TestExecPassesInputAndFlagsOn(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.set(varPassword, "")
	stdin := strings.NewReader(s.User().Password + "\nfor the command\n")
	o := s.runWith(&app{stdin: stdin}, "exec", "--password-file", "-", "sh", "-c", "cat; echo $0", "--json")
	assert.Equal(t, 0, o.code, o.err)
	assert.Equal(t, "for the command\n--json\n", o.out)
}

func TestCommandThatCannotRunCostsNoToken(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	plain := s.file("plain", "text")
	for command, want := range map[string]int{
		"no-such-command-anywhere": exitNotFound,
		"/no/such/file":            exitNotFound,
		plain:                      exitNotExecutable,
		s.dir:                      exitNotExecutable,
	} {
		assert.Equal(t, want, s.run("exec", "--", command).code, command)
	}
	assert.Empty(t, s.Requests())

	script := filepath.Join(s.dir, "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o700)) //nolint:gosec // it is to be executed
	assert.Equal(t, exitNotFound, s.run("exec", "--", script).code)
	s.assertRevoked()
}

func TestExecRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	for _, args := range [][]string{
		{}, {"--ttl", "0d", "--", "true"}, {"--service", "a b", "--", "true"}, {"--scope", "a;b", "true"}, {"--nonsense", "--", "true"},
		{"--env", "A=B", "--", "true"}, {"--env", "", "--", "true"},
		{"--env", "PATH", "--", "true"}, {"--env", "LD_PRELOAD", "--", "true"}, // which would break the command, or show the key
		{"--env", "FASTLY_PASSWORD_FILE", "--", "true"}, {"--env", "FASTLY_USERNAME", "--", "true"},
	} {
		o := s.run(append([]string{"exec"}, args...)...)
		assert.Equal(t, exitUsage, o.code, "%v", args)
		assert.Contains(t, o.err, "see fastly-token exec --help")
	}
	assert.Empty(t, s.Requests())
}

func TestExecNeedsAKeyThatCanRevoke(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	purgeOnly(s)
	o := s.run("exec", "--", "true")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "takes the scope global")
	assert.Empty(t, s.made())

	// And that of the same user.
	for _, tc := range []struct {
		customer, scope string
		code            int
	}{
		{"", "purge_select", exitFailed}, // the key is that of a superuser
		{"another", "global", exitFailed},
		{"another", "purge_select", exitLookInto}, // it may not revoke itself
	} {
		s = newExecSite(t)
		s.logIn(s.AddUser(fastlytest.User{CustomerID: tc.customer}))
		o = s.run("exec", "--scope", tc.scope, "--", "touch", filepath.Join(s.dir, "ran"))
		assert.Equal(t, tc.code, o.code, tc)
		assert.Contains(t, o.err, "belong to different users")
		assert.NoFileExists(t, filepath.Join(s.dir, "ran"))
		if tc.code == exitFailed {
			s.assertRevoked()
		} else {
			assert.Contains(t, o.err, s.made()[0].ID)
		}
	}
}

func TestRevokeThatFailsIsSaidWithTheExpiry(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]int{"exit 0": exitLookInto, "exit 7": 7} {
		s := newExecSite(t)
		s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodDelete, Status: 403, Times: -1})
		o := s.run("exec", "--", "sh", "-c", command)
		assert.Equal(t, want, o.code, command)
		token := s.made()[0]
		assert.Contains(t, o.err, "token "+token.ID+" was NOT revoked: it works until it expires, "+stamp(token.ExpiresAt))
	}
}

func TestTokenThatTheCommandRevokedIsNoFailure(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.StatusAfter, Method: http.MethodDelete, Status: 404})
	o := s.run("exec", "--", "true")
	assert.Equal(t, 0, o.code, o.err)
	s.assertRevoked()
}

func TestCreateOfUnknownOutcomeLeavesOneToken(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"no response":                {Kind: fastlytest.CutAfter},
		"response cut in the ID":     {Kind: fastlytest.CutMiddle, Keep: 3},
		"response cut in the middle": {Kind: fastlytest.CutMiddle},
		"bad gateway":                {Kind: fastlytest.StatusAfter, Status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newExecSite(t)
			fault.Method, fault.Path = http.MethodPost, "/tokens"
			s.Inject(fault)
			o := s.run("exec", "--", "true")
			assert.Equal(t, 0, o.code, o.err)
			assert.Len(t, s.made(), 2, "the lost one, and the one in its place")
			s.assertRevoked()
		})
	}
}

func TestPasswordIsSentOnceToACaptivePortal(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Garbage, Method: http.MethodPost, Path: "/tokens"})
	o := s.run("exec", "--", "true")
	assert.Equal(t, exitFailed, o.code, o.err)
	assert.Len(t, s.made(), 1)
	s.assertRevoked()
}

func TestExecByKeyNeedsSudo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodPost, Status: 403, Body: `{"msg":"You must POST /sudo to access this endpoint"}`})
	o := s.run("exec", "--by-key", "--", "true")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "--username and --password-file")
	assert.Empty(t, s.made())

	sudo(s)
	o = s.run("exec", "--by-key", "--", "true")
	assert.Equal(t, 0, o.code, o.err)
	s.assertRevoked()
}

// waiting is a command that says when it is ready, and ends with 41 when it gets
// a signal.
const waiting = `trap "exit 41" INT TERM HUP; echo ready; while :; do sleep 0.02; done`

func TestSignalGoesToTheCommandAndTheTokenIsRevoked(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT,
	} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := newExecSite(t)
			p := s.command("exec", "--", "sh", "-c", strings.Replace(waiting, "HUP", "HUP QUIT USR1 USR2 WINCH CONT", 1))
			p.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal, wherever the tests run
			require.NoError(t, p.Start())
			p.stdout.waitFor(t, "ready")
			require.Len(t, active(s.made()), 1)
			require.NoError(t, p.Process.Signal(sig))
			assert.Equal(t, 41, p.end(s), p.stderr.String())
			s.assertRevoked()
		})
	}
}

func TestStopOfExecStopsTheCommandToo(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	p := s.command("exec", "--", "sh", "-c", `trap "echo stopped" TSTP; trap "echo continued; exit 41" CONT; echo ready; while :; do sleep 0.02; done`)
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, p.Start())
	p.stdout.waitFor(t, "ready")
	require.NoError(t, p.Process.Signal(syscall.SIGTSTP))
	p.stdout.waitFor(t, "stopped")
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	assert.True(t, status.Stopped(), "a shell waits for that")
	require.NoError(t, p.Process.Signal(syscall.SIGCONT))
	assert.Equal(t, 41, p.end(s), p.stderr.String())
	s.assertRevoked()
}

// runWaiting runs a command that waits, and sends signals when it is ready.
func runWaiting(s *site, a *app, command string, signals ...os.Signal) outcome {
	ch := make(chan os.Signal, len(signals))
	a.signals, a.stdin = ch, strings.NewReader("")
	a.stdout = writerFunc(func(b []byte) (int, error) {
		if strings.Contains(string(b), "ready") {
			for _, sig := range signals {
				ch <- sig
			}
		}
		return len(b), nil
	})
	return s.runWith(a, "exec", "--", "sh", "-c", command)
}

func TestInterruptKeyOfATerminalIsNotSentTwice(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	command := `trap "exit 50" INT; trap "exit 51" TERM; echo ready; while :; do sleep 0.02; done`
	// The terminal has sent the first to the command as well.
	o := runWaiting(s, &app{keysSignal: func() bool { return true }}, command, syscall.SIGINT, syscall.SIGTERM)
	assert.Equal(t, 51, o.code, o.err)
	s.assertRevoked()

	s = newExecSite(t)
	o = runWaiting(s, &app{keysSignal: func() bool { return true }}, waiting, syscall.SIGINT, syscall.SIGINT)
	assert.Equal(t, 41, o.code, "a second one is sent on: %s", o.err)
}

func TestInterruptKeyBeforeTheCommandStartsIsSentOn(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	signals := make(chan os.Signal)
	stderr := writerFunc(func(b []byte) (int, error) {
		if strings.Contains(string(b), "created token") {
			signals <- syscall.SIGINT
			signals <- syscall.SIGURG // does nothing; when it is taken, the first one was handled
		}
		return len(b), nil
	})
	command := `trap "exit 50" INT; n=0; while [ $n -lt 100 ]; do sleep 0.02; n=$((n+1)); done; exit 60`
	a := &app{stdin: strings.NewReader(""), stderr: stderr, signals: signals, keysSignal: func() bool { return true }}
	o := s.runWith(a, "exec", "--", "sh", "-c", command)
	assert.Contains(t, []int{50, 128 + 2}, o.code, "the command did not get it")
	s.assertRevoked()
}

func TestSignalDuringTheCreateLeavesNoToken(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.StallAfter, Method: http.MethodPost, Path: "/tokens"})
	signals := make(chan os.Signal, 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.Eventually(t, func() bool { return len(s.made()) == 1 }, 30*time.Second, time.Millisecond)
		signals <- syscall.SIGTERM
		signals <- syscall.SIGINT
	}()
	start, calls := time.Now(), atomic.Int64{}
	s.now = func() time.Time { return start.Add(time.Duration(calls.Add(1)) * time.Second) } // later each time
	exit := func(int) { t.Error("a second signal would end the process and leave the token") }
	o := s.runWith(&app{stdin: strings.NewReader(""), signals: signals, exit: exit}, "exec", "--", "touch", filepath.Join(s.dir, "ran"))
	<-done
	assert.Equal(t, 128+15, o.code, o.err)
	s.assertRevoked()
	assert.NoFileExists(t, filepath.Join(s.dir, "ran"))
}

func TestSignalEndsTheWaitForAPassword(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	fifo := filepath.Join(s.dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, path := range []string{"-", fifo} {
		s.ResetRequests()
		p := s.command("exec", "--password-file", path, "--", "true")
		input, err := p.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, p.Start())
		require.Eventually(t, func() bool { return len(s.Requests()) == 1 }, 30*time.Second, time.Millisecond)
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		assert.Equal(t, 128+15, p.end(s), p.stderr.String())
		_ = input.Close() // closed by Wait
	}
}

func TestExecOutlivesItsLog(t *testing.T) {
	t.Parallel()
	s := newExecSite(t)
	p := s.command("exec", "--", "sh", "-c", "exit 9")
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	p.Stderr = writer
	require.NoError(t, p.Start())
	require.NoError(t, writer.Close())
	assert.Equal(t, 9, p.end(s), "want the command's code, and not an end by SIGPIPE")
	s.assertRevoked()
}
