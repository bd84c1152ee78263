package main

import (
	"errors"
	"strings"
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
	unknown := errors.Join(fastly.ErrOutcomeUnknown)
	type teller struct {
		*testing.T
		*ledger
		// add puts a token on the server, and revoked one that is revoked again.
		add, revoked func(name string) fastly.TokenCreatedResponse
	}
	for want, tell := range map[string]func(l teller){
		"": func(l teller) {
			token := l.add("soak-returned")
			assert.True(l, l.noteCreate(token.Name, &token, nil))
			assert.False(l, l.noteCreate("soak-made", nil, unknown))
			assert.False(l, l.noteCreate("soak-not-made", &fastly.TokenCreatedResponse{}, unknown))
			assert.False(l, l.noteCreate("soak-rejected", nil, notFound))
			l.add("soak-made")
			gone := l.revoked("gone")
			assert.Equal(l, 0, l.noteRevoke(nil, gone.ID))
			assert.Equal(l, 1, l.noteRevoke(notFound, token.ID))
			assert.Equal(l, 2, l.noteRevoke(unknown, gone.ID, token.ID))
			l.noteError(nil)
			l.noteError(notFound)
		},
		"creates that made two tokens": func(l teller) {
			l.add("soak-twice")
			l.add("soak-twice")
			l.noteCreate("soak-twice", nil, unknown)
		},
		"tokens not reported to a caller": func(l teller) {
			l.add("soak-rejected-and-made")
			l.noteCreate("soak-rejected-and-made", nil, notFound)
		},
		"creates returned that are not the server's": func(l teller) {
			token := l.add("soak-another")
			token.AccessToken = "another"
			l.noteCreate(token.Name, &token, nil)
		},
		"revokes reported as done that did not happen": func(l teller) { l.noteRevoke(nil, l.add("kept").ID) },
		"revokes reported as rejected that did happen": func(l teller) { l.noteRevoke(notFound, l.revoked("gone").ID) },
		"reads that returned something else":           func(l teller) { l.noteWrong("a is %s", "b") },
		"secrets in errors and logs": func(l teller) {
			l.noteError(errors.New("key=x" + l.add("leaked").AccessToken.Reveal() + "y"))
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			srv := fastlytest.NewServer()
			t.Cleanup(srv.Close)
			add := func(name string) fastly.TokenCreatedResponse {
				return srv.AddToken(srv.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: name}})
			}
			l := newLedger(srv)
			tell(teller{t, l, add, func(name string) fastly.TokenCreatedResponse {
				token := add(name)
				require.NoError(t, srv.Client().Tokens.RevokeToken(t.Context(), token.ID))
				return token
			}})
			found := l.check()
			if want == "" {
				assert.Empty(t, found.details)
				return
			}
			require.Len(t, found.details, 1, "one broken promise")
			assert.True(t, strings.HasPrefix(found.details[0], want+": "), "found: %s", found.details[0])
			assert.Contains(t, found.rows, [2]string{want, "1"})
		})
	}
}

func TestSecretsInTheLogAreFound(t *testing.T) {
	t.Parallel()
	srv := fastlytest.NewServer()
	t.Cleanup(srv.Close)
	l := newLedger(srv)
	for _, line := range []string{"status=200\n", "key=" + srv.Key().Reveal() + "\n", "password=" + password + "\n"} {
		_, err := l.log.Write([]byte(line))
		require.NoError(t, err)
	}
	assert.Len(t, l.check().details, 2)
}
