package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestMain(m *testing.M) {
	for _, name := range Vars {
		_ = os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m)
}

func TestStartHasEachKindOfToken(t *testing.T) {
	t.Parallel()
	srv := Start()
	defer srv.Close()
	now := time.Now()

	assert.Len(t, srv.Tokens(), 15)
	users := map[string]bool{}
	kinds := map[string]int{}
	for _, token := range srv.Tokens() {
		users[token.UserID] = true
		left := token.ExpiresAt.Sub(now)
		for kind, is := range map[string]bool{
			"never expires": token.ExpiresAt.IsZero(),
			"expires soon":  !token.ExpiresAt.IsZero() && left > 0 && left < 30*day,
			"expired long":  !token.ExpiresAt.IsZero() && left < -200*day,
			"idle a year":   !token.LastUsedAt.IsZero() && now.Sub(token.LastUsedAt) > 365*day && token.ExpiresAt.IsZero(),
			"never used":    token.LastUsedAt.IsZero(),
			"global":        token.Scopes.Has(fastly.ScopeGlobal),
			"global:read":   token.Scopes.Has(fastly.ScopeGlobalRead),
			"purge_all":     token.Scopes.Has(fastly.ScopePurgeAll),
			"purge_select":  token.Scopes.Has(fastly.ScopePurgeSelect),
			"every service": len(token.Services) == 0,
			"one service":   len(token.Services) == 1,
			"some services": len(token.Services) > 1,
		} {
			if is {
				kinds[kind]++
			}
		}
	}
	assert.Len(t, users, 4, "users")
	assert.Len(t, kinds, 12, "a kind is missing: %v", kinds)
}

func TestStartGoesByTheServersClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)
	srv := Start(fastlytest.WithClock(func() time.Time { return at }))
	defer srv.Close()
	list, err := srv.Client().Tokens.ListTokensCustomer(t.Context(), srv.User().CustomerID)
	require.NoError(t, err)
	assert.Len(t, list, 13, "two have expired")
	for _, token := range list {
		assert.False(t, token.CreatedAt.After(at), "%s was made in the future", token.Name)
	}
}

func TestAdaLogsInWithHerCode(t *testing.T) {
	t.Parallel()
	srv := Start()
	defer srv.Close()
	ada := Ada()
	client, err := fastly.NewClient(fastly.WithBasicAuth(ada.Login, ada.Password), fastly.WithBaseURL(srv.URL))
	require.NoError(t, err)
	_, err = client.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.ErrorIs(t, err, fastly.ErrOTPRequired)
	_, err = client.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{OTP: fastly.Secret(ada.OTP)})
	require.NoError(t, err)
}

func TestClientWithoutCredentialsIsTheDemo(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	client, srv, err := Client(false, &stderr)
	require.NoError(t, err)
	require.NotNil(t, srv)
	defer srv.Close()
	token, err := client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "default", token.Name)
	assert.Contains(t, stderr.String(), "embedded server")
	assert.Contains(t, stderr.String(), "FASTLY_API_TOKEN is not set")
}

func TestClientWithCredentialsUsesThem(t *testing.T) {
	srv := Start()
	defer srv.Close()
	t.Setenv("FASTLY_API_KEY", srv.Key().Reveal())
	t.Setenv("FASTLY_API_URL", srv.URL)

	var stderr bytes.Buffer
	client, embedded, err := Client(false, &stderr)
	require.NoError(t, err)
	assert.Nil(t, embedded)
	_, err = client.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Len(t, srv.Requests(), 1)
	assert.Contains(t, stderr.String(), srv.URL)
	assert.NotContains(t, stderr.String(), srv.Key().Reveal())

	_, embedded, err = Client(true, io.Discard)
	require.NoError(t, err)
	require.NotNil(t, embedded, "-demo goes before the environment")
	embedded.Close()

	t.Setenv("FASTLY_API_URL", "http://api.example.com")
	_, _, err = Client(false, io.Discard)
	require.ErrorIs(t, err, fastly.ErrInvalidArgument)
}

func TestClientReportsABadOption(t *testing.T) {
	t.Parallel()
	_, _, err := Client(true, io.Discard, fastly.WithUserAgent(""))
	require.ErrorIs(t, err, fastly.ErrInvalidArgument)
}

var tool = Usage{
	Name: "tool", Purpose: "Does something.", Synopsis: []string{"[flags] FILE", "-x"},
	Codes: []string{"0  done", "1  failed"},
}

