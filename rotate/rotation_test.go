package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// inWorld runs a test in a world of its own.
func inWorld(t *testing.T, s setup, f func(*testing.T, *world)) {
	t.Helper()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(a, s, nil)) })
}

func TestRotationReplacesATokenByOneOfTheSameKind(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		result, err := w.rotation(t).Run(t.Context())

		require.NoError(t, err)
		w.look()
		require.True(t, w.rotated(), w.log.String())
		got := w.tokens[0]
		assert.Equal(t, "deploy", rotate.BaseName(got.Name))
		assert.Equal(t, w.old.Scopes, got.Scopes)
		assert.Equal(t, w.old.Services, got.Services)
		assert.Equal(t, epoch.Add(lifetime), got.ExpiresAt, "want the old one's lifetime")
		assert.Equal(t, rotate.StateDone, result.State)
		assert.Equal(t, w.old.ID, result.Old.ID)
		assert.Equal(t, got.ID, result.New.ID)
		assert.Equal(t, got.Name, result.Name)
		assert.Equal(t, []string{w.old.ID}, result.Revoked)
		assert.Empty(t, result.Left)
	})
}

func TestRotationTakesALifetime(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Lifetime = time.Hour

		result, err := r.Run(t.Context())

		require.NoError(t, err)
		assert.Equal(t, epoch.Add(time.Hour), result.New.ExpiresAt)
	})
}

func TestRotationOfATokenThatNeverExpiresMakesAnotherOne(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.TokenID = w.AddToken(w.user.ID, fastly.TokenCreatedResponse{}).ID

		result, err := r.Run(t.Context())

		require.NoError(t, err)
		assert.Zero(t, result.New.ExpiresAt)
	})
}

func TestRotationLogsInWithoutTheKey(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{login: true}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		login := r.Login
		r.Login = func(ctx context.Context) (rotate.Login, error) {
			l, err := login(ctx)
			l.OTP = func(context.Context) (fastly.Secret, error) { return "123456", nil }
			return l, err
		}

		_, err := r.Run(t.Context())

		require.NoError(t, err)
		creates := 0
		for _, req := range w.Requests() {
			if req.Method == http.MethodPost {
				creates++
				assert.Empty(t, req.Header.Get("Fastly-Key"))
				assert.Equal(t, "123456", req.Header.Get("Fastly-OTP"))
			}
		}
		assert.Equal(t, 1, creates)
	})
}

func TestRotationUsesACreatorOfItsOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		var err error
		r.Creator, err = fastly.NewClient(fastly.WithBasicAuth(w.user.Login, w.user.Password), fastly.WithBaseURL(w.URL),
			fastly.WithHTTPClient(&http.Client{Transport: w}))
		require.NoError(t, err)

		_, err = r.Run(t.Context())

		require.NoError(t, err)
		for _, req := range w.Requests() {
			_, _, basic := (&http.Request{Header: req.Header}).BasicAuth()
			assert.Equal(t, req.Method == http.MethodPost, basic, req.Method+" "+req.Path)
		}
	})
}

func TestGracePeriodKeepsBothTokensWorking(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: time.Hour}, func(t *testing.T, w *world) {
		done := make(chan error)
		r := w.rotation(t)
		go func() {
			_, err := r.Run(t.Context())
			done <- err
		}()

		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		assert.Len(t, w.alive(w.user.ID), 3, "want the admin's token, the old and the new one")
		assert.NotEqual(t, w.old.AccessToken, w.place)

		require.NoError(t, <-done)
		assert.GreaterOrEqual(t, time.Now(), epoch.Add(time.Hour))
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestGracePeriodEndsInALaterRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*testing.T, *rotate.Rotation) (rotate.Result, error){
		"without waiting": func(t *testing.T, r *rotate.Rotation) (rotate.Result, error) {
			r.NoWait = true
			return r.Run(t.Context())
		},
		"after an end of the context": func(t *testing.T, r *rotate.Rotation) (rotate.Result, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			result, err := r.Run(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			return result, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, setup{get: true, grace: 24 * time.Hour}, func(t *testing.T, w *world) {
				result, err := first(t, w.rotation(t))
				require.NoError(t, err)
				assert.Equal(t, rotate.StateHandedOver, result.State)
				assert.Equal(t, epoch.Add(24*time.Hour), result.RevokeAt)
				assert.Equal(t, []string{w.old.ID}, result.Left)

				early := w.rotation(t)
				early.NoWait, early.Grace = true, 0
				result, err = early.Run(t.Context())
				require.NoError(t, err)
				assert.Equal(t, rotate.StateHandedOver, result.State, "the grace period that was promised should hold")

				result, err = w.rotation(t).Run(t.Context())
				require.NoError(t, err)
				assert.Equal(t, rotate.StateDone, result.State)
				assert.GreaterOrEqual(t, time.Now(), epoch.Add(24*time.Hour))
				w.look()
				assert.True(t, w.rotated())
			})
		})
	}
}

