package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// A record says what somebody wants the rotation to believe.
func TestPlantedRecordIsNotBelieved(t *testing.T) {
	t.Parallel()
	const format = `{"version":1,"state":%q,"name":%q,"old":{"id":%q,"name":"deploy","user_id":%q,"scope":%q,"services":[%q]},"new":{"id":%q,"name":"x"},"kept":[%q]}`
	const marked, purge = "deploy [r-K3QZ7MPX2A]", "purge_select purge_all"
	for name, record := range map[string]func(w *world, production string) string{
		"more scopes": func(w *world, _ string) string {
			return fmt.Sprintf(format, "creating", marked, w.old.ID, w.user.ID, "global", service, "", "")
		},
		"other services": func(w *world, _ string) string {
			return fmt.Sprintf(format, "creating", marked, w.old.ID, w.user.ID, purge, "7i6HN3TK9wS159v2gPAZ8A", "", "")
		},
		"another name": func(w *world, _ string) string {
			return fmt.Sprintf(format, "creating", "production [r-K3QZ7MPX2A]", w.old.ID, w.user.ID, purge, service, "", "")
		},
		"another token that is old": func(w *world, production string) string {
			return fmt.Sprintf(format, "handed over", "production [r-AAAAAAAAAA]", production, w.user.ID, "global", "", w.old.ID, "")
		},
		"another token that is new": func(w *world, production string) string {
			return fmt.Sprintf(format, "handing over", marked, w.old.ID, w.user.ID, purge, service, production, "")
		},
		"another token that was new": func(w *world, production string) string {
			return fmt.Sprintf(format, "creating", marked, w.old.ID, w.user.ID, purge, service, "", production)
		},
		"an old token that is gone": func(w *world, production string) string {
			return fmt.Sprintf(format, "creating", "production [r-K3QZ7MPX2A]", "0000000000000000000000", w.user.ID, "global", "", "", w.old.ID)
		},
		"the old token that is also new": func(w *world, _ string) string {
			return fmt.Sprintf(format, "handed over", marked, w.old.ID, w.user.ID, purge, service, w.old.ID, "")
		},
		"a revoked old token before the handover": func(w *world, _ string) string {
			return strings.Replace(fmt.Sprintf(format, "creating", marked, w.old.ID, w.user.ID, purge, service, "", ""), "{", `{"old_revoked":true,`, 1)
		},
		"a new token that was kept": func(w *world, _ string) string {
			return fmt.Sprintf(format, "handed over", marked, w.old.ID, w.user.ID, purge, service, "0000000000000000000000", "0000000000000000000000")
		},
		"a new token before it was created": func(w *world, production string) string {
			return fmt.Sprintf(format, "creating", marked, w.old.ID, w.user.ID, purge, service, production, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, get := range []bool{true, false} {
				inWorld(t, setup{get: get}, func(t *testing.T, w *world) {
					production := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
						Name: "production [r-K3QZ7MPX2A]", Scopes: fastly.Scopes{fastly.ScopeGlobal},
					}})
					w.record = []byte(record(w, production.ID))

					_, err := w.rotation(t).Run(t.Context())

					require.Error(t, err)
					w.look()
					assert.True(t, w.works(production.ID) && w.works(w.old.ID), w.log.String())
					assert.Len(t, w.tokens, 2)
					assert.Equal(t, w.old.AccessToken, w.place)
					for _, op := range []string{"POST /tokens", "DELETE /tokens/ID", "put"} {
						assert.NotContains(t, w.ops, op)
					}
				})
			}
		})
	}
}

// A token that is in use has the marker of its own rotation.
func TestRecordWithTheMarkerOfATokenInUseDoesNotRevokeIt(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]func(w *world, inUse string) string{
		"the old token":      func(_ *world, inUse string) string { return inUse },
		"at the destination": func(w *world, _ string) string { return w.old.ID },
	} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			inUse := w.old
			inUse.ID, inUse.AccessToken, inUse.Name = "", "", "deploy [r-K3QZ7MPX2A]"
			inUse = w.AddToken(w.user.ID, inUse)
			w.place = inUse.AccessToken
			r := w.rotation(t)
			r.TokenID = old(w, inUse.ID)
			r.Login = func(context.Context) (rotate.Login, error) { return rotate.Login{}, errors.New("no terminal") }
			w.record = fmt.Appendf(nil, `{"version":1,"state":"creating","name":%q,"old":{"id":%q,"user_id":%q,"scope":"purge_select purge_all","services":[%q]}}`,
				inUse.Name, r.TokenID, w.user.ID, service)

			_, err := r.Run(t.Context())

			require.Error(t, err, name)
			w.look()
			assert.True(t, w.works(inUse.ID), "%s: %s", name, w.log.String())
		})
	}
}

func TestRecordThatSaysThatTheOldTokenIsRevokedIsNotBelieved(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
		_, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		w.record = append(w.record[:len(w.record)-1], `,"old_revoked":true}`...)
		time.Sleep(time.Hour)

		result, err := w.rotation(t).Run(t.Context())

		require.NoError(t, err)
		assert.Equal(t, rotate.StateDone, result.State)
		w.look()
		assert.True(t, w.rotated(), w.log.String())
	})
}

