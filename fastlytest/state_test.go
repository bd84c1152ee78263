package fastlytest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func TestAddedUsersAndTokensAreComplete(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	u := a.AddUser(User{})
	assert.Regexp(t, `^[A-Za-z0-9]{22}$`, u.ID)
	assert.Equal(t, a.User().CustomerID, u.CustomerID)
	assert.NotEmpty(t, u.Login)
	assert.NotEmpty(t, u.Password)
	assert.False(t, u.Superuser)
	assert.True(t, a.User().Superuser)

	services := []string{"S1"}
	added := a.AddToken(u.ID, fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{UserID: "x", CustomerID: "y", Services: services, SudoExpiresAt: start.Add(1)},
		AccessToken:   "readable-key",
	})
	services[0] = "changed"
	added.Services[0] = "changed"
	kept, ok := a.Token(added.ID)
	require.True(t, ok)
	assert.Equal(t, []string{"S1"}, kept.Services, "the server keeps its own copy")
	assert.Equal(t, u.ID, kept.UserID)
	assert.Equal(t, u.CustomerID, kept.CustomerID)
	assert.Equal(t, start, kept.CreatedAt)
	assert.Equal(t, start, kept.SudoExpiresAt, "times are cut to the second")
	assert.Equal(t, fastly.Scopes{fastly.ScopeGlobal}, kept.Scopes)
	assert.Equal(t, 200, a.send("GET", "/tokens/self", key("readable-key")).status)
	assert.Equal(t, []string{a.Tokens()[0].ID, added.ID}, []string{a.Tokens()[0].ID, a.Tokens()[1].ID})
	_, ok = a.Token("unknown")
	assert.False(t, ok)

	id := func(id string) fastly.TokenCreatedResponse {
		return fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: id}}
	}
	for name, f := range map[string]func(){
		"login taken":        func() { a.AddUser(User{Login: u.Login}) },
		"ID taken":           func() { a.AddUser(User{ID: u.ID}) },
		"malformed ID":       func() { a.AddUser(User{ID: "a b"}) },
		"malformed customer": func() { a.AddUser(User{CustomerID: "a/b"}) },
		"secret not base32":  func() { a.AddUser(User{TOTPSecret: "not base32!"}) },
		"unknown user":       func() { a.AddToken("nobody", id("")) },
		"malformed token ID": func() { a.AddToken(u.ID, id("a-b")) },
		"token ID is a path": func() { a.AddToken(u.ID, id("self")) },
		"token ID taken":     func() { a.AddToken(u.ID, id(added.ID)) },
		"account malformed": func() {
			a.AddToken("", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{CustomerID: "a/b"}})
		},
		"access token taken": func() { a.AddToken(u.ID, fastly.TokenCreatedResponse{AccessToken: "readable-key"}) },
	} {
		assert.Panics(t, f, name)
	}
	assert.NotPanics(t, func() { a.User() }, "a panic leaves the server usable")
}

func TestEveryFiftiethIDIsShorter(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	var short []int
	for i := range 200 {
		id := a.AddToken(a.User().ID, fastly.TokenCreatedResponse{}).ID
		assert.Regexp(t, `^[A-Za-z0-9]{21,22}$`, id)
		if len(id) == 21 {
			short = append(short, i)
			assert.Equal(t, 200, a.send("GET", "/tokens/"+id, key(a.Key())).status)
		}
	}
	require.Len(t, short, 4)
	for i := 1; i < len(short); i++ {
		assert.Equal(t, 50, short[i]-short[i-1])
	}
}
