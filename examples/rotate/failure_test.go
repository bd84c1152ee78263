//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// when does something as soon as the program comes to the point, once.
func (b *bench) when(point string, do func()) {
	done := false
	b.world.at = func(at string) {
		if at == point && !done {
			done = true
			do()
		}
	}
}

func (b *bench) put(text string) {
	b.t.Helper()
	require.NoError(b.t, os.WriteFile(b.out, []byte(text), 0o600))
}

func TestNewTokenThatNeedsAMomentIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.when("answered", func() {
		b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 401, Path: "/tokens/self", Times: 2})
	})

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
}

func TestNewTokenThatDoesNotWorkIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"refused":         {Kind: fastlytest.Status, Status: 401},
		"somebody else's": {Kind: fastlytest.Status, Status: 200, Body: `{"id":"0000000000000000000000"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.put("before")
			fault.Path, fault.Times = "/tokens/self", -1
			b.when("answered", func() { b.Inject(fault) })

			assert.Equal(t, exitFailed, b.run(b.args()...))

			b.assertUntouched("before")
			assert.Contains(t, b.stderr.String(), "nothing has changed")
		})
	}
}

func TestNewTokenWithOtherRightsIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.when("answered", func() {
		b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Path: "/tokens/self",
			Body: `{"id":"` + b.alive()[1].ID + `","name":"deploy","scope":"global"}`})
	})

	assert.Equal(t, exitFailed, b.run(b.args()...))

	b.assertUntouched("")
	assert.Contains(t, b.stderr.String(), "is not what the old one is")
}

func TestFileThatCannotBeReplacedIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.when("written", func() {
		require.NoError(t, os.Mkdir(b.out, 0o700)) // so that the rename fails
	})

	assert.Equal(t, exitFailed, b.run(b.args()...))

	require.NoError(t, os.Remove(b.out))
	b.assertUntouched("")
}

func TestStateFileThatCannotBeWrittenStopsBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	b := newBench(t)

	assert.Equal(t, exitFailed, b.run("-id", b.old.ID, "-out", b.dir+"/no/such/dir/token"))

	assert.Empty(t, b.Requests())
	b.assertUntouched("")
}

func TestCommandThatFailsHasNotTakenTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)

	assert.Equal(t, exitFailed, b.run("-id", b.old.ID, "--", "sh", "-c", "cat >/dev/null; exit 4"))

	b.assertUntouched("")
	assert.Contains(t, b.stderr.String(), "did not take the token: exit status 4")
}

func TestCommandThatWasKilledMayHaveTakenTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)

	assert.Equal(t, exitUnfinished, b.run("-id", b.old.ID, "--", "sh", "-c", `umask 077; cat >"$1"; kill -KILL $$`, "sh", b.out))

	require.Len(t, b.alive(), 2, "both have to work: nobody knows which is in use")
	assert.Contains(t, b.stderr.String(), "token "+b.alive()[1].ID+" may have been handed over; token "+b.old.ID+" still works")
	assert.Contains(t, b.stderr.String(), "the command was killed (signal: killed)")

	require.Equal(t, 0, b.run(append([]string{"-id", b.old.ID, "--"}, b.store()...)...), b.output())
	b.assertRotated()
}

func TestCommandThatFailsTheSecondTimeLeavesTheFirstTokenAlive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.Equal(t, exitUnfinished, b.run("-id", b.old.ID, "--", "sh", "-c", `umask 077; cat >"$1"; kill -KILL $$`, "sh", b.out))
	first := b.alive()[1]

	assert.Equal(t, exitUnfinished, b.run("-id", b.old.ID, "--", "false"))

	require.Len(t, b.alive(), 2)
	assert.Equal(t, first.ID, b.alive()[1].ID, "the token that may be in use has to work on")
	assert.Contains(t, b.stderr.String(), "the command may have taken token "+first.ID)

	require.Equal(t, 0, b.run(append([]string{"-id", b.old.ID, "--"}, b.store()...)...), b.output())
	b.assertRotated()
}

func TestUndoThatFailsIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: 2})

	assert.Equal(t, exitUnfinished, b.run(append([]string{"-state", b.state, "-id", b.old.ID, "--"}, "false")...))
	lost := b.alive()[1]
	assert.Contains(t, b.stderr.String(), "token "+lost.ID+" is made, but not handed over, and to be revoked; token "+b.old.ID+" still works")
	assert.Contains(t, b.stderr.String(), "to finish, run again: rotate -state "+b.state+" -id "+b.old.ID+" -- false\n")

	require.Equal(t, 0, b.run(append([]string{"-state", b.state, "-id", b.old.ID, "--"}, b.store()...)...), b.output())
	b.assertRotated()
}

func TestRevokeThatFailsIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		b := newBench(t)
		args := b.args()
		if own {
			b.use(b.old.AccessToken)
			args = []string{"-out", b.out}
		}
		b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: 2})

		assert.Equal(t, exitUnfinished, b.run(args...))
		assert.Len(t, b.alive(), 2)
		assert.Contains(t, b.stderr.String(), "token "+b.alive()[1].ID+" is handed over and works; still to be revoked: "+b.old.ID)

		require.Equal(t, 0, b.run(args...), b.output())
		b.assertRotated()
		assert.Len(t, b.Tokens(), 3, "no other token should have been made")
	}
}

func TestRevokeSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bench) []string{
		"by another key": func(b *bench) []string { return b.args() },
		"by the token itself": func(b *bench) []string {
			b.use(b.old.AccessToken)
			return []string{"-out", b.out}
		},
	} {
		b := newBench(t)
		args := change(b)
		b.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "DELETE"})

		require.Equal(t, 0, b.run(args...), "%s: %s", name, b.output())
		b.assertRotated()
	}
}

func TestCreateThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 422, Method: "POST"})

	assert.Equal(t, exitFailed, b.run(b.args()...))
	b.assertUntouched("")
}

func TestLostTokenIsRevokedAndAnotherMade(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"no answer":            {Kind: fastlytest.CutAfter},
		"bad gateway":          {Kind: fastlytest.StatusAfter, Status: 502},
		"a captive portal":     {Kind: fastlytest.Garbage},
		"cut before the ID":    {Kind: fastlytest.CutMiddle, Keep: 3},
		"cut before the token": {Kind: fastlytest.CutMiddle},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			fault.Method = "POST"
			b.Inject(fault)

			require.Equal(t, 0, b.run(b.args()...), b.output())

			b.assertRotated()
			assert.Len(t, b.Tokens(), 4, "want the key, the old, the lost and the new token")
			assert.Contains(t, b.stdout.String(), b.Tokens()[2].ID, "the lost token should be named")
		})
	}
}

func TestTokenIsUsedIfOnlyTheEndOfTheAnswerIsMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.CutMiddle, Method: "POST", Keep: 1 << 20})

	require.Equal(t, 0, b.run(b.args()...), b.output())

	b.assertRotated()
	assert.Len(t, b.Tokens(), 3, "no other token should have been made")
}

func TestAccessTokenWithoutAnIDIsIdentified(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.forEver()
	b.when("creating", func() {
		// What the API made, with an answer that breaks off before the ID.
		made := b.AddToken(b.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: b.old.Name}})
		b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Method: "POST", Body: `{"access_token":"` + made.AccessToken.Reveal() + `","name":"fo`})
	})

	require.Equal(t, 0, b.run(b.args()...), b.output())

	b.assertRotated()
	assert.Len(t, b.Tokens(), 4, "no other token should have been made")
}

