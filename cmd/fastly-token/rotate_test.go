//go:build unix

package main

import (
	"encoding/json"
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

const oldID = "5sNpEx2UkYf9WdTa6mJv4G"

// newRotateSite is a site with a token to rotate, and a key and a login of its
// user.
func newRotateSite(t testing.TB) *site {
	s := newExecSite(t)
	stock(s)
	return s
}

// read returns the content of a file.
func (s *site) read(path string) string {
	s.t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(s.t, err)
	return string(content)
}

func TestRotateToAFile(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	path := s.file("token", "the old one")

	o := s.run("rotate", oldID, "--out", path)

	require.Equal(t, 0, o.code, o.err)
	require.Len(t, s.made(), 1)
	token := s.made()[0]
	assert.Equal(t, token.AccessToken.Reveal(), s.read(path))
	old, _ := s.Token(oldID)
	assert.Equal(t, old.Scopes, token.Scopes)
	assert.ElementsMatch(t, old.Services, token.Services)
	assert.WithinDuration(t, token.CreatedAt.Add(old.ExpiresAt.Sub(old.CreatedAt)), token.ExpiresAt, time.Minute, "want the same lifetime")
	assert.True(t, isRevoked(t, s, oldID))
	assert.Contains(t, o.out, token.ID)
	assert.Contains(t, o.out, "Token "+oldID+" is revoked.\n")
	assert.NoFileExists(t, filepath.Join(s.dir, ".token.rotation"))

	o = s.run("rotate", oldID, "--out", path)

	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "404 Record not found")
	assert.Contains(t, o.err, "the destination of the handover holds token "+token.ID+", which works; nothing has changed")
	assert.Len(t, s.made(), 1)
}

func TestRotateTheCurrentToken(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	path := filepath.Join(s.dir, "token")
	id := s.Tokens()[0].ID

	o := s.run("rotate", "--json", "--out", path, "--ttl", "30d")

	require.Equal(t, 0, o.code, o.err)
	var got struct {
		State    string
		Old, New fastly.TokenResponse
		Revoked  []string
		Left     []string
	}
	require.NoError(t, json.Unmarshal([]byte(o.out), &got))
	assert.Equal(t, "done", got.State)
	assert.Equal(t, id, got.Old.ID)
	assert.Equal(t, s.made()[0].ID, got.New.ID)
	assert.Equal(t, []string{id}, got.Revoked)
	assert.Empty(t, got.Left)
	assert.WithinDuration(t, time.Now().Add(30*day), got.New.ExpiresAt, time.Minute)

	s.set(varToken, s.read(path))
	assert.Equal(t, 0, s.run("whoami", "--require", "global").code)
}

func TestRotateToACommand(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	s.env = append(s.env, "COPY="+s.Key().Reveal(), "FASTLY_SERVICE_ID=abc")
	store := filepath.Join(s.dir, "store")

	o := s.run("rotate", oldID, "--state", filepath.Join(s.dir, "state"), "--", "sh", "-c", "env >"+store+".env; cat >"+store)

	require.Equal(t, 0, o.code, o.err)
	assert.Equal(t, s.made()[0].AccessToken.Reveal(), s.read(store), "want the token and no line break")
	env := s.read(store + ".env")
	assert.NotContains(t, env, s.Key().Reveal())
	assert.NotContains(t, env, varUsername)
	assert.NotContains(t, env, varPassword)
	assert.Contains(t, env, "FASTLY_SERVICE_ID=abc")
	assert.True(t, isRevoked(t, s, oldID))
}

func TestCommandThatDoesNotTakeTheTokenChangesNothing(t *testing.T) {
	t.Parallel()
	for command, says := range map[string]string{
		"exit 1":                "the command did not take the access token",
		"exit 0":                "the command did not read the access token to its end",
		"head -c 31 >/dev/null": "the command did not read the access token to its end",
		"cat >&- 2>/dev/null":   "the command did not take the access token",
	} {
		s := newRotateSite(t)
		o := s.run("rotate", oldID, "--state", filepath.Join(s.dir, "state"), "--", "sh", "-c", command)
		assert.Equal(t, exitFailed, o.code, command)
		assert.Contains(t, o.err, says, command)
		assert.Contains(t, o.err, "nothing has changed", command)
		assert.False(t, isRevoked(t, s, oldID), command)
		s.assertRevoked()
	}
}

func TestCommandThatIsKilledMayHaveTheToken(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	state := filepath.Join(s.dir, "state")
	o := s.run("rotate", oldID, "--state", state, "--", "sh", "-c", "kill -KILL $$")
	assert.Equal(t, exitLookInto, o.code)
	assert.Contains(t, o.err, "run again")
	assert.False(t, isRevoked(t, s, oldID))
	assert.Len(t, active(s.made()), 1, "it may be in use")

	o = s.run("rotate", oldID, "--state", state, "--", "sh", "-c", "cat >"+filepath.Join(s.dir, "store"))
	assert.Equal(t, 0, o.code, o.err)
	assert.True(t, isRevoked(t, s, oldID))
	assert.Len(t, active(s.made()), 1)
}

