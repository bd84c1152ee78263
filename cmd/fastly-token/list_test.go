package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// stock adds tokens of two users: names from elsewhere, each kind of expiry.
func stock(s *site) {
	now := s.now()
	owner := s.User().ID
	other := s.AddUser(fastlytest.User{ID: "1cVzPq5NdGx8JuTf3oRk6B", Login: "grace@example.com"}).ID
	for _, token := range []fastly.TokenResponse{
		{UserID: owner, ID: "3tGqLw8ZnRb5XcVh1jKy7D", Name: "terraform-prod", Scopes: fastly.Scopes{fastly.ScopeGlobal}, CreatedAt: now.Add(-82 * day), ExpiresAt: now.Add(8 * day), LastUsedAt: now.Add(-2 * time.Hour)},
		{UserID: owner, ID: "5sNpEx2UkYf9WdTa6mJv4G", Name: "www-purge", Scopes: fastly.Scopes{fastly.ScopePurgeSelect, fastly.ScopePurgeAll}, Services: []string{serviceA, serviceB}, CreatedAt: now.Add(-27 * day), ExpiresAt: now.Add(153 * day), LastUsedAt: now.Add(-4 * time.Minute)},
		{UserID: owner, ID: "0wKdJy4AtSn7ReXp9qGh2Z", Name: "laptop of Olga\x1b[2J", Scopes: fastly.Scopes{fastly.ScopeGlobal}, CreatedAt: now.Add(-1034 * day), LastUsedAt: now.Add(-423 * day)},
		{UserID: owner, ID: "7rLoKw3CzVd6HxJf8iSp5E", Name: "=HYPERLINK(1)", Scopes: fastly.Scopes{fastly.ScopeGlobalRead}, CreatedAt: now.Add(-1190 * day)},
		{UserID: other, ID: "8gPxVo6TiBn0MqRl4hEy7S", Name: "Müllers 日本語 Skript", Scopes: fastly.Scopes{fastly.ScopeGlobalRead}, CreatedAt: now.Add(-10 * day), ExpiresAt: now.Add(80 * day), LastUsedAt: now.Add(-time.Minute)},
	} {
		s.AddToken(token.UserID, fastly.TokenCreatedResponse{TokenResponse: token})
	}
}

func TestListShowsTheTokensOfTheUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)

	o := s.run("list")

	require.Equal(t, 0, o.code, o.err)
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	require.Len(t, lines, 6)
	assert.Regexp(t, `^ID +NAME +EXPIRES +LAST USED +SCOPE +SERVICES$`, lines[0])
	assert.Regexp(t, `^7rLoKw3CzVd6HxJf8iSp5E +=HYPERLINK\(1\) +never +never +global:read +every$`, lines[1], "by name")
	assert.Regexp(t, `^5sNpEx2UkYf9WdTa6mJv4G +www-purge +in 5mo +4m ago +purge_select \+1 +2$`, lines[5])
	assert.NotContains(t, o.out, "\x1b")
	assert.Contains(t, o.out, `laptop of Olga\x1b[2J`)
}

func TestListOfACustomerIsByUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	for _, customer := range []string{"self", s.User().CustomerID} {
		o := s.run("list", "--customer", customer)
		require.Equal(t, 0, o.code, o.err)
		assert.Equal(t, 2, strings.Count(o.out, "\nuser "), o.out)
		assert.Contains(t, o.out, "\nuser 1cVzPq5NdGx8JuTf3oRk6B\n8gPxVo6TiBn0MqRl4hEy7S  Müllers 日本語 Skript")
	}
}

func TestListOfACustomerNeedsASuperuser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	plain := s.AddUser(fastlytest.User{})
	token := s.AddToken(plain.ID, fastly.TokenCreatedResponse{})
	s.set(varToken, token.AccessToken.Reveal())
	o := s.run("list", "--customer", "self")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "403")
	assert.Contains(t, o.err, "--customer needs the API key of a superuser")
}

func TestListAsJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("list", "--json")
	require.Equal(t, 0, o.code, o.err)
	var tokens []fastly.TokenResponse
	require.NoError(t, json.Unmarshal([]byte(o.out), &tokens))
	require.Len(t, tokens, 5)
	assert.Equal(t, "laptop of Olga\x1b[2J", tokens[2].Name)
	assert.NotContains(t, o.out, "\x1b", "JSON is escaped, too")
}

func TestTablesFitAnyTerminal(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"list"}, {"list", "--customer", "self"}, {"audit"}, {"audit", "--customer", "self"}, {"whoami"}} {
		for _, columns := range []string{"200", "100", "80", "72", "60", "48", "40", "30", "20"} {
			s := newSite(t)
			stock(s)
			s.set("COLUMNS", columns)
			o := s.run(args...)
			width := len(strings.Repeat("x", atoi(t, columns)))
			if args[0] == "audit" {
				o.out, _, _ = strings.Cut(o.out, "\nFindings") // prose
			}
			for line := range strings.Lines(o.out) {
				assert.LessOrEqual(t, prettytext.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")), width, "%v in %s columns: %s", args, columns, line)
			}
			ids := 0
			for _, token := range s.Tokens() {
				ids += strings.Count(strings.ReplaceAll(strings.ReplaceAll(o.out, "\n", ""), " ", ""), token.ID[:7])
			}
			assert.Positive(t, ids, "%v in %s columns shows no ID: %s", args, columns, o.out)
		}
	}
}

func TestEightyColumnsAreEnoughForWholeIDs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	s.set("COLUMNS", "80")
	o := s.run("list")
	for _, token := range s.Tokens()[:5] {
		assert.Contains(t, o.out, token.ID)
	}
}

func TestWithoutATerminalNothingIsCut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	name := strings.Repeat("long name ", 30) + "end"
	s.AddToken(s.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: name}})
	assert.Contains(t, s.run("list").out, name)
}