func TestCreateThatWasLostOnTheWayIsTriedByTheNextRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: "POST", Times: 2})

	assert.Equal(t, exitUnfinished, b.run(b.args()...))
	assert.Contains(t, b.stderr.String(), `a token named "deploy" may have been made`)
	assert.Len(t, b.alive(), 1)

	b.ClearFaults()
	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
}

func TestTokenThatIsMadeLateIsRevokedInTheEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: "POST", Times: 2})
	require.Equal(t, exitUnfinished, b.run(b.args()...))
	b.ClearFaults()
	// The request was only slow: it is carried out during the second run,
	// which asks for another second.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	text, err := os.ReadFile(b.state)
	require.NoError(t, err)
	asked := between(t, string(text), `"asked":["`, `"`)
	expires, err := time.Parse(time.RFC3339, asked)
	require.NoError(t, err)
	var late fastly.TokenCreatedResponse
	b.when("checked", func() {
		late = b.AddToken(b.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: b.old.Name, Scopes: b.old.Scopes, Services: b.old.Services, ExpiresAt: expires,
		}})
	})

	require.Equal(t, 0, b.run(b.args()...), b.output())

	b.assertRotated()
	assert.Contains(t, b.stdout.String(), late.ID)
}

func between(t *testing.T, text, before, after string) string {
	t.Helper()
	_, text, found := strings.Cut(text, before)
	require.True(t, found)
	text, _, found = strings.Cut(text, after)
	require.True(t, found)
	return text
}