// The machine was years ahead at the handover, and is right again.
func TestGracePeriodByAClockThatWasAheadEnds(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
		_, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		require.Contains(t, string(w.record), `"revoke_at":"2000`)
		w.record = []byte(strings.Replace(string(w.record), `"revoke_at":"2000`, `"revoke_at":"2010`, 1))

		for _, noWait := range []bool{false, true, false} {
			w.noWait = noWait
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			result, err := w.rotation(t).Run(ctx)
			cancel()
			assert.Equal(t, noWait, err == nil)
			assert.Equal(t, epoch.Add(time.Hour), result.RevokeAt)
			time.Sleep(15 * time.Minute)
		}

		result, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, rotate.StateDone, result.State)
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestNewTokenIsNotTakenForExpiredByAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	for _, get := range []bool{true, false} {
		inWorld(t, setup{get: get}, func(t *testing.T, w *world) {
			w.skew = -3 * time.Hour
			r := w.rotation(t)
			r.Lifetime = time.Hour

			result, err := r.Run(t.Context())

			require.NoError(t, err, w.log.String())
			assert.Equal(t, rotate.StateDone, result.State)
			w.look()
			assert.True(t, w.rotated())
		})
	}
}

func TestNewTokenThatExpiredInTheGracePeriodIsReplaced(t *testing.T) {
	t.Parallel()
	for _, get := range []bool{true, false} {
		inWorld(t, setup{get: get, grace: 2 * time.Hour, noWait: true}, func(t *testing.T, w *world) {
			r := w.rotation(t)
			r.Lifetime = time.Hour
			first, err := r.Run(t.Context())
			require.NoError(t, err)
			time.Sleep(3 * time.Hour)

			r.Lifetime, r.Grace = 24*time.Hour, 0
			second, err := r.Run(t.Context())

			require.NoError(t, err, w.log.String())
			assert.NotEqual(t, first.New.ID, second.New.ID)
			w.look()
			assert.True(t, w.rotated(), w.log.String())
		})
	}
}

// Its end is no sign of another run.
func TestOldTokenThatExpiredInTheGracePeriodIsNotReported(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: lifetime, noWait: true}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Lifetime = 2 * lifetime
		_, err := r.Run(t.Context())
		require.NoError(t, err)
		time.Sleep(lifetime)
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Path: "/tokens/" + w.old.ID, Times: -1, Body: `{"msg":"Record not found"}`})

		result, err := r.Run(t.Context())

		require.NoError(t, err)
		assert.Equal(t, rotate.StateDone, result.State)
	})
}

// Its end explains that it is gone, but not that there is another token like it.
func TestOtherRunIsReportedAlthoughTheOldTokenHasExpired(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{grace: lifetime, noWait: true}, func(t *testing.T, w *world) {
		var runs [2]*rotate.Rotation
		var made [2]string
		for i := range runs {
			runs[i] = w.rotation(t)
			runs[i].Journal, runs[i].Lifetime = rotate.MemoryJournal(), 3*lifetime
			result, err := runs[i].Run(t.Context())
			require.NoError(t, err)
			made[i] = result.New.ID
		}
		time.Sleep(lifetime)
		_, _ = runs[0].Run(t.Context())

		_, err := runs[1].Run(t.Context())

		assert.ErrorContains(t, err, "another one has rotated it")
		assert.ErrorContains(t, err, "token "+made[0]+" is like it")
	})
}

// The key that revoked it is its own, so the second attempt gets a 401.
func TestLostRevokeOfTheOldTokenIsThisRunsOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{own: true, get: true, login: true}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		var err error
		r.Client, err = r.Client.With(fastly.WithRetryPolicy(fastly.RetryPolicy{}))
		require.NoError(t, err)
		w.troubles = []trouble{at("DELETE /tokens/ID", 1, "cut after", fastlytest.Fault{Kind: fastlytest.CutAfter})}

		result, err := r.Run(t.Context())

		require.NoError(t, err)
		assert.Equal(t, rotate.StateDone, result.State)
		w.look()
		assert.True(t, w.rotated(), w.log.String())
	})
}

func TestKeyThatHasExpiredIsNotTakenForOneThatAnotherRunHasRotated(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{own: true, get: true}, func(t *testing.T, w *world) {
		time.Sleep(lifetime)

		_, err := w.rotation(t).Run(t.Context())

		require.ErrorIs(t, err, fastly.ErrTokenExpired)
		assert.NotContains(t, err.Error(), "another run")
		assert.ErrorContains(t, err, "the destination of the handover holds a token that does not work")
	})
}