func TestParse(t *testing.T) {
	t.Parallel()
	words := tool
	words.Words, words.Wrong = true, 125
	for _, tt := range []struct {
		usage Usage
		args  []string
		code  int
		ok    bool
		says  string
	}{
		{tool, nil, ExitOK, true, ""},
		{tool, []string{"-x"}, ExitOK, true, ""},
		{tool, []string{"-y"}, ExitUsage, false, "tool: flag provided but not defined: -y; -h shows the flags\n"},
		{tool, []string{"-\x1b"}, ExitUsage, false, "tool: flag provided but not defined: -\\x1b; -h shows the flags\n"},
		{tool, []string{"-d", "1"}, ExitUsage, false, "tool: invalid value \"1\" for flag -d: want a duration such as \"30d\" or \"36h\"; -h shows the flags\n"},
		{tool, []string{"word"}, ExitUsage, false, "tool: unexpected argument \"word\"; -h shows the flags\n"},
		{words, []string{"word", "-y"}, ExitOK, true, ""},
		{words, []string{"-y"}, 125, false, "tool: flag provided but not defined: -y; -h shows the flags\n"},
	} {
		var out, errs bytes.Buffer
		fs := tool.Flags()
		fs.Bool("x", false, "")
		fs.Var(new(Duration), "d", "")
		code, ok := tt.usage.Parse(fs, tt.args, &out, &errs)
		assert.Equal(t, tt.code, code, "%v", tt.args)
		assert.Equal(t, tt.ok, ok, "%v", tt.args)
		assert.Equal(t, tt.says, errs.String(), "%v", tt.args)
		assert.Empty(t, out.String(), "%v", tt.args)
	}
}

func TestHelpIsTheResultAskedFor(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"-h", "-help", "--help"} {
		var out, errs bytes.Buffer
		fs := tool.Flags()
		fs.Bool("x", false, "do it with `care`")
		code, ok := tool.Parse(fs, []string{arg}, &out, &errs)
		assert.Equal(t, ExitOK, code)
		assert.False(t, ok)
		assert.Empty(t, errs.String())
		assert.Equal(t, "Does something.\n\nusage: tool [flags] FILE\n       tool -x\n\nFlags:\n  -x care\n    \tdo it with care\n\nExit codes:\n  0  done\n  1  failed\n", out.String())
	}
	code, _ := tool.Parse(tool.Flags(), []string{"-h"}, new(fullDisk), io.Discard)
	assert.Equal(t, ExitUsage, code)
}

func TestScopesAreReadByTheirForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fastly.Scopes{
		"global":                                 {"global"},
		",purge_all, purge_select\tglobal:read,": {"purge_all", "purge_select", "global:read"},
		"some-new.scope:2":                       {"some-new.scope:2"},
	} {
		got, err := ParseScopes(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for text, says := range map[string]string{
		"":            "want scopes, such as global, purge_select, purge_all, global:read",
		" ,,":         "want scopes",
		"a;b":         `"a;b" is no scope`,
		"global \x1b": `"\x1b" is no scope`,
	} {
		_, err := ParseScopes(text)
		assert.ErrorContains(t, err, says)
	}
}

func TestRefusedScopeIsExplainedWithoutGo(t *testing.T) {
	t.Parallel()
	srv := Start()
	defer srv.Close()
	_, err := srv.Client().Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Scopes: fastly.Scopes{"everything"}})
	require.ErrorIs(t, err, fastly.ErrInvalidScope)
	got := ExplainScope(err, fastly.Scopes{"everything"})
	assert.EqualError(t, got, `the API refuses the scope "everything" (400 invalid_scope): the scopes are global, purge_select, purge_all, global:read`)
	assert.ErrorIs(t, got, fastly.ErrInvalidScope)
	assert.Equal(t, io.EOF, ExplainScope(io.EOF, nil))
	assert.NoError(t, ExplainScope(nil, nil))
}

func TestFail(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	assert.Equal(t, ExitFailed, Fail(t.Context(), &out, "prog", errors.New("broken")))
	assert.Equal(t, "prog: broken\n", out.String())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, ExitInterrupted, Fail(ctx, &out, "prog", ctx.Err()))
}

type fullDisk struct{ wrote int }

func (f *fullDisk) Write([]byte) (int, error) {
	f.wrote++
	return 0, errors.New("disk full")
}

func TestPrinterRemembersTheFirstFailure(t *testing.T) {
	t.Parallel()
	disk := new(fullDisk)
	p := NewPrinter(disk)
	require.NoError(t, p.Err())
	p.Printf("%d", 1)
	p.Printf("%d", 2)
	_, err := p.Write([]byte("3"))
	require.EqualError(t, err, "disk full")
	require.EqualError(t, p.Err(), "disk full")
	assert.Equal(t, 1, disk.wrote)
}