func TestLostTokenThatNeverExpiresIsRevokedOnTheUsersWord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.forEver()
	b.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})

	assert.Equal(t, exitUnfinished, b.run(b.args()...))
	require.Len(t, b.alive(), 2)
	lost := b.alive()[1]
	assert.Contains(t, b.stderr.String(), "-leftover "+lost.ID)

	assert.Equal(t, exitUnfinished, b.run(b.args()...), "without a word it should stay that way")
	assert.Len(t, b.alive(), 2)
	assert.Equal(t, exitUnfinished, b.run(append([]string{"-leftover", b.old.ID}, b.args()...)...), "that one is no leftover")
	assert.Len(t, b.alive(), 2)

	require.Equal(t, 0, b.run(append([]string{"-leftover", lost.ID}, b.args()...)...), b.output())
	b.assertRotated()
}

func TestLeftoverIsRefusedWhenNothingIsLeftOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.AddToken(b.User().ID, fastly.TokenCreatedResponse{})
	for _, leftover := range []string{other.ID, "none"} {
		assert.Equal(t, exitFailed, b.run(append([]string{"-leftover", leftover}, b.args()...)...))
		assert.Contains(t, b.stderr.String(), "rotate: -leftover: there is nothing left over")
		b.assertUntouched("")
	}

	b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: 2})
	require.Equal(t, exitUnfinished, b.run(b.args()...))
	assert.Equal(t, exitUnfinished, b.run(append([]string{"-leftover", other.ID}, b.args()...)...))
	assert.Contains(t, b.stderr.String(), "rotate: -leftover: there is nothing left over")
	assert.Contains(t, b.stderr.String(), "to finish, run again: rotate -id "+b.old.ID, "the advice should not be refused again")

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
	got, _ := b.Token(other.ID)
	assert.Zero(t, got.DeletedAt)
}

func TestLeftoverThatIsNotOneIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.AddToken(b.User().ID, fastly.TokenCreatedResponse{})
	b.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: "POST", Times: 2})
	require.Equal(t, exitUnfinished, b.run(b.args()...))
	b.ClearFaults()

	assert.Equal(t, exitUnfinished, b.run(append([]string{"-leftover", other.ID}, b.args()...)...))
	assert.Contains(t, b.stderr.String(), "token "+other.ID+" is not left over from this rotation")

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
	got, _ := b.Token(other.ID)
	assert.Zero(t, got.DeletedAt)
}

func TestTokenOfSomebodyElseIsNeverRevoked(t *testing.T) {
	t.Parallel()
	twin := func(b *bench, expires time.Time) fastly.TokenCreatedResponse {
		return b.AddToken(b.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: b.old.Name, Scopes: b.old.Scopes, Services: b.old.Services, ExpiresAt: expires,
		}})
	}
	lives := func(b *bench, token fastly.TokenCreatedResponse) {
		got, _ := b.Token(token.ID)
		assert.Zero(b.t, got.DeletedAt, "somebody else's token was revoked; output:\n%s", b.output())
	}

	t.Run("one that was there before", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.forEver()
		other := twin(b, time.Time{})
		b.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: "POST", Times: 2})
		require.Equal(t, exitUnfinished, b.run(b.args()...))
		b.ClearFaults()
		require.Equal(t, 0, b.run(b.args()...), b.output())
		lives(b, other)
	})
	t.Run("one with another expiry", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		var other fastly.TokenCreatedResponse
		b.when("creating", func() { other = twin(b, time.Now().Add(lifetime+time.Hour)) })
		b.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
		require.Equal(t, 0, b.run(b.args()...), b.output())
		lives(b, other)
	})
	t.Run("one that never expires either", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.forEver()
		var other fastly.TokenCreatedResponse
		b.when("creating", func() { other = twin(b, time.Time{}) })
		b.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore, Method: "POST", Times: 2})
		assert.Equal(t, exitUnfinished, b.run(b.args()...))
		lives(b, other)
		b.ClearFaults()
		assert.Equal(t, exitUnfinished, b.run(b.args()...))
		lives(b, other)

		require.Equal(t, 0, b.run(append([]string{"-leftover", "none"}, b.args()...)...), b.output())
		lives(b, other)
		assert.Len(t, b.alive(), 2)
	})
}