// The response ends before the access token, and the client can't see the token.
func TestLoginOfAnotherUserIsRecognisedInAPartOfAResponse(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		stranger := w.AddUser(fastlytest.User{CustomerID: "another"})
		before := w.before
		w.before = func(r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.after = func(*http.Request) {}
			}
			return before(r)
		}
		r := w.rotation(t)
		r.Login = func(context.Context) (rotate.Login, error) {
			return rotate.Login{Username: stranger.Login, Password: fastly.Secret(stranger.Password)}, nil
		}
		w.troubles = []trouble{at("POST /tokens", 1, "cut", fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: 1 << 20})}

		result, err := r.Run(t.Context())

		assert.ErrorContains(t, err, "belongs to another user")
		alive := w.alive(stranger.ID)
		require.Len(t, alive, 1)
		assert.Equal(t, []string{alive[0].ID}, result.Left, "a 404 proves nothing here")
		assert.Equal(t, rotate.StateCreating, result.State)
		assert.Zero(t, time.Since(epoch), "nothing is to be waited for")
	})
}

func TestLifetimeDoesNotDrift(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{45 * time.Second, -45 * time.Second, 10 * time.Minute} {
		a := newAPI(t)
		a.skew = skew
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(a, setup{}, nil)
			id := w.old.ID
			var last rotate.Result
			for range 90 {
				r := w.rotation(t)
				r.TokenID = id
				var err error
				last, err = r.Run(t.Context())
				require.NoError(t, err)
				id = last.New.ID
				time.Sleep(7 * time.Hour / 3)
			}
			got := last.New.ExpiresAt.Sub(last.New.CreatedAt)
			assert.InDelta(t, lifetime, got, float64(2*time.Second), "a clock %v off", skew)
		})
	}
}

func TestTokenOfAnAccountIsRefused(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		automation := w.AddToken("", fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Scopes: fastly.Scopes{fastly.ScopeGlobal}}})
		r := w.rotation(t)
		r.TokenID, r.Client = "", w.client(t, automation.AccessToken)

		result, err := r.Run(t.Context())

		assert.ErrorContains(t, err, "is an automation token")
		assert.Equal(t, rotate.StateUnchanged, result.State)

		w.record = fmt.Appendf(nil, `{"version":1,"state":"creating","name":"[r-K3QZ7MPX2A]","own":true,"old":{"id":%q,"scope":"global"}}`, automation.ID)
		result, err = r.Run(t.Context())
		assert.ErrorContains(t, err, "is an automation token", "also in a rotation that began before")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.Zero(t, w.count("POST /tokens"))
	})
}

// The API may not let a purge token read itself.
func TestTokenThatMayNotReadItselfIsRotated(t *testing.T) {
	t.Parallel()
	for _, get := range []bool{true, false} {
		inWorld(t, setup{get: get, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
			onlyTheAdminReadsItself(w)

			first, err := w.rotation(t).Run(t.Context())
			require.NoError(t, err, w.log.String())
			require.Equal(t, rotate.StateHandedOver, first.State)
			time.Sleep(time.Hour)
			second, err := w.rotation(t).Run(t.Context())

			require.NoError(t, err, w.log.String())
			assert.Equal(t, rotate.StateDone, second.State)
			w.look()
			assert.True(t, w.rotated())
		})
	}
}

// onlyTheAdminReadsItself makes the API refuse that to other tokens, as it may to purge tokens.
func onlyTheAdminReadsItself(w *world) {
	before := w.before
	w.before = func(r *http.Request) bool {
		if r.URL.Path == "/tokens/self" && r.Header.Get("Fastly-Key") != w.admin.AccessToken.Reveal() {
			w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Path: "/tokens/self", Body: `{"msg":"You are not authorized to perform this action"}`})
		}
		return before(r)
	}
}

func TestRotationOfATokenThatMayNotReadItselfIsFinishedAfterACrash(t *testing.T) {
	t.Parallel()
	for _, state := range []rotate.State{rotate.StateCreating, rotate.StateHanding, rotate.StateHandedOver} {
		inWorld(t, setup{get: true, grace: time.Minute, noWait: state == rotate.StateHandedOver, patience: time.Second}, func(t *testing.T, w *world) {
			onlyTheAdminReadsItself(w)
			reach(t, w, state)
			w.noWait = false

			result, err := w.rotation(t).Run(t.Context())

			require.NoError(t, err, state)
			assert.Equal(t, rotate.StateDone, result.State)
			w.look()
			assert.True(t, w.rotated(), w.log.String())
		})
	}
}

func TestClientForAKeyMustNotBeNil(t *testing.T) {
	t.Parallel()
	for _, get := range []bool{true, false} {
		inWorld(t, setup{get: get}, func(t *testing.T, w *world) {
			r := w.rotation(t)
			r.Connect = func(fastly.Secret) (*fastly.Client, error) { return nil, nil }

			result, err := r.Run(t.Context())

			assert.ErrorContains(t, err, ": none was returned by Connect; ")
			assert.Equal(t, rotate.StateUnchanged, result.State)
			w.look()
			assert.Len(t, w.tokens, 1, w.log.String())
		})
	}
}

func TestNewTokenIsCheckedThroughTheClient(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Connect = nil

		_, err := r.Run(t.Context())

		require.NoError(t, err)
		w.look()
		assert.True(t, w.rotated())
	})
}

func TestLoginPrintsWithoutItsPassword(t *testing.T) {
	t.Parallel()
	login := rotate.Login{Username: "me@example.com", Password: "open sesame"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, value := range []any{login, &login, []rotate.Login{login}} {
			text := fmt.Sprintf(verb, value)
			assert.NotContains(t, text, "sesame", verb)
			assert.NotContains(t, text, fmt.Sprintf("%x", "sesame"), verb)
			assert.Contains(t, text, "me@example.com", verb)
		}
	}
}