func TestRotationOfItsOwnKeyCanFollowTheHandover(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{own: true, get: true, login: true, grace: time.Minute}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		var err error
		r.Client, err = fastly.NewClient(fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return w.place, nil }),
			fastly.WithBaseURL(w.URL), fastly.WithHTTPClient(&http.Client{Transport: w}))
		require.NoError(t, err)
		for range 3 {
			old := w.place
			result, err := r.Run(t.Context())
			require.NoError(t, err)
			assert.Equal(t, rotate.StateDone, result.State)
			assert.NotEqual(t, old, w.place)
			w.look()
			assert.Len(t, w.tokens, 1)
		}
	})
}

func TestRotationRejectsWhatItCannotFinish(t *testing.T) {
	t.Parallel()
	other := func(w *world) fastly.TokenCreatedResponse {
		return w.AddToken(w.AddUser(fastlytest.User{}).ID, fastly.TokenCreatedResponse{})
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, *world, *rotate.Rotation)
		want   string
		is     error
	}{
		"no client":   {func(_ *testing.T, _ *world, r *rotate.Rotation) { r.Client = nil }, "needs a Client", fastly.ErrInvalidArgument},
		"no handover": {func(_ *testing.T, _ *world, r *rotate.Rotation) { r.Handover.Put = nil }, "needs a Handover", fastly.ErrInvalidArgument},
		"no journal":  {func(_ *testing.T, _ *world, r *rotate.Rotation) { r.Journal = nil }, "needs a Journal", fastly.ErrInvalidArgument},
		"negative":    {func(_ *testing.T, _ *world, r *rotate.Rotation) { r.Grace = -1 }, "not negative", fastly.ErrInvalidArgument},
		"a token that does not exist": {
			func(_ *testing.T, _ *world, r *rotate.Rotation) { r.TokenID = "0000000000000000000000" }, "404 Record not found: Cannot load token; no such token: if it existed, another run may have rotated it; which token is in use is not known; nothing has changed", fastly.ErrNotFound,
		},
		"a key that does not work": {
			func(t *testing.T, w *world, r *rotate.Rotation) { r.Client = w.client(t, "wrong") }, "the client's key is rejected: fastly: GET /tokens/self: 401", fastly.ErrUnauthorized,
		},
		"a key that can't revoke": {
			func(t *testing.T, w *world, r *rotate.Rotation) {
				r.TokenID, r.Client = "", w.client(t, w.old.AccessToken)
			},
			"the key is not of scope global", nil,
		},
		"a token of another user": {
			func(t *testing.T, w *world, r *rotate.Rotation) {
				r.Client = w.client(t, w.Key())
				r.TokenID = other(w).ID
			},
			"belongs to another user than the key", nil,
		},
		"no known lifetime": {
			func(_ *testing.T, w *world, r *rotate.Rotation) {
				r.TokenID = w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
					CreatedAt: epoch.Add(lifetime), ExpiresAt: epoch.Add(time.Hour),
				}}).ID
			}, "say how long the new one is to work", nil,
		},
		"an unusable place": {
			func(_ *testing.T, _ *world, r *rotate.Rotation) {
				r.Handover.Get = func(context.Context) (fastly.Secret, error) { return "", errors.New("no such vault") }
			}, "no such vault", nil,
		},
		"no login": {
			func(_ *testing.T, _ *world, r *rotate.Rotation) {
				r.Login = func(context.Context) (rotate.Login, error) { return rotate.Login{}, errors.New("no terminal") }
			}, "no terminal", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, setup{}, func(t *testing.T, w *world) {
				r := w.rotation(t)
				tc.change(t, w, r)

				result, err := r.Run(t.Context())

				assert.ErrorContains(t, err, tc.want)
				if tc.is != nil {
					assert.ErrorIs(t, err, tc.is)
				}
				var failure *rotate.Error
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, result, failure.Result)
				for _, op := range w.ops {
					assert.NotContains(t, []string{"POST /tokens", "DELETE /tokens/ID", "put"}, op)
				}
				assert.Nil(t, w.record)
			})
		})
	}
}

func TestRotationWithoutSudoChangesNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "POST", Body: `{"msg":"You must POST /sudo to access this endpoint"}`})

		result, err := w.rotation(t).Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrSudoRequired)
		assert.ErrorContains(t, err, "nothing has changed")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		w.look()
		assert.Len(t, w.tokens, 1)
		assert.Nil(t, w.record)
	})
}

