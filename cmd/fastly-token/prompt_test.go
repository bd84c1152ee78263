//go:build unix

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"
)

// pseudoTerminal is a pseudo-terminal: a keyboard, and what the program shows.
type pseudoTerminal struct {
	t        testing.TB
	keyboard *os.File
	tty      *os.File // the program's end
	start    term.State
	shown    lockedBuffer
}

func newTerminal(t testing.TB) *pseudoTerminal {
	t.Helper()
	keyboard, tty, err := pty.Open()
	require.NoError(t, err)
	state, err := term.GetState(int(tty.Fd()))
	require.NoError(t, err)
	tm := &pseudoTerminal{t: t, keyboard: keyboard, tty: tty, start: *state}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buf)
			_, _ = tm.shown.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, tty.Close())
		assert.NoError(t, keyboard.Close())
		<-done
	})
	return tm
}

// asBefore reports whether the terminal's settings, its echo among them, are
// those it had at the start.
func (tm *pseudoTerminal) asBefore() bool {
	state, err := term.GetState(int(tm.tty.Fd()))
	require.NoError(tm.t, err)
	return *state == tm.start
}

// waitFor waits for a prompt, and for the echo to be on or off.
func (tm *pseudoTerminal) waitFor(prompt string, echo bool) {
	tm.t.Helper()
	require.Eventually(tm.t, func() bool { return strings.HasSuffix(tm.shown.String(), prompt) }, 30*time.Second, 2*time.Millisecond, "want the prompt %q", prompt)
	require.Eventually(tm.t, func() bool { return tm.asBefore() == echo }, 30*time.Second, 2*time.Millisecond, "want echo to be %v", echo)
}

func (tm *pseudoTerminal) typeKeys(text string) {
	tm.t.Helper()
	_, err := tm.keyboard.WriteString(text)
	require.NoError(tm.t, err)
}

// start starts the program with the terminal as its controlling one.
func (s *site) startAt(tm *pseudoTerminal, args ...string) *process {
	s.t.Helper()
	p := s.command(args...)
	p.Stdin, p.Stderr = tm.tty, tm.tty
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(s.t, p.Start())
	return p
}

func TestPasswordIsAskedForWithoutEcho(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varToken, "")
	s.AddUser(ada)
	tm := newTerminal(t)
	p := s.startAt(tm, "create", "--out", filepath.Join(s.dir, "token"))
	tm.waitFor("User name: ", true)
	tm.typeKeys(ada.Login + "\n")
	tm.waitFor("Password for "+ada.Login+": ", false)
	tm.typeKeys(ada.Password + "\n")
	tm.waitFor("One-time password: ", true)
	tm.typeKeys("000000\n")
	tm.waitFor("that one-time password was not accepted\r\nOne-time password: ", true)
	tm.typeKeys(ada.OTP + "\n")
	require.Equal(t, 0, p.end(s), tm.shown.String())
	assert.True(t, tm.asBefore())
	assert.NotContains(t, tm.shown.String(), ada.Password)
	assert.Len(t, s.made(), 1)
}

func TestOneTimePasswordIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.AddUser(ada)
	s.logIn(ada)
	tm := newTerminal(t)
	p := s.startAt(tm, "create", "--out", filepath.Join(s.dir, "token"))
	for try := range maxCodes {
		require.Eventually(t, func() bool { return strings.Count(tm.shown.String(), "One-time password: ") == try+1 }, 30*time.Second, 2*time.Millisecond)
		tm.typeKeys("000000\n")
	}
	assert.Equal(t, exitFailed, p.end(s), tm.shown.String())
	assert.Len(t, s.Requests(), 1+maxCodes)
}