func TestInterruptBeforeTheHandOverUndoesEverything(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"begun", "creating", "answered"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var cancel context.CancelFunc
			b.ctx, cancel = context.WithCancel(t.Context())
			b.when(point, cancel)

			assert.Equal(t, exitFailed, b.run(b.args()...))
			b.assertUntouched("")
		})
	}
}

func TestInterruptDuringTheCreateLeavesNoToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.ctx = ctx
	b.Inject(fastlytest.Fault{Kind: fastlytest.StallAfter, Method: "POST"})
	go func() {
		defer cancel()
		assert.Eventually(t, func() bool { return len(b.alive()) == 2 }, 10*time.Second, time.Millisecond)
	}()

	assert.Equal(t, exitFailed, b.run(b.args()...))
	b.assertUntouched("")
}

func TestInterruptAfterTheHandOverDoesNotStopTheRevoke(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithCancel(t.Context())
	b.when("handed over", cancel)

	assert.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
}

func TestTwoRunsAtATimeDoNotMeet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.when("answered", func() {
		world := b.world
		var stderr lockedBuffer
		world.stderr, world.at = &stderr, func(string) {}
		assert.Equal(t, exitFailed, rotate(t.Context(), b.args(), world))
		assert.Contains(t, stderr.String(), "another rotate is at work")
	})

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
}

func TestLockEndsAlthoughAChildThatIsBeingStartedHasTheFileOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	j, err := openJournal(path)
	require.NoError(t, err)
	inChild, err := syscall.Dup(int(j.file.Fd()))
	require.NoError(t, err)
	defer func() { assert.NoError(t, syscall.Close(inChild)) }()
	_, err = openJournal(path)
	require.ErrorIs(t, err, errLocked)
	j.size = 1 // so that the file stays
	require.NoError(t, j.close())

	j, err = openJournal(path)
	require.NoError(t, err)
	require.NoError(t, j.close())
}

func TestUnfinishedRotationIsFinishedInItsOwnWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	third := b.AddToken(b.User().ID, fastly.TokenCreatedResponse{})
	b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: 2})
	require.Equal(t, exitUnfinished, b.run(b.args()...))
	requests := len(b.Requests())

	for name, args := range map[string][]string{
		"another token":   {"-state", b.state, "-id", third.ID, "-out", b.out},
		"the key's token": {"-state", b.state, "-out", b.out},
		"another file":    {"-state", b.state, "-id", b.old.ID, "-out", b.out + "2"},
		"a command":       {"-state", b.state, "-id", b.old.ID, "--", "cat"},
	} {
		assert.Equal(t, exitUnfinished, b.run(args...), name)
		assert.Contains(t, b.stderr.String(), b.old.ID, name)
	}
	for _, r := range b.Requests()[requests:] {
		assert.Equal(t, "GET", r.Method, "nothing should have been done")
	}

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.old.Name = "deploy"
	b.assertRotated()
}

func TestTokenThatWasRevokedAfterTheHandOverIsReplacedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: 2})
	require.Equal(t, exitUnfinished, b.run(b.args()...))
	require.NoError(t, b.Client().Tokens.RevokeToken(t.Context(), b.alive()[1].ID))

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
}

func TestStateFileIsReadUpToItsLastWholeLine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: 2})
	require.Equal(t, exitUnfinished, b.run(b.args()...))
	f, err := os.OpenFile(b.state, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"phase":"crea`)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	require.Equal(t, 0, b.run(b.args()...), b.output())
	b.assertRotated()
}

func TestStateFileOfAnotherProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.NoError(t, os.WriteFile(b.state, []byte("precious\n"), 0o600))

	assert.Equal(t, exitFailed, b.run(b.args()...))

	text, err := os.ReadFile(b.state)
	require.NoError(t, err)
	assert.Equal(t, "precious\n", string(text))
	assert.Empty(t, b.Requests())
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	started := time.Date(2030, 5, 6, 7, 0, 0, 0, time.UTC)
	expires := started.Add(lifetime)
	old := fastly.TokenResponse{ID: "old", Name: "n", UserID: "u", Scopes: fastly.Scopes{"a", "b"}, Services: []string{"x"}}
	r := &record{Started: started, Old: old, Known: []string{"known"}, New: "new", Stale: []string{"stale"}, Asked: []time.Time{expires}}
	token := func(change func(*fastly.TokenResponse)) fastly.TokenResponse {
		t := old
		t.ID, t.CreatedAt, t.ExpiresAt, t.Scopes = "lost", started.Add(time.Second), expires, fastly.Scopes{"b", "a"}
		change(&t)
		return t
	}
	never := *r
	never.Asked = []time.Time{{}}
	same := func(*fastly.TokenResponse) {}
	for name, tc := range map[string]struct {
		record *record
		tokens []fastly.TokenResponse
		own    int
		unsure int
	}{
		"none":                         {r, nil, 0, 0},
		"it":                           {r, []fastly.TokenResponse{token(same)}, 1, 0},
		"in another zone":              {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ExpiresAt = expires.In(time.FixedZone("", 3600)) })}, 1, 0},
		"two of them":                  {r, []fastly.TokenResponse{token(same), token(func(t *fastly.TokenResponse) { t.ID = "other" })}, 0, 2},
		"used":                         {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.LastUsedAt = started })}, 0, 1},
		"another name":                 {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.Name = "m" })}, 0, 0},
		"another user":                 {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.UserID = "v" })}, 0, 0},
		"another scope":                {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.Scopes = t.Scopes[:1] })}, 0, 0},
		"another service":              {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.Services = nil })}, 0, 0},
		"a second later":               {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ExpiresAt = expires.Add(time.Second) })}, 0, 0},
		"never":                        {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} })}, 0, 0},
		"made before":                  {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.CreatedAt = started.Add(-time.Hour) })}, 0, 0},
		"known":                        {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ID = "known" })}, 0, 0},
		"the old":                      {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ID = "old" })}, 0, 0},
		"the new":                      {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ID = "new" })}, 0, 0},
		"a stale":                      {r, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ID = "stale" })}, 0, 0},
		"asked for never":              {&never, []fastly.TokenResponse{token(func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} })}, 0, 1},
		"asked for never, but it does": {&never, []fastly.TokenResponse{token(same)}, 0, 0},
	} {
		own, unsure := leftovers(tc.tokens, tc.record)
		assert.Len(t, own, tc.own, name)
		assert.Len(t, unsure, tc.unsure, name)
	}
}

func TestExpiryIsAsFarAwayAsThatOfTheOldTokenWas(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 5, 6, 7, 8, 9, 999, time.UTC)
	whole := now.Truncate(time.Second)
	created := now.Add(-1000 * time.Hour)
	for name, tc := range map[string]struct {
		created, expires time.Time
		ttl              time.Duration
		want             time.Time
		fails            bool
	}{
		"the same":           {created: created, expires: created.Add(lifetime), want: whole.Add(lifetime)},
		"never":              {created: created},
		"chosen":             {created: created, expires: created.Add(lifetime), ttl: time.Hour, want: whole.Add(time.Hour)},
		"chosen after never": {created: created, ttl: time.Hour, want: whole.Add(time.Hour)},
		"unknown":            {expires: created.Add(lifetime), fails: true},
		"backwards":          {created: created, expires: created.Add(-time.Hour), fails: true},
	} {
		got, err := expiry(&fastly.TokenResponse{CreatedAt: tc.created, ExpiresAt: tc.expires}, tc.ttl, now)
		assert.Equal(t, tc.fails, err != nil, name)
		assert.Equal(t, tc.want, got, name)
	}
}

func TestUnfinishedDemoCannotBeFinished(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.world.connect = demo.Client

	assert.Equal(t, exitUnfinished, b.run("-demo", "--", "sh", "-c", "kill -KILL $$"), b.output())

	assert.Contains(t, b.stderr.String(), "rotate: this was the demo: its tokens are gone with it, and there is nothing to finish\n")
	assert.NotContains(t, b.stderr.String(), "run again")
	b.assertClean()
}

func TestCommandLineCanBePasted(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `rotate -out '/a b/it'\''s' -- sh -c 'cat >"$1"'`, commandLine([]string{"-out", "/a b/it's", "--", "sh", "-c", `cat >"$1"`}))
	assert.Equal(t, "rotate -id a", commandLine(withoutLeftover([]string{"-leftover", "none", "-id", "a"}, 4)))
	assert.Equal(t, "rotate -id a -- x -leftover y", commandLine(withoutLeftover([]string{"-id", "a", "--leftover=none", "--", "x", "-leftover", "y"}, 4)))
}