func TestNewTokenThatIsNotLikeTheOldOneIsRevoked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*fastly.TokenResponse)
		want   string
	}{
		"wider scopes":    {func(t *fastly.TokenResponse) { t.Scopes = append(t.Scopes, fastly.ScopeGlobal) }, "scopes"},
		"narrower scopes": {func(t *fastly.TokenResponse) { t.Scopes = t.Scopes[:1] }, "scopes"},
		"every service":   {func(t *fastly.TokenResponse) { t.Services = nil }, "services []"},
		"another service": {func(t *fastly.TokenResponse) { t.Services = []string{"7i6HN3TK9wS159v2gPAZ8A"} }, "services"},
		"never expires":   {func(t *fastly.TokenResponse) { t.ExpiresAt = time.Time{} }, "expires later"},
		"expires later":   {func(t *fastly.TokenResponse) { t.ExpiresAt = t.ExpiresAt.Add(time.Hour) }, "expires later"},
		"another user":    {func(t *fastly.TokenResponse) { t.UserID = "7i6HN3TK9wS159v2gPAZ8A" }, "another user"},
		"another token":   {func(t *fastly.TokenResponse) { t.ID = "7i6HN3TK9wS159v2gPAZ8A" }, "says that it is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, setup{}, func(t *testing.T, w *world) {
				before := w.before
				w.before = func(r *http.Request) bool {
					for _, token := range w.alive(w.user.ID) {
						if r.URL.Path == "/tokens/self" && token.ID != w.old.ID && rotate.BaseName(token.Name) == "deploy" {
							shown := token.TokenResponse
							tc.change(&shown)
							w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Body: jsonOf(t, shown)})
						}
					}
					return before(r)
				}

				result, err := w.rotation(t).Run(t.Context())

				assert.ErrorContains(t, err, tc.want)
				assert.Equal(t, rotate.StateUnchanged, result.State)
				assert.NotContains(t, w.ops, "put")
				w.look()
				assert.Len(t, w.tokens, 1)
				assert.Nil(t, w.record)
			})
		})
	}
}

func TestNewTokenThatNeedsAMomentIsWaitedFor(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("GET /tokens/self", 2, "401", fastlytest.Fault{Kind: fastlytest.Status, Status: 401, Path: "/tokens/self", Times: 3})}

		_, err := w.rotation(t).Run(t.Context())

		require.NoError(t, err, w.log.String())
		assert.Greater(t, time.Now(), epoch.Add(time.Second), "want pauses between the looks")
	})
}

func TestHandoverThatFailsIsUndone(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		refusal := errors.New("the vault is sealed")
		r.Handover.Put = func(context.Context, *fastly.TokenCreatedResponse) error { return refusal }

		result, err := r.Run(t.Context())

		assert.ErrorIs(t, err, refusal)
		assert.Equal(t, rotate.StateUnchanged, result.State)
		require.Len(t, result.Revoked, 1)
		w.look()
		assert.Len(t, w.tokens, 1)
	})
}

func TestHandoverThatMayHaveSucceededLeavesBothTokensWorking(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("put", 1, failAfter, fastlytest.Fault{})}

		first, err := w.rotation(t).Run(t.Context())

		assert.ErrorIs(t, err, rotate.ErrMaybeHandedOver)
		assert.Equal(t, rotate.StateHanding, first.State)
		w.look()
		assert.True(t, w.works(w.old.ID) && w.works(first.New.ID))

		second, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, first.New.ID, second.New.ID, "nobody can tell whether the first one was taken")
		assert.ElementsMatch(t, []string{first.New.ID, w.old.ID}, second.Revoked)
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestCanceledRunDoesNotRevokeTheOldToken(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		w.cancel = cancel
		w.troubles = []trouble{at("put", 1, canceled, fastlytest.Fault{})}

		result, err := w.rotation(t).Run(ctx)

		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, rotate.StateHandedOver, result.State)
		assert.Equal(t, []string{w.old.ID}, result.Left)
		w.look()
		assert.Len(t, w.tokens, 2)

		second, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, rotate.StateDone, second.State)
		assert.Equal(t, result.New.ID, second.New.ID, "the journal should have been written all the same")
	})
}

func TestTokenThatMayTurnUpLateIsLookedForInALaterRun(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.troubles = []trouble{
			at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore}),
			at("POST /tokens", 2, "403", fastlytest.Fault{Kind: fastlytest.Status, Status: 403}),
		}
		result, err := w.rotation(t).Run(t.Context())
		assert.ErrorIs(t, err, fastly.ErrForbidden)
		assert.Equal(t, rotate.StateCreating, result.State, w.log.String())
		require.NotEmpty(t, w.record)

		looks := 0
		before := w.before
		w.before = func(r *http.Request) bool {
			if looks++; r.URL.Path == "/tokens" && looks == 8 {
				w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: result.Name, Scopes: w.old.Scopes}})
			}
			return before(r)
		}
		w.troubles = []trouble{at("POST /tokens", 3, crashBefore, fastlytest.Fault{})}
		_, err = w.rotate(t)
		require.ErrorIs(t, err, errCrash)
		w.look()
		assert.Len(t, w.tokens, 1, "want the old token alone: %s", &w.log)
	})
}

