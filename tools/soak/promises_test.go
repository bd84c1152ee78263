package soak_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// Each broken promise has to be seen, or a green run shows nothing.
func TestEachBrokenPromiseIsFound(t *testing.T) {
	t.Parallel()
	notFound := &fastly.GenericTokenError{StatusCode: 404, Msg: "Record not found"}
	unknown := func(name string) error { return fmt.Errorf("%w: look for %s", fastly.ErrOutcomeUnknown, name) }
	type teller struct {
		*testing.T
		*ledger
		// add puts a token on the server, and revoked one that is revoked again.
		add, revoked func(name string) fastly.TokenCreatedResponse
	}
	const unreported, notKept = "tokens not reported to a caller", "revokes reported as rejected that did happen"
	for _, test := range []struct {
		want string
		tell func(l teller)
	}{
		{"", func(l teller) {
			token := l.add("soak-returned")
			assert.True(l, l.noteCreate(token.Name, &token, nil))
			assert.False(l, l.noteCreate("soak-made", nil, unknown("soak-made")))
			assert.False(l, l.noteCreate("soak-not-made", &fastly.TokenCreatedResponse{}, unknown("soak-not-made")))
			assert.False(l, l.noteCreate("soak-rejected", nil, notFound))
			l.add("soak-made")
			gone := l.revoked("gone")
			assert.Equal(l, 0, l.noteRevoke(nil, gone.ID))
			assert.Equal(l, 1, l.noteRevoke(notFound, token.ID))
			assert.Equal(l, 1, l.noteRevoke(fmt.Errorf("%w; it may have been revoked", notFound), gone.ID))
			assert.Equal(l, 1, l.noteRevoke(fmt.Errorf("%w; it may be revoked nevertheless", notFound), gone.ID))
			assert.Equal(l, 2, l.noteRevoke(unknown("x"), gone.ID, token.ID))
			l.noteOperation("get", nil)
			l.noteOperation("get", notFound)
			assert.Equal(l, []int{1, 2, 1}, []int{len(l.returned), len(l.unknown), len(l.rejected)}, "creates returned, unknown, rejected")
			assert.Equal(l, []int{1, 1, 4}, []int{len(l.done), len(l.kept), l.unclear}, "revokes done, kept, unclear")
			assert.Equal(l, map[string]int{"get": 2}, l.byOp)
		}},
		{"creates that made two tokens", func(l teller) {
			l.add("soak-twice")
			l.add("soak-twice")
			l.noteCreate("soak-twice", nil, unknown("soak-twice"))
		}},
		{unreported, func(l teller) {
			l.add("soak-rejected-and-made")
			l.noteCreate("soak-rejected-and-made", nil, notFound)
		}},
		{unreported, func(l teller) {
			l.add("soak-not-named")
			l.noteCreate("soak-not-named", nil, unknown("another name"))
		}},
		{"creates returned that are not the server's", func(l teller) {
			token := l.add("soak-another")
			token.AccessToken = "another"
			l.noteCreate(token.Name, &token, nil)
		}},
		{"creates returned that are not the server's", func(l teller) {
			l.noteCreate("soak-made-up", &fastly.TokenCreatedResponse{AccessToken: "made up"}, nil)
		}},
		{"revokes reported as done that did not happen", func(l teller) { l.noteRevoke(nil, l.add("kept").ID) }},
		{"revokes reported as done that did not happen", func(l teller) { l.noteRevoke(nil, "made up") }},
		{notKept, func(l teller) { l.noteRevoke(notFound, l.revoked("gone").ID) }},
		{notKept, func(l teller) { l.noteRevoke(notFound, "made up") }},
		{"reads that returned something else", func(l teller) { l.noteWrong("a is %s", "b") }},
		{"secrets in errors and logs", func(l teller) {
			l.noteOperation("get", errors.New("key=x"+l.add("leaked").AccessToken.Reveal()+"y"))
		}},
	} {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			srv := fastlytest.NewServer()
			t.Cleanup(srv.Close)
			add := func(name string) fastly.TokenCreatedResponse {
				return srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: name}})
			}
			l := newLedger(srv)
			test.tell(teller{t, l, add, func(name string) fastly.TokenCreatedResponse {
				token := add(name)
				require.NoError(t, srv.Client().Tokens.RevokeToken(t.Context(), token.ID))
				return token
			}})
			for _, found := range l.check() {
				if found.what == test.want {
					assert.Len(t, found.cases, 1, found.what)
					test.want = ""
				} else {
					assert.Empty(t, found.cases, found.what)
				}
			}
			assert.Empty(t, test.want, "no such promise")
		})
	}
}

func TestSecretsInTheLogAreFound(t *testing.T) {
	t.Parallel()
	srv := fastlytest.NewServer()
	t.Cleanup(srv.Close)
	l := newLedger(srv)
	for _, line := range []string{
		"status=200", "key=" + srv.Key().Reveal(), "password=" + password, "form=" + url.QueryEscape(password),
		"part=" + password[10:20], fmt.Sprintf("json=%q", password),
	} {
		l.logger.Info(line)
	}
	findings := l.check()
	assert.Len(t, findings[len(findings)-1].cases, 5)
}