func TestTokenThatACommandMayHaveIsNamedAlthoughTheOldOneIsRevoked(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	store, state := filepath.Join(s.dir, "store"), filepath.Join(s.dir, "state")
	rotate := func(id, command string) outcome {
		return s.run("rotate", id, "--json", "--state", state, "--", "sh", "-c", command)
	}
	require.Equal(t, exitLookInto, rotate(oldID, "cat >"+store+"; kill -KILL $$").code)
	fresh := s.made()[0]
	require.Equal(t, 0, s.run("revoke", oldID).code)

	o := rotate(oldID, "cat >"+store)

	assert.Equal(t, exitLookInto, o.code)
	assert.Contains(t, o.err, "run again, with the ID of one that is in use")
	assert.Contains(t, o.err, "the state file is \""+state+"\": if you run again with another ID, give it to --state")
	assert.Contains(t, o.out, `"id": "`+fresh.ID+`"`)
	assert.NotContains(t, o.err+o.out, "nobody holds")
	assert.Equal(t, []fastly.TokenCreatedResponse{fresh}, active(s.made()), "it is in use")

	rotate(fresh.ID, "cat >"+store)
	left := active(s.made())
	require.Len(t, left, 1)
	assert.Equal(t, left[0].AccessToken.Reveal(), s.read(store))
	assert.NotEqual(t, fresh.ID, left[0].ID)
}

// The command reads a whole token even if the program dies as soon as it has
// started it: what it stores in the end works, and so does the next run, which
// begins only when the command has ended.
func TestKilledRightAfterTheCommandsStartItStillGetsAWholeToken(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	store, state := filepath.Join(s.dir, "store"), filepath.Join(s.dir, "state")
	p := s.command("rotate", oldID, "--state", state, "--",
		"sh", "-c", `kill -KILL $PPID; cat >`+store+`.new; while [ ! -e `+store+`.go-on ]; do sleep 0.02; done; mv `+store+`.new `+store)
	p.Stdout, p.Stderr = nil, nil // no pipe, whose end Wait would await
	require.NoError(t, p.Start())
	assert.Equal(t, -1, p.end(s), "it was killed")
	again := []string{"rotate", oldID, "--state", state, "--", "sh", "-c", "cat >" + store}
	o := s.run(again...)
	assert.Equal(t, exitFailed, o.code, "the command still runs")
	assert.Contains(t, o.err, "another run has the ")
	s.file("store.go-on", "")
	require.Eventually(t, func() bool { _, err := os.Stat(store); return err == nil }, 30*time.Second, 2*time.Millisecond)
	assert.Equal(t, s.made()[0].AccessToken.Reveal(), s.read(store))
	assert.False(t, isRevoked(t, s, oldID))

	require.Eventually(t, func() bool { return s.run(again...).code == 0 }, 30*time.Second, 2*time.Millisecond)
	left := active(s.made())
	require.Len(t, left, 1)
	assert.Equal(t, left[0].AccessToken.Reveal(), s.read(store))
	assert.True(t, isRevoked(t, s, oldID))
}

func TestGracePeriodIsWaitedForOrLeftToTheNextRun(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	path := filepath.Join(s.dir, "token")

	o := s.run("rotate", oldID, "--out", path, "--grace", "1h", "--no-wait")
	require.Equal(t, 0, o.code, o.err)
	assert.Regexp(t, `Token `+oldID+` works until \S+: run this again then, on this machine, to revoke it. The state is in "`+filepath.Join(s.dir, ".token.rotation")+`"`, o.out)
	assert.False(t, isRevoked(t, s, oldID))

	// The next run waits for the end, unless it is interrupted.
	signals := make(chan os.Signal, 1)
	stderr := writerFunc(func(b []byte) (int, error) {
		if strings.Contains(string(b), "works until") {
			signals <- syscall.SIGINT
		}
		return len(b), nil
	})
	o = s.runWith(&app{stdin: strings.NewReader(""), signals: signals, stderr: stderr}, "rotate", oldID, "--out", path)
	assert.Equal(t, 130, o.code)
	assert.False(t, isRevoked(t, s, oldID))
	assert.Len(t, s.made(), 1)

	s = newRotateSite(t)
	o = s.run("rotate", oldID, "--out", filepath.Join(s.dir, "token"), "--grace", "1ms")
	assert.Equal(t, 0, o.code, o.err)
	assert.True(t, isRevoked(t, s, oldID))
}