func TestTokenThatTheListDoesNotShowYetIsRevoked(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("put", 1, crashBefore, fastlytest.Fault{})}
		_, err := w.rotate(t)
		require.ErrorIs(t, err, errCrash)
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Path: "/tokens", Method: "GET", Body: "[]"})
		r := w.rotation(t)
		r.Login = func(context.Context) (rotate.Login, error) { return rotate.Login{}, errors.New("no terminal") }

		result, err := r.Run(t.Context())

		assert.ErrorContains(t, err, "no terminal")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		w.look()
		assert.Len(t, w.tokens, 1, w.log.String())
	})
}

func TestUndoThatFailsIsFinishedByALaterRun(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Method: "DELETE", Times: -1})
		r := w.rotation(t)
		r.Handover.Put = func(context.Context, *fastly.TokenCreatedResponse) error { return errors.New("the vault is sealed") }
		result, err := r.Run(t.Context())
		assert.ErrorContains(t, err, "the vault is sealed")
		assert.ErrorIs(t, err, fastly.ErrForbidden)
		assert.Equal(t, rotate.StateCreating, result.State)
		w.look()
		require.Len(t, w.tokens, 2)
		assert.True(t, len(result.Left) == 1 && w.works(result.Left[0]) && result.Left[0] != w.old.ID)

		w.ClearFaults()
		second, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{result.Left[0], w.old.ID}, second.Revoked)
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestTokenThatMayBeTakenIsKeptUntilAnotherOneIs(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("put", 1, failAfter, fastlytest.Fault{})}
		first, err := w.rotation(t).Run(t.Context())
		require.ErrorIs(t, err, rotate.ErrMaybeHandedOver)
		r := w.rotation(t)
		r.Login = func(context.Context) (rotate.Login, error) { return rotate.Login{}, errors.New("no terminal") }

		second, err := r.Run(t.Context())

		assert.ErrorContains(t, err, "no terminal")
		assert.Equal(t, rotate.StateCreating, second.State)
		assert.Equal(t, first.New.ID, second.New.ID)
		assert.Empty(t, second.Left, "a token that may be in use should not be named for revocation")
		assert.ErrorContains(t, err, "token "+first.New.ID+" may be in use")
		w.look()
		assert.True(t, w.works(first.New.ID) && w.works(w.old.ID))

		third, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{first.New.ID, w.old.ID}, third.Revoked)
	})
}

// Nobody can tell whether the command took the new token, and the old one is gone.
func TestTokenThatMayBeInUseIsNeitherRevokedNorForgottenWhenTheOldOneIsGone(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{"": {}, "lists fail": {Kind: fastlytest.Status, Status: 503, Path: "/tokens", Times: -1}} {
		inWorld(t, setup{}, func(t *testing.T, w *world) {
			w.troubles = []trouble{at("put", 1, failAfter, fastlytest.Fault{})}
			first, err := w.rotation(t).Run(t.Context())
			require.ErrorIs(t, err, rotate.ErrMaybeHandedOver)
			revoke(t, w, w.old.ID)
			if name != "" {
				w.Inject(fault)
			}

			for range 2 {
				second, err := w.rotation(t).Run(t.Context())

				assert.ErrorIs(t, err, fastly.ErrNotFound, name)
				assert.ErrorContains(t, err, "no run revokes token "+first.New.ID+": revoke by hand what is not in use, and run again, with the ID of one that is in use", name)
				assert.NotContains(t, err.Error(), "nobody holds", name)
				assert.Equal(t, rotate.StateCreating, second.State, name)
				assert.Equal(t, first.New.ID, second.New.ID, name)
				assert.False(t, second.Unknown, name)
			}
			w.ClearFaults()
			w.look()
			assert.True(t, w.works(first.New.ID), "it may be in use")

			r := w.rotation(t)
			r.TokenID = first.New.ID
			third, err := r.Run(t.Context())
			assert.ErrorContains(t, err, "token "+w.old.ID+" was gone", name)
			assert.Equal(t, rotate.StateDone, third.State, name)
			w.look()
			assert.True(t, w.rotated(), name)
		})
	}
}