func TestIsTerminalKnowsWhatIsNone(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer func() { assert.NoError(t, null.Close()) }()
	assert.False(t, IsTerminal(null))
	assert.False(t, IsTerminal(&bytes.Buffer{}))
	assert.False(t, IsTerminal((*os.File)(nil)))
}

func TestText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `Müller's "key"`, Text(`Müller's "key"`))
	assert.Equal(t, `\x1b]0;pwned\a\n`, Text("\x1b]0;pwned\a\n"))
	assert.Equal(t, `a\u202eb`, Text("a\u202eb"), "marks that reorder text are shown")
	assert.Len(t, Escape(strings.Repeat("\x1b", 1<<10)), 4<<10, "nothing is cut")
	assert.Equal(t, "\ufffd", Escape("\xff"), "what is not UTF-8 is replaced")
	assert.Less(t, len(Text(strings.Repeat("x", 1<<20))), 1100)
}

func TestWidthAndCut(t *testing.T) {
	t.Parallel()
	st := Style{true}
	assert.Equal(t, 5, Width(st.Red("Müllé")))
	assert.Equal(t, 4, Width("鍵鍵"))
	assert.Equal(t, 1, Width("e\u0301"), "a combining mark takes no column")
	assert.Equal(t, "鍵…", Cut("鍵鍵鍵", 4))
	assert.Equal(t, "abc", Cut("abc", 3))
	assert.Equal(t, "ab…", Cut("abcd", 3))
}

func TestTableAligns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	columns := []Column{{Title: "NAME", Max: 6}, {Title: "N", Right: true}, {Title: "X"}}
	require.NoError(t, Table(&out, " ", columns, [][]string{
		{"Müllers", "1", Style{true}.Red("red")},
		{"鍵", "12", ""},
	}))
	assert.Equal(t, " NAME     N  X\n Mülle…   1  \x1b[31mred\x1b[0m\n 鍵      12\n", out.String())
}

func TestUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0:                   "now",
		time.Second:         "in 1 second",
		-89 * time.Second:   "89 seconds ago",
		-90 * time.Second:   "2 minutes ago",
		-50 * time.Minute:   "50 minutes ago",
		2 * time.Hour:       "in 2 hours",
		8*day - time.Second: "in 8 days",
		153 * day:           "in 5 months",
		-423 * day:          "14 months ago",
		-1190 * day:         "3 years ago",
	} {
		assert.Equal(t, want, Until(now.Add(d), now))
	}
	assert.Equal(t, "never", Until(time.Time{}, now))
}

func TestScopesAndServicesText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "none", ScopesText(nil))
	assert.Equal(t, "global", ScopesText(fastly.Scopes{"global"}))
	assert.Equal(t, `a\x1b +2`, ScopesText(fastly.Scopes{"a\x1b", "b", "c"}))
	assert.Equal(t, "every", ServicesText(nil))
	assert.Equal(t, "2", ServicesText([]string{"a", "b"}))
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "0d": 0, "1.5d": 36 * time.Hour, "36h": 36 * time.Hour, "90m30s": 90*time.Minute + 30*time.Second,
	} {
		var d Duration
		require.NoError(t, d.Set(text))
		assert.Equal(t, Duration(want), d, text)
	}
	for _, text := range []string{"", "d", "30", "-1d", "-1h", "NaNd", "1e9d", "30 days"} {
		d := Duration(math.MaxInt64)
		require.Error(t, d.Set(text), text)
		assert.Equal(t, Duration(math.MaxInt64), d, text)
	}
	ninety, hours := Duration(90*day), Duration(36*time.Hour)
	assert.Equal(t, "90d", ninety.String())
	assert.Equal(t, "36h", hours.String())
	for d, want := range map[time.Duration]string{0: "0s", 15 * time.Minute: "15m", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", time.Hour + 20*time.Second: "1h0m20s"} {
		value := Duration(d)
		assert.Equal(t, want, value.String())
	}
}

func TestStyleColoursTerminalsOnly(t *testing.T) {
	t.Parallel()
	plain := StyleFor(&bytes.Buffer{})
	for _, colour := range []func(Style, string) string{Style.Bold, Style.Dim, Style.Red, Style.Yellow, Style.Green} {
		assert.Equal(t, "text", colour(plain, "text"))
		assert.NotEqual(t, "text", colour(Style{true}, "text"))
		assert.Equal(t, 4, Width(colour(Style{true}, "text")))
		assert.Empty(t, colour(Style{true}, ""))
	}
}

func TestToTalksToTheGivenServer(t *testing.T) {
	t.Parallel()
	srv := Start()
	defer srv.Close()
	client, embedded, err := To(srv)(true, io.Discard)
	require.NoError(t, err)
	assert.Nil(t, embedded)
	_, err = client.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	assert.Len(t, srv.Requests(), 1)
}