func TestRotateAsksForAOneTimePasswordIfTheAPIDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.AddUser(ada)
	key := s.AddToken(u.ID, fastly.TokenCreatedResponse{})
	s.set(varToken, key.AccessToken.Reveal())
	s.logIn(ada)
	path := filepath.Join(s.dir, "token")

	o := s.run("rotate", "--out", path)
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.err, "--otp-file")
	assert.NoFileExists(t, path)

	s.set(varOTP, s.file("code", ada.OTP))
	o = s.run("rotate", "--out", path)
	assert.Equal(t, 0, o.code, o.err)
	assert.True(t, isRevoked(t, s, key.ID))
}

func TestRotateThatFailsHalfWayIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	path := filepath.Join(s.dir, "token")
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodDelete, Status: 500, Times: -1})
	o := s.run("rotate", oldID, "--out", path, "--json")
	assert.Equal(t, exitLookInto, o.code)
	assert.Contains(t, o.err, "run again")
	assert.Contains(t, o.out, `"state": "handed over"`)
	assert.Contains(t, o.out, `"`+oldID+`"`)

	s.ClearFaults()
	assert.Equal(t, 0, s.run("rotate", oldID, "--out", path).code)
	assert.True(t, isRevoked(t, s, oldID))
	assert.Len(t, active(s.made()), 1)
}

func TestTwoRotationsAtOnceExcludeEachOther(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	state := filepath.Join(s.dir, "state")
	goOn := filepath.Join(s.dir, "go-on")
	p := s.command("rotate", oldID, "--state", state, "--", "sh", "-c", "echo ready >&2; while [ ! -e "+goOn+" ]; do sleep 0.02; done; cat >/dev/null")
	require.NoError(t, p.Start())
	p.stderr.waitFor(t, "ready")
	o := s.run("rotate", oldID, "--state", state, "--", "true")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "another run has the state file: ")
	assert.Contains(t, o.err, "wait until the other run ends, then run this again")
	s.file("go-on", "")
	assert.Equal(t, 0, p.end(s), p.stderr.String())
}

func TestRotateRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	for _, args := range [][]string{
		{},
		{"--out", "x", "--", "cat"},
		{"a", "b", "--out", "x"},
		{"not/an/id", "--out", "x"},
		{"--out", "x", "--ttl", "1ms"},
		{"--", "no-such-command-anywhere"},
		{"--out", "x", "--state", "./x"},
		{"--out", "x.lock", "--state", "x"},
		{"--current", "--", "cat"},
		{"--current", oldID, "--out", "x"},
	} {
		o := s.run(append([]string{"rotate"}, args...)...)
		assert.Equal(t, exitUsage, o.code, "%v: %s", args, o.err)
		assert.Contains(t, o.err, "see fastly-token rotate --help")
	}
	for _, ttl := range []string{"0", "0d", "1ms"} {
		assert.Contains(t, s.run("rotate", "--out", "x", "--ttl", ttl).err, "without it, the new token works as long as the old one", ttl)
	}
	o := s.run("rotate", "--out", s.dir)
	assert.NotEqual(t, 0, o.code)
	assert.Contains(t, o.err, "not a regular file")
	assert.Empty(t, s.made())
}

func TestRotateTheTokenOfAFileAgainAndAgain(t *testing.T) {
	t.Parallel()
	for name, withKey := range map[string]bool{"a purge token, with a key": true, "a global token, without one": false} {
		s := newRotateSite(t)
		token := s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "mine"}})
		if withKey {
			token, _ = s.Token(oldID)
		} else {
			s.set(varToken, "")
		}
		path := s.file("token", token.AccessToken.Reveal())
		require.NoError(t, os.Chmod(path, 0o644)) // #nosec G302 -- as a file that everybody may read
		for n := range 3 {
			o := s.run("rotate", "--current", "--out", path)
			require.Equal(t, 0, o.code, "%s: %s", name, o.err)
			assert.Equal(t, n == 0, strings.Contains(o.err, "without access by others"), o.err)
			assert.Len(t, s.made(), n+1)
			assert.Equal(t, s.made()[n].AccessToken.Reveal(), s.read(path))
		}
		assert.True(t, isRevoked(t, s, token.ID), name)
		assert.Len(t, active(s.made()), 1, name)

	}
}