func TestNewTokenThatIsNotInUseIsRevokedAlthoughTheOldOneIsGone(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(*world) fastly.Secret{
		"the old token": func(w *world) fastly.Secret { return w.old.AccessToken },
		"no token":      func(*world) fastly.Secret { return "" },
		"another token": func(w *world) fastly.Secret {
			return w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: "purger"}}).AccessToken
		},
	} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			reach(t, w, rotate.StateHanding)
			revoke(t, w, w.old.ID)
			w.place = place(w)

			result, err := w.rotation(t).Run(t.Context())

			assert.ErrorIs(t, err, fastly.ErrNotFound, name)
			assert.Equal(t, rotate.StateUnchanged, result.State, name)
			assert.Len(t, result.Revoked, 1, name)
			assert.Nil(t, w.record, name)
			w.look()
			for _, token := range w.tokens {
				assert.Equal(t, w.place, token.AccessToken, "%s: want no token left", name)
			}
		})
	}
}

// No old token says that a name in the journal is that of its own rotation.
func TestTokenKnownByItsNameAloneIsLeftToItsUserWhenTheOldOneIsGone(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("POST /tokens", 1, crashAfter, fastlytest.Fault{})}
		_, err := w.rotate(t)
		require.ErrorIs(t, err, errCrash)
		revoke(t, w, w.old.ID)
		w.look()
		id := w.tokens[0].ID

		for range 2 {
			result, err := w.rotation(t).Run(t.Context())

			assert.ErrorContains(t, err, "no run revokes token "+id)
			assert.ErrorContains(t, err, "by hand")
			assert.Equal(t, rotate.StateCreating, result.State)
			assert.Equal(t, []string{id}, result.Left)
			assert.False(t, result.Unknown)
		}
		assert.Zero(t, time.Since(epoch), "there is nothing to wait for")

		revoke(t, w, id)
		result, err := w.rotation(t).Run(t.Context())
		assert.ErrorIs(t, err, fastly.ErrNotFound)
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.Nil(t, w.record)
	})
}

// revokeAtHandover revokes the old token as soon as the journal says that the new one is handed over.
func revokeAtHandover(t *testing.T, w *world, r *rotate.Rotation) {
	t.Helper()
	r.Journal = onSave{w, func() {
		if strings.Contains(string(w.record), `"state":"handing over"`) && w.works(w.old.ID) {
			revoke(t, w, w.old.ID)
		}
	}}
}

// onSave is a world that calls f after each save.
type onSave struct {
	*world
	f func()
}

func (j onSave) Save(ctx context.Context, record []byte) error {
	err := j.world.Save(ctx, record)
	j.look()
	j.f()
	return err
}

func TestNewTokenIsRevokedBeforeTheOneInUseIsLookedFor(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		for i := 2; i <= 5; i++ { // the first is the old token's
			w.troubles = append(w.troubles, at("DELETE /tokens/ID", i, "503", fastlytest.Fault{Kind: fastlytest.Status, Status: 503}))
		}
		r := w.rotation(t)
		revokeAtHandover(t, w, r)

		result, err := r.Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrNotFound)
		assert.ErrorContains(t, err, "holds a token that does not work")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.Len(t, result.Revoked, 1)
		w.look()
		assert.Empty(t, w.tokens)
	})
}

func TestRunEndsAMinuteAfterItsContextEvenIfTheAPIStalls(t *testing.T) {
	t.Parallel()
	for name, delay := range map[string]time.Duration{"at once": 0, "after a moment": time.Second} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := w.rotation(t)
			stalls := false
			revokeAtHandover(t, w, r)
			before := w.before
			w.before = func(req *http.Request) bool {
				if stalls {
					<-req.Context().Done()
				}
				faulty := before(req)
				if !w.works(w.old.ID) && operation(req) == "GET /tokens/ID" {
					w.after = func(*http.Request) {
						stalls = true
						time.AfterFunc(delay, cancel)
						time.Sleep(delay)
					}
				}
				return faulty
			}

			_, err := r.Run(ctx)

			assert.ErrorContains(t, err, "404", name)
			assert.LessOrEqual(t, time.Since(epoch), delay+time.Minute, name)
		})
	}
}

func TestDestinationThatDoesNotHoldWhatWasPutThereKeepsTheOldTokenWorking(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(context.Context) (fastly.Secret, error){
		"another token": func(context.Context) (fastly.Secret, error) { return "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe", nil },
		"an error":      failOnce(3, errors.New("no such vault")),
	} {
		inWorld(t, setup{}, func(t *testing.T, w *world) {
			r := w.rotation(t)
			r.Handover.Get = get

			result, err := r.Run(t.Context())

			assert.ErrorContains(t, err, "the destination of the handover", name)
			assert.Equal(t, rotate.StateHanding, result.State, name)
			w.look()
			assert.True(t, w.works(w.old.ID), name)
		})
	}
}

// failOnce fails the nth time.
func failOnce(n int, err error) func(context.Context) (fastly.Secret, error) {
	return func(context.Context) (fastly.Secret, error) {
		if n--; n == 0 {
			return "", err
		}
		return "", nil
	}
}

