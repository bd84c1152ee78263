package fastlytest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestClientIsReady(t *testing.T) {
	t.Parallel()
	srv := fastlytest.NewServer()
	defer srv.Close()
	current, err := srv.Client().Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, srv.User().ID, current.UserID)
}

func TestClientOptionsTakePrecedence(t *testing.T) {
	t.Parallel()
	srv := fastlytest.NewServer()
	defer srv.Close()
	_, err := srv.Client(fastly.WithAPIKey("unknown")).Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, fastly.ErrUnauthorized)
	basic := srv.Client(fastly.WithBasicAuth(srv.User().Login, srv.User().Password))
	_, err = basic.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.NoError(t, err, "another way of authentication")
	last := srv.Requests()[1]
	assert.Empty(t, last.Header.Get("Fastly-Key"))
	assert.Panics(t, func() { srv.Client(fastly.WithBaseURL("://")) })
}

// TestEveryMethodWorksWithTheServer is the client library and the server in agreement.
func TestEveryMethodWorksWithTheServer(t *testing.T) {
	t.Parallel()
	srv := fastlytest.NewServer()
	defer srv.Close()
	tokens := srv.Client().Tokens
	ctx := t.Context()

	u := srv.AddUser(fastlytest.User{OTP: "123456"})
	req := &fastly.CreateTokenRequest{
		Name: "n", Services: []string{"S1"}, Username: u.Login, Password: fastly.Secret(u.Password), OTP: "123456",
	}
	created, err := tokens.CreateToken(ctx, req)
	require.NoError(t, err)
	kept, ok := srv.Token(created.ID)
	require.True(t, ok)
	assert.Equal(t, kept.AccessToken, created.AccessToken)
	assert.Equal(t, u.ID, created.UserID)
	_, err = tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Username: u.Login, Password: fastly.Secret(u.Password)})
	require.ErrorIs(t, err, fastly.ErrOTPRequired)
	_, err = tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
	require.ErrorIs(t, err, fastly.ErrSudoRequired)

	got, err := tokens.GetToken(ctx, created.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"S1"}, got.Services)
	all, err := tokens.ListTokensCustomer(ctx, u.CustomerID)
	require.NoError(t, err)
	assert.Len(t, all, 2)
	own, err := tokens.ListTokensUser(ctx)
	require.NoError(t, err)
	assert.Len(t, own, 1)

	second, err := tokens.CreateToken(ctx, req)
	require.NoError(t, err)
	require.NoError(t, tokens.BulkRevokeTokens(ctx, []string{created.ID, second.ID}))
	require.ErrorIs(t, tokens.RevokeToken(ctx, second.ID), fastly.ErrNotFound)
	require.NoError(t, tokens.RevokeTokenCurrent(ctx))
	_, err = tokens.GetTokenCurrent(ctx)
	require.ErrorIs(t, err, fastly.ErrUnauthorized)
}
