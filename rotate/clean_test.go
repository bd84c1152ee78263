package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

func TestRotationLooksOnceMoreForALostCreate(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"after a handover": nil, "before one": errors.New("the vault is sealed")} {
		inWorld(t, setup{}, func(t *testing.T, w *world) {
			w.troubles = []trouble{at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore})}
			r := w.rotation(t)
			put := r.Handover.Put
			r.Handover.Put = func(ctx context.Context, token *fastly.TokenCreatedResponse) error {
				if failure != nil {
					return failure
				}
				return put(ctx, token)
			}

			first, err := r.Run(t.Context())

			require.Error(t, err, name)
			assert.True(t, first.Unknown, name)
			assert.NotEmpty(t, w.record, name)
			if failure == nil {
				assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assert.Equal(t, rotate.StateHandedOver, first.State)
				assert.Empty(t, first.Left)
				assert.Equal(t, []string{w.old.ID}, first.Revoked)
			} else {
				assert.Equal(t, rotate.StateCreating, first.State)
			}

			failure = nil
			second, err := r.Run(t.Context())
			require.NoError(t, err, name)
			assert.Equal(t, rotate.StateDone, second.State, name)
			assert.True(t, second.Unknown, "%s: a run that did not find the token should say so", name)
			w.look()
			assert.True(t, w.rotated(), name)
		})
	}
}

// Nobody knows when the list will be whole, and the old token has been replaced.
func TestListThatFailsDoesNotKeepTheOldTokenWorking(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]fastlytest.Fault{
		"refused": {Kind: fastlytest.Status, Status: 403, Body: `{"msg":"You are not authorized to perform this action"}`},
		"partial": {Kind: fastlytest.Status, Status: 200, Body: `[]`, Header: http.Header{"Link": {`<https://api.fastly.com/tokens?page=2>; rel="next"`}}},
	} {
		inWorld(t, setup{get: true, grace: time.Minute, patience: time.Second}, func(t *testing.T, w *world) {
			w.troubles = []trouble{
				at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore}),
				at("put", 1, crashAfter, fastlytest.Fault{}),
			}
			_, err := w.rotate(t)
			require.ErrorIs(t, err, errCrash)
			list.Method, list.Path, list.Times = "GET", "/tokens", -1
			w.Inject(list)

			for range 2 {
				result, err := w.rotation(t).Run(t.Context())

				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
				assert.ErrorContains(t, err, fmt.Sprintf("a token named %q may exist", result.Name))
				assert.ErrorContains(t, err, "if that keeps failing, revoke by hand what is not in use, and remove the journal")
				assert.True(t, result.Unknown)
				assert.Empty(t, result.Left)
				w.look()
				assert.False(t, w.works(w.old.ID), w.log.String())
				assert.Len(t, w.tokens, 1)
			}
		})
	}
}

// The key of the client is that of the old token, and no other can look for what is lost.
func TestOldTokenIsKeptWhileItsKeyAloneCanLook(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{own: true, patience: time.Second}, func(t *testing.T, w *world) {
		w.troubles = []trouble{
			at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore}),
			at("save", 4, crashAfter, fastlytest.Fault{}),
		}
		_, err := w.rotate(t)
		require.ErrorIs(t, err, errCrash)
		require.Contains(t, string(w.record), "handed over")
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 503, Method: "GET", Path: "/tokens", Times: -1})
		r := w.rotation(t)
		r.Client = w.client(t, w.old.AccessToken)

		result, err := r.Run(t.Context())

		require.Error(t, err, w.log.String())
		assert.Equal(t, []string{w.old.ID}, result.Left)
		w.look()
		assert.True(t, w.works(w.old.ID))
	})
}

func TestLostCreateThatShowsUpForALaterRunIsRevoked(t *testing.T) {
	t.Parallel()
	a := newAPI(t, fastlytest.WithLag(40*time.Second))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(a, setup{patience: 50 * time.Second}, nil)
		w.troubles = []trouble{at("POST /tokens", 1, "cut after", fastlytest.Fault{Kind: fastlytest.CutAfter}), at("GET /tokens", 2, canceled, fastlytest.Fault{})}
		first, err := w.rotate(t)
		require.Error(t, err)
		require.Equal(t, rotate.StateCreating, first.State)
		require.True(t, first.Unknown)

		second, err := w.rotation(t).Run(t.Context())

		require.Error(t, err, "what is left of patience is too short for the new token")
		assert.Len(t, second.Revoked, 2)
		assert.False(t, second.Unknown)
		w.look()
		assert.Len(t, w.tokens, 1)
	})
}

func TestLostCreateThatIsForgottenIsNamedByTheLastRunToLook(t *testing.T) {
	t.Parallel()
	a := newAPI(t, fastlytest.WithLag(70*time.Second))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(a, setup{}, []trouble{at("POST /tokens", 1, "cut after", fastlytest.Fault{Kind: fastlytest.CutAfter})})
		first, err := w.rotation(t).Run(t.Context())
		require.Error(t, err)
		require.True(t, first.Unknown)

		second, err := w.rotation(t).Run(t.Context())

		assert.Equal(t, rotate.StateUnchanged, second.State, "its new token is too new, too")
		assert.True(t, second.Unknown)
		assert.ErrorContains(t, err, first.Name)
	})
}

func TestTokensThatLagAreWaitedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t, fastlytest.WithLag(10*time.Second))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(a, setup{get: true}, []trouble{at("POST /tokens", 1, "cut after", fastlytest.Fault{Kind: fastlytest.CutAfter})})

		result, err := w.rotation(t).Run(t.Context())

		require.NoError(t, err, w.log.String())
		assert.Len(t, result.Revoked, 2)
		w.look()
		assert.True(t, w.rotated(), w.log.String())
	})
}