func TestDestinationThatLosesTheTokenDuringTheGracePeriodKeepsTheOldOneWorking(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: time.Hour}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Handover.Get = func(ctx context.Context) (fastly.Secret, error) {
			if time.Since(epoch) > time.Minute {
				w.place = w.old.AccessToken
			}
			return w.getPlace(ctx)
		}

		result, err := r.Run(t.Context())

		assert.ErrorContains(t, err, "is no longer at the destination of the handover")
		assert.Equal(t, rotate.StateHandedOver, result.State)
		w.look()
		assert.Len(t, w.tokens, 2)
		assert.Len(t, w.Tokens(), 4, "one run should create one token only")

		w.grace = 0
		_, err = w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestErrorOfAHandoverIsNotThatOfACreate(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Handover.Put = func(context.Context, *fastly.TokenCreatedResponse) error {
			return fmt.Errorf("the vault: %w", fastly.ErrOutcomeUnknown)
		}

		_, err := r.Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
		assert.NotContains(t, err.Error(), "that has been done")
	})
}

func TestErrorOfALostCreateThatWasFoundSaysSo(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		page := fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 403, Body: "<title>Access denied</title>"}
		w.troubles = []trouble{at("POST /tokens", 1, "a page", page)}

		result, err := w.rotation(t).Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
		assert.ErrorContains(t, err, "and don't hold; that has been done; nothing has changed")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		w.look()
		assert.Len(t, w.tokens, 1)
	})
}

func TestCanceledRunHandsOverNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("GET /tokens/self", 2, canceled, fastlytest.Fault{})} // while the new token is checked

		result, err := w.rotate(t)

		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.NotContains(t, w.ops, "put")
		w.look()
		assert.Len(t, w.tokens, 1)
	})
}

func TestTokenInItsPlaceIsNotReplacedBecauseOfOne401(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("put", 1, crashAfter, fastlytest.Fault{})}
		_, err := w.rotate(t)
		require.ErrorIs(t, err, errCrash)
		n := len(w.ops)
		w.troubles = []trouble{{op: n + 3, name: "401", fault: fastlytest.Fault{Kind: fastlytest.Status, Status: 401, Times: 2}}}

		_, err = w.rotation(t).Run(t.Context())

		require.NoError(t, err)
		assert.Equal(t, []string{"GET /tokens/self", "GET /tokens/self", "GET /tokens/self"}, w.ops[n+3:n+6], w.log.String())
		assert.NotContains(t, w.ops[n:], "POST /tokens")
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestTokenThatIsGoneAfterTheHandoverIsReplaced(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		setup setup
		lose  func(*testing.T, *world, rotate.Result)
	}{
		"revoked":                {setup{}, func(t *testing.T, w *world, r rotate.Result) { revoke(t, w, r.New.ID) }},
		"revoked in a file":      {setup{get: true}, func(t *testing.T, w *world, r rotate.Result) { revoke(t, w, r.New.ID) }},
		"replaced by the old":    {setup{get: true}, func(_ *testing.T, w *world, _ rotate.Result) { w.place = w.old.AccessToken }},
		"replaced by no token":   {setup{get: true}, func(_ *testing.T, w *world, _ rotate.Result) { w.place = "not a\ntoken" }},
		"replaced by an unknown": {setup{get: true}, func(_ *testing.T, w *world, _ rotate.Result) { w.place = "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe" }},
		"replaced, of its own":   {setup{own: true, get: true}, func(_ *testing.T, w *world, _ rotate.Result) { w.place = "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe" }},
		"removed":                {setup{get: true}, func(_ *testing.T, w *world, _ rotate.Result) { w.place = "" }},
		"expired":                {setup{}, func(_ *testing.T, w *world, _ rotate.Result) { time.Sleep(lifetime + time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.setup.grace, tc.setup.noWait = time.Hour, true
			inWorld(t, tc.setup, func(t *testing.T, w *world) {
				first, err := w.rotation(t).Run(t.Context())
				require.NoError(t, err)
				tc.lose(t, w, first)
				time.Sleep(time.Hour)

				r := w.rotation(t)
				r.Grace, r.Login = 0, func(context.Context) (rotate.Login, error) {
					return rotate.Login{Username: w.user.Login, Password: fastly.Secret(w.user.Password)}, nil
				}
				second, err := r.Run(t.Context())

				require.NoError(t, err, w.log.String())
				assert.Equal(t, rotate.StateDone, second.State)
				assert.NotEqual(t, first.New.ID, second.New.ID)
				w.look()
				assert.True(t, w.rotated(), w.log.String())
			})
		})
	}
}

func revoke(t *testing.T, w *world, id string) {
	t.Helper()
	require.NoError(t, w.client(t, w.admin.AccessToken).Tokens.RevokeToken(t.Context(), id))
}

