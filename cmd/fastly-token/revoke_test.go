package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/fastlytest"
)

func isRevoked(t *testing.T, s *site, id string) bool {
	t.Helper()
	token, ok := s.Token(id)
	require.True(t, ok)
	return !token.DeletedAt.IsZero()
}

func TestRevokeRevokesAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("revoke", "5sNpEx2UkYf9WdTa6mJv4G")
	assert.Equal(t, 0, o.code, o.err)
	assert.Equal(t, "revoked    5sNpEx2UkYf9WdTa6mJv4G\n", o.out)
	assert.True(t, isRevoked(t, s, "5sNpEx2UkYf9WdTa6mJv4G"))
}

func TestRevokeManyTakesOneRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("revoke", "5sNpEx2UkYf9WdTa6mJv4G", "3tGqLw8ZnRb5XcVh1jKy7D", "5sNpEx2UkYf9WdTa6mJv4G")
	assert.Equal(t, 0, o.code, o.err)
	assert.Equal(t, 2, strings.Count(o.out, "revoked "))
	require.Len(t, s.Requests(), 2, "one looks which token is that of the API key")
	assert.Equal(t, "/tokens", s.Requests()[1].Path)
}

func TestRevokeManyWithOneThatIsGoneRevokesTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("revoke", "--json", "5sNpEx2UkYf9WdTa6mJv4G", "nosuchtoken", "3tGqLw8ZnRb5XcVh1jKy7D")
	assert.Equal(t, exitFailed, o.code)
	var results []revocation
	require.NoError(t, json.Unmarshal([]byte(o.out), &results))
	require.Len(t, results, 3)
	assert.Equal(t, []string{revoked, notFound, revoked}, []string{results[0].Result, results[1].Result, results[2].Result})
	assert.True(t, isRevoked(t, s, "5sNpEx2UkYf9WdTa6mJv4G"))
	assert.True(t, isRevoked(t, s, "3tGqLw8ZnRb5XcVh1jKy7D"))
}

// After its own token the program can revoke no other.
func TestRevokeRevokesItsOwnTokenLast(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{"one request, then one by one": 1, "several requests": batch + 20} {
		for _, unknown := range [][]string{nil, {"nosuchtoken"}} {
			s := newSite(t)
			own, others := s.Tokens()[0].ID, s.addTokens(more)
			o := s.run(slices.Concat([]string{"revoke", own}, others, unknown)...)
			assert.Equal(t, min(exitFailed, len(unknown)), o.code, "%s: %s", name, o.err)
			assert.Equal(t, more+1, strings.Count(o.out, "revoked "), "%s: %s", name, o.out)
			assert.Empty(t, active(s.Tokens()), name)
		}
	}
}

func TestRevokeOfSeveralStopsIfItsOwnTokenIsUnknown(t *testing.T) {
	t.Parallel()
	for _, status := range []int{503, 401} {
		s := newSite(t)
		own, others := s.Tokens()[0].ID, s.addTokens(2)
		s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Method: http.MethodGet, Path: "/tokens/self", Times: -1})
		o := s.run("revoke", own, others[0], "nosuchtoken", others[1])
		assert.Equal(t, exitFailed, o.code)
		assert.Contains(t, o.err, strconv.Itoa(status))
		assert.Empty(t, o.out)
		assert.Len(t, active(s.Tokens()), 3)

		// One token can be revoked without that.
		assert.Equal(t, 0, s.run("revoke", others[0]).code)
	}
}

func TestRevokeWhoseResponseWasLostIsDone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	s.Inject(fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 503, Method: http.MethodDelete})
	o := s.run("revoke", "5sNpEx2UkYf9WdTa6mJv4G")
	assert.Equal(t, 0, o.code, o.err)
}

func TestRevokeThatFailsIsSaidOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 500, Method: http.MethodDelete, Times: -1})
	o := s.run("revoke", "5sNpEx2UkYf9WdTa6mJv4G", "3tGqLw8ZnRb5XcVh1jKy7D")
	assert.Equal(t, exitFailed, o.code)
	assert.Equal(t, 2, strings.Count(o.out, "failed "))
	assert.Equal(t, 1, strings.Count(o.err, "\n"), o.err)
	assert.False(t, isRevoked(t, s, "5sNpEx2UkYf9WdTa6mJv4G"))
}

func TestRevokeSelfRevokesTheCurrentToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.Tokens()[0].ID
	o := s.run("revoke", "--self")
	assert.Equal(t, 0, o.code, o.err)
	assert.Contains(t, o.out, id)
	assert.True(t, isRevoked(t, s, id))
}

func TestTokenThatMayNotRevokeItselfIsToBeRevokedByAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := purgeOnly(s)
	o := s.run("revoke", "--self")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "; revoke "+token.ID+" by its ID, with another API key\n")
}

func TestRevokeWantsIDsOrSelf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range [][]string{nil, {"--self", "5sNpEx2UkYf9WdTa6mJv4G"}, {"../self"}, {"5sNp", ""}} {
		o := s.run(append([]string{"revoke"}, args...)...)
		assert.Equal(t, exitUsage, o.code, "%v", args)
	}
	assert.Empty(t, s.Requests())
}

func TestGetShowsAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stock(s)
	o := s.run("get", "5sNpEx2UkYf9WdTa6mJv4G")
	require.Equal(t, 0, o.code, o.err)
	assert.Contains(t, o.out, serviceA+"\n")
	assert.Contains(t, o.out, "purge_select purge_all")
	assert.Regexp(t, `"id": "5sNpEx2UkYf9WdTa6mJv4G"`, s.run("get", "--json", "5sNpEx2UkYf9WdTa6mJv4G").out)

	o = s.run("get", "nosuchtoken")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "404")
	assert.Equal(t, exitUsage, s.run("get").code)
	assert.Equal(t, exitUsage, s.run("get", "a", "b").code)
	assert.Equal(t, exitUsage, s.run("get", "a/b").code)
}