func TestWhateverEndsThePasswordPromptTheTerminalEchoesAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(*pseudoTerminal, *process)
		code int
	}{
		"Ctrl-C":  {func(tm *pseudoTerminal, _ *process) { tm.typeKeys("half\x03") }, 130},
		`Ctrl-\`:  {func(tm *pseudoTerminal, _ *process) { tm.typeKeys("half\x1c") }, 131},
		"Return":  {func(tm *pseudoTerminal, _ *process) { tm.typeKeys("\n") }, exitUsage},
		"Ctrl-D":  {func(tm *pseudoTerminal, _ *process) { tm.typeKeys("\x04") }, exitUsage},
		"hang-up": {func(_ *pseudoTerminal, p *process) { _ = p.Process.Signal(syscall.SIGHUP) }, 129},
		"SIGTERM": {func(_ *pseudoTerminal, p *process) { _ = p.Process.Signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tm := newTerminal(t)
			p := s.startAt(tm, "create", "--username", "ada", "--out", filepath.Join(s.dir, "token"))
			tm.waitFor("Password for ada: ", false)
			tc.end(tm, p)
			assert.Equal(t, tc.code, p.end(s), tm.shown.String())
			assert.True(t, tm.asBefore(), "the terminal is left without an echo")
			assert.NotContains(t, tm.shown.String(), "half")
			assert.Empty(t, s.Requests())
		})
	}
}

func TestWhatIsNotTypedIsNamed(t *testing.T) {
	t.Parallel()
	for prompt, typed := range map[string][]string{
		"User name: ":         {""},
		"Password for ada: ":  {"ada", ""},
		"One-time password: ": {ada.Login, ada.Password, ""},
	} {
		s := newSite(t)
		s.AddUser(ada)
		tm := newTerminal(t)
		p := s.startAt(tm, "create", "--out", filepath.Join(s.dir, "token"))
		for i, question := range []string{"User name: ", "Password for " + typed[0] + ": ", "One-time password: "}[:len(typed)] {
			tm.waitFor(question, i != 1)
			tm.typeKeys(typed[i] + "\n")
		}
		assert.Equal(t, exitUsage, p.end(s), tm.shown.String())
		tm.waitFor(prompt+"nothing was typed; see fastly-token create --help\r\n", true)
		assert.Empty(t, s.made())
	}
}

func TestCtrlDEndsAnAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.User()
	tm := newTerminal(t)
	p := s.startAt(tm, "create", "--out", filepath.Join(s.dir, "token"))
	tm.waitFor("User name: ", true)
	tm.typeKeys(u.Login + "\x04")
	tm.waitFor("Password for "+u.Login+": ", false)
	tm.typeKeys(u.Password + "\x04")
	assert.Equal(t, 0, p.end(s), tm.shown.String())
	assert.Len(t, s.made(), 1)
}

func TestNothingPromptsWhereNobodyIs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ci     string
		flag   []string
		reason string // why nobody is asked
	}{
		"a terminal":     {"", nil, ""},
		"CI":             {"true", nil, "because CI is set"},
		"CI with a 1":    {"1", nil, "because CI is set"},
		"CI that is off": {"false", nil, ""},
		"--no-input":     {"", []string{"--no-input"}, "because of --no-input"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.AddUser(ada)
			s.set("CI", tc.ci)
			out := filepath.Join(s.dir, "token")
			asks := map[string][]string{
				"User name: ":         {"create", "--out", out},
				"Password for ada: ":  {"create", "--username", "ada", "--out", out},
				"One-time password: ": {"create", "--username", ada.Login, "--password-file", s.file("password", ada.Password), "--out", out},
				"> ":                  {"audit", "--revoke-unused"},
			}
			stock(s)
			for prompt, args := range asks {
				tm := newTerminal(t)
				p := s.startAt(tm, append(tc.flag, args...)...)
				if tc.reason == "" {
					require.Eventually(t, func() bool { return strings.HasSuffix(tm.shown.String(), prompt) }, 30*time.Second, 2*time.Millisecond)
					tm.typeKeys("\x04")
					p.end(s)
					continue
				}
				assert.Equal(t, exitUsage, p.end(s), tm.shown.String())
				want := regexp.MustCompile("(--password-file|--otp-file|--yes)[^\n]*[,;] (it was )?not asked for " + tc.reason)
				require.Eventually(t, func() bool { return want.MatchString(tm.shown.String()) },
					30*time.Second, 2*time.Millisecond, "want what is missing, and why it is not asked for")
				assert.NotContains(t, tm.shown.String(), prompt)
			}
		})
	}
}

func TestAuditAsksBeforeItRevokes(t *testing.T) {
	t.Parallel()
	for typed, gone := range map[string]bool{"yes\n": true, "YES \n": true, "no\n": false, "\n": false, "\x04": false} {
		s := newSite(t)
		stock(s)
		tm := newTerminal(t)
		p := s.startAt(tm, "audit", "--revoke-unused")
		tm.waitFor("> ", true)
		assert.Contains(t, tm.shown.String(), "type yes to revoke 2")
		tm.typeKeys(typed)
		assert.Equal(t, exitFinding, p.end(s), tm.shown.String())
		assert.Equal(t, gone, isRevoked(t, s, "0wKdJy4AtSn7ReXp9qGh2Z"), "typed %q", typed)
	}
}

func TestColorIsForTerminalsThatWantIt(t *testing.T) {
	t.Parallel()
	for variable, color := range map[string]bool{"X=1": true, "NO_COLOR=1": false, "NO_COLOR=": true, "TERM=dumb": false} {
		s := newSite(t)
		stock(s)
		s.env = append(s.env, variable)
		tm := newTerminal(t)
		require.NoError(t, pty.Setsize(tm.keyboard, &pty.Winsize{Rows: 24, Cols: 80}))
		p := s.command("audit")
		p.Stdout = tm.tty
		require.NoError(t, p.Start())
		assert.Equal(t, exitFinding, p.end(s))
		require.Eventually(t, func() bool { return strings.Contains(tm.shown.String(), "all-services") }, 30*time.Second, time.Millisecond)
		assert.Equal(t, color, strings.Contains(tm.shown.String(), "\x1b[31mnever!\x1b[0m"), "%s: %q", variable, tm.shown.String())
	}
}