// The access token has expired, or was revoked, and the file keeps its mode.
func TestRotateSaysHowToReplaceAnAccessTokenThatIsDead(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	expired := s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: time.Now().Add(-time.Hour)}})
	for name, tc := range map[string]struct{ content, says string }{
		"missing": {"", "no such file"}, "expired": {expired.AccessToken.Reveal(), "this one has expired"}, "revoked": {strings.Repeat("x", 32), "401"},
	} {
		path := filepath.Join(s.dir, name)
		create := []string{"create", "--scope", "purge_all", "--out", path}
		if tc.content != "" {
			require.NoError(t, os.Chmod(s.file(name, tc.content), 0o640)) // #nosec G302 -- as a group may read it
			create = append(create, "--force")
		}

		o := s.run("rotate", "--current", "--out", path)

		assert.Equal(t, exitFailed, o.code, name)
		assert.Contains(t, o.err, "--current: ", name)
		assert.Contains(t, o.err, tc.says, name)
		assert.Equal(t, tc.content != "", strings.Contains(o.err, "--force"), o.err)
		assert.Contains(t, o.err, "fastly-token create --scope SCOPE --out \""+path+"\"", name)

		require.Equal(t, 0, s.run(create...).code, name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, tc.content != "", info.Mode() == 0o640, "%s: %v", name, info.Mode())
		assert.Equal(t, 0, s.run("rotate", "--current", "--out", path).code, name)
	}
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 503, Times: -1})
	assert.NotContains(t, s.run("rotate", "--current", "--out", filepath.Join(s.dir, "missing")).err, "create", "it may work")
}

func TestRotateWithoutCurrentDoesNotOverwriteAnotherAccessToken(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]func(*site) string{
		"a dead one": func(*site) string { return strings.Repeat("x", 32) },
		"another":    func(s *site) string { token, _ := s.Token(oldID); return token.AccessToken.Reveal() },
	} {
		s := newRotateSite(t)
		path := s.file("token", content(s)+"\n")
		before := s.read(path)
		o := s.run("rotate", "--out", path)
		assert.Equal(t, exitUsage, o.code, "%s: %s", name, o.err)
		assert.Contains(t, o.err, "add --current", name)
		assert.Contains(t, o.err, varToken, name)
		assert.Equal(t, before, s.read(path), name)
		assert.Empty(t, s.Requests(), name)
	}
	s := newRotateSite(t)
	o := s.run("rotate", "--out", s.file("token", "to be replaced\n"))
	assert.Equal(t, 0, o.code, o.err)
}

func TestRotateSaysThatItWasTheTokenOfTheAPIKey(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	own := s.Tokens()[0]
	path := filepath.Join(s.dir, "token")
	says := func(o outcome) bool {
		require.Equal(t, 0, o.code, o.err)
		return strings.Contains(o.err, "token "+own.ID+" was that of the API key in FASTLY_API_TOKEN, which stops working with it\n")
	}
	assert.True(t, says(s.run("rotate", "--out", path, "--grace", "1h", "--no-wait")))
	assert.False(t, says(s.run("rotate", "--out", path, "--no-wait")), "it was said before")
	assert.Len(t, s.made(), 1)

	s = newRotateSite(t)
	own = s.Tokens()[0]
	assert.False(t, says(s.run("rotate", oldID, "--out", filepath.Join(s.dir, "token"))))
	assert.True(t, says(s.run("rotate", "--state", filepath.Join(s.dir, "state"), "--", "sh", "-c", "cat >/dev/null")))

	s = newRotateSite(t)
	s.set(varToken, "")
	s.set(varTokenFile, s.file("token", s.Key().Reveal()+"\n"))
	for range 2 {
		o := s.run("rotate", "--out", filepath.Join(s.dir, "token"))
		assert.Equal(t, 0, o.code, o.err)
		assert.Empty(t, o.err, "the file has the new one")
	}
	assert.Len(t, active(s.Tokens()[1:]), 6, "the stock, and the new one")
}

func TestRotateChecksItsPlacesFirst(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	in := func(path string) string { return filepath.Join(s.dir, path) }
	require.NoError(t, os.Symlink(".", in("link")))
	for _, args := range [][]string{
		{"--out", in("no/token")},
		{"--out", in("no/token"), "--state", in("state")},
		{"--out", in("token"), "--state", in("no/state")},
		{"--out", in("token"), "--state", in("link/token")}, // removed in the end
		{"--out", in("token"), "--state", in("Token")},      // some file systems ignore case
		{"--out", in("token"), "--state", in("token") + "/"},
		{"--state", in("no/state"), "--", "cat"},
	} {
		o := s.run(append([]string{"rotate", oldID}, args...)...)
		assert.Equal(t, exitUsage, o.code, "%v: %s", args, o.err)
	}
	assert.Empty(t, s.Requests())
}

func TestRotateByKeyNeedsSudo(t *testing.T) {
	t.Parallel()
	s := newRotateSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodPost, Status: 403, Body: `{"msg":"You must POST /sudo to access this endpoint"}`})
	path := filepath.Join(s.dir, "token")
	o := s.run("rotate", oldID, "--by-key", "--out", path)
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "use --username and --password-file")
	assert.Contains(t, o.err, "nothing has changed")

	sudo(s)
	o = s.run("rotate", oldID, "--by-key", "--out", path)
	assert.Equal(t, 0, o.code, o.err)
}
