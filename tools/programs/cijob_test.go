package programs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// job is a job of a CI system: it makes a token that may do what it needs and no
// more, works with it, and revokes it.
type job struct {
	maker      *fastly.Client // whose token has global scope
	username   string
	password   fastly.Secret
	totpSecret string
	service    string
}

func (j *job) run(ctx context.Context, work func(context.Context, *fastly.Client) error) (err error) {
	token, err := j.maker.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
		Name:     "ci job 4711",
		Scopes:   fastly.Scopes{fastly.ScopePurgeSelect},
		Services: []string{j.service},
		Lifetime: 10 * time.Minute, // in case all else fails
		Username: j.username,
		Password: j.password,
		// Asked for each attempt: a code may expire while a retry waits, and is good for one.
		OTPFunc: func(context.Context) (fastly.Secret, error) {
			code, err := totp.GenerateCode(j.totpSecret, time.Now())
			return fastly.Secret(code), err
		},
	})
	if token != nil && token.ID != "" {
		// The maker revokes it, since a purge token may not revoke itself, and even if
		// the job was canceled.
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			err = errors.Join(err, j.maker.Tokens.RevokeToken(ctx, token.ID))
		}()
	}
	if err != nil {
		return err
	}
	client, err := j.maker.With(fastly.WithAPIKey(token.AccessToken.Reveal()))
	if err != nil {
		return err
	}
	return work(ctx, client)
}

func TestJobWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	api := fastlytest.NewServer()
	t.Cleanup(api.Close)
	const totpSecret, service = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "SU1Z0isxPaozGVKXdv0eY"
	user := api.AddUser(fastlytest.User{TOTPSecret: totpSecret})
	maker := api.Client(fastly.WithAPIKey(api.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal()))
	t.Cleanup(maker.CloseIdleConnections)
	j := &job{maker, user.Login, fastly.Secret(user.Password), totpSecret, service}

	var key string
	broken := errors.New("the deploy failed")
	err := j.run(t.Context(), func(ctx context.Context, client *fastly.Client) error {
		token, err := client.Tokens.GetTokenCurrent(ctx)
		require.NoError(t, err)
		assert.True(t, token.Allows(fastly.ScopePurgeSelect, service))
		assert.False(t, token.Allows(fastly.ScopePurgeSelect, "another"))
		assert.False(t, token.Allows(fastly.ScopeGlobalRead, ""))
		assert.True(t, token.Expired(time.Now().Add(11*time.Minute)))
		assert.ErrorIs(t, client.Tokens.RevokeTokenCurrent(ctx), fastly.ErrForbidden, "a purge token and itself")
		for _, made := range api.Tokens() {
			if made.ID == token.ID {
				key = made.AccessToken.Reveal()
			}
		}
		return broken
	})
	require.ErrorIs(t, err, broken, "what the job says")
	after, err := maker.With(fastly.WithAPIKey(key))
	require.NoError(t, err)
	_, err = after.Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, fastly.ErrUnauthorized, "its token is gone, although it failed")

	j.totpSecret = "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"
	err = j.run(t.Context(), nil)
	require.ErrorIs(t, err, fastly.ErrOTPRequired, "a code of another secret")
}