// A login of another customer makes a token that the client can't see.
func TestNewTokenOfAnotherCustomerIsRevokedOrSaidToBeLeft(t *testing.T) {
	t.Parallel()
	for own, left := range map[bool]int{true: 0, false: 1} { // own: the new token may revoke itself
		inWorld(t, setup{own: own, get: true}, func(t *testing.T, w *world) {
			stranger := w.AddUser(fastlytest.User{CustomerID: "another"})
			r := w.rotation(t)
			r.Login = func(context.Context) (rotate.Login, error) {
				return rotate.Login{Username: stranger.Login, Password: fastly.Secret(stranger.Password)}, nil
			}

			result, err := r.Run(t.Context())

			assert.ErrorContains(t, err, "belongs to another user")
			alive := w.alive(stranger.ID)
			require.Len(t, alive, left)
			require.Len(t, result.Left, left)
			if left == 0 {
				assert.Equal(t, rotate.StateUnchanged, result.State)
			} else {
				assert.Equal(t, rotate.StateCreating, result.State)
				assert.Equal(t, alive[0].ID, result.Left[0])
				assert.ErrorContains(t, err, alive[0].ID)
			}
		})
	}
}

func TestJournalOfAnotherRotationIsFinishedFirst(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
		first, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		third := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{})
		foreign := w.AddToken(w.AddUser(fastlytest.User{}).ID, fastly.TokenCreatedResponse{})
		for name, change := range map[string]func(*rotate.Rotation){
			"another token":   func(r *rotate.Rotation) { r.TokenID = third.ID },
			"the key's token": func(r *rotate.Rotation) { r.TokenID = "" },
			"another user":    func(r *rotate.Rotation) { r.Client = w.client(t, foreign.AccessToken) },
		} {
			r := w.rotation(t)
			change(r)
			result, err := r.Run(t.Context())
			assert.ErrorContains(t, err, w.old.ID, name)
			assert.Equal(t, rotate.StateHandedOver, result.State, name)
		}
		time.Sleep(time.Hour)

		r := w.rotation(t)
		r.TokenID = first.New.ID // as it is in use now
		result, err := r.Run(t.Context())
		require.NoError(t, err)
		assert.Equal(t, rotate.StateDone, result.State)
		assert.Equal(t, first.New.ID, result.New.ID)
	})
}

func TestDeadKeyAfterTheHandoverSaysWhatToRunWith(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{own: true, login: true}, func(t *testing.T, w *world) {
		w.troubles = []trouble{at("DELETE /tokens/ID", 1, crashAfter, fastlytest.Fault{})} // revoked, and nobody knows
		_, err := w.rotate(t)
		require.ErrorIs(t, err, errCrash)

		r := w.rotation(t)
		r.Client = w.client(t, w.old.AccessToken)
		result, err := r.Run(t.Context())
		assert.ErrorIs(t, err, fastly.ErrUnauthorized)
		assert.ErrorContains(t, err, "run again with another key of this user, and the ID "+w.old.ID)
		assert.Equal(t, rotate.StateHandedOver, result.State)

		result, err = w.rotation(t).Run(t.Context())
		assert.ErrorContains(t, err, "token "+w.old.ID+" was gone: unless this rotation has revoked it")
		assert.ErrorContains(t, err, "token "+result.New.ID+" is in use")
		assert.Equal(t, rotate.StateDone, result.State)
	})
}

func TestTwoRunsExcludeEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, journal := range map[string]rotate.Journal{
		"file": rotate.FileJournal(dir + "/journal"), "memory": rotate.MemoryJournal(),
	} {
		inWorld(t, setup{}, func(t *testing.T, w *world) {
			r := w.rotation(t)
			r.Journal = journal
			var second rotate.Result
			var secondErr error
			r.Handover.Put = func(ctx context.Context, token *fastly.TokenCreatedResponse) error {
				again := w.rotation(t)
				again.Journal = journal
				if name == "file" { // as another process would
					again.Journal = rotate.FileJournal(dir + "/journal")
				}
				before := slices.Clone(w.ops)
				second, secondErr = again.Run(ctx)
				assert.Equal(t, before, w.ops, name)
				return w.put(ctx, token)
			}

			_, err := r.Run(t.Context())

			require.NoError(t, err, name)
			assert.ErrorIs(t, secondErr, rotate.ErrLocked, name)
			assert.Equal(t, rotate.StateUnknown, second.State, name)
			assert.Regexp(t, `^rotate: another run has the journal(: .*journal\.lock: another process has locked it)?; this run did nothing$`, secondErr.Error(), name)
			w.look()
			w.record = nil
			assert.True(t, w.rotated(), name)
		})
	}
}
