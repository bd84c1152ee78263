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

// count returns how many operations of a name there were.
func (w *world) count(op string) int {
	n := 0
	for _, o := range w.ops {
		if o == op {
			n++
		}
	}
	return n
}

func TestLostCreateThatIsNotFoundIsNoSuccess(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore})})

		created, err := rotate.Create(t.Context(), w.login, w.request(), w.key)

		var failure *rotate.CreateError
		require.ErrorAs(t, err, &failure)
		assert.True(t, failure.Unknown)
		assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
		require.NotNil(t, created)
		assert.Equal(t, []string{created.ID}, w.jobs())
		assert.NotEmpty(t, created.AccessToken)
		assert.Equal(t, 30*time.Second, time.Since(epoch), "want it to look for 30 s in all")
	})
}

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

func TestNothingIsWaitedForWhileListsAreRefused(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"by the API":    {Kind: fastlytest.Status, Status: 403, Method: "GET", Path: "/tokens", Times: -1},
		"by a firewall": {Kind: fastlytest.Status, Status: 403, Method: "GET", Path: "/tokens", Times: -1, Foreign: true, Body: page},
	} {
		a := newAPI(t)
		synctest.Test(t, func(t *testing.T) {
			w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut after", fastlytest.Fault{Kind: fastlytest.CutAfter})})
			a.Inject(fault)

			_, err := rotate.Create(t.Context(), w.login, w.request(), w.key)

			var failure *rotate.CreateError
			require.ErrorAs(t, err, &failure, name)
			assert.True(t, failure.Unknown, name)
			assert.Equal(t, 1, w.count("GET /tokens"), name)
			assert.Zero(t, time.Since(epoch), name)
		})
	}
}

func TestPartOfAListProvesNoAbsence(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut after", fastlytest.Fault{Kind: fastlytest.CutAfter})})
		a.Inject(fastlytest.Fault{
			Kind: fastlytest.Status, Status: 200, Method: "GET", Path: "/tokens", Times: -1,
			Header: http.Header{"Link": {`<https://api.fastly.com/tokens?page=2>; rel="next"`}},
			Body:   `[{"id":"KEY","name":"key","scope":"global"}]`,
		})

		created, err := rotate.Create(t.Context(), w.login, w.request(), w.key)

		var failure *rotate.CreateError
		require.ErrorAs(t, err, &failure)
		assert.True(t, failure.Unknown)
		assert.Nil(t, created)
		assert.Equal(t, 1, w.count("POST /tokens"))
	})
}

func TestFirewallGetsThePasswordOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"before the API": {Kind: fastlytest.Status, Status: 403, Foreign: true, Body: page},
		"behind it":      {Kind: fastlytest.StatusAfter, Status: 403, Foreign: true, Body: page},
		"with a 200":     {Kind: fastlytest.Garbage},
	} {
		a := newAPI(t)
		synctest.Test(t, func(t *testing.T) {
			w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, name, fault)})
			_, err := rotate.Create(t.Context(), w.login, w.request(), w.key)
			assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
			assert.ErrorIs(t, err, fastly.ErrInvalidResponse, name)
			assert.Equal(t, 1, w.count("POST /tokens"), name)
			assert.Empty(t, w.jobs(), name)
		})
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(a, setup{login: true}, []trouble{at("POST /tokens", 1, name, fault)})
			_, err := w.rotation(t).Run(t.Context())
			assert.ErrorIs(t, err, fastly.ErrInvalidResponse, name)
			assert.Equal(t, 1, w.count("POST /tokens"), name)
			w.look()
			assert.Len(t, w.tokens, 1, name)
		})
	}
}

func TestCreateLooksOnceMoreWhenItsContextHasEnded(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore})})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()

		_, err := rotate.Create(ctx, w.login, w.request(), w.key)

		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(epoch))
		assert.Equal(t, 6, w.count("GET /tokens"), "want looks at 0, 0.25, 0.75, 1.75 and 3.75 s, and one at the end")
	})
}

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

func TestRotationOfATokenThatAnotherRunHasRotatedIsReported(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]string{
		"GET /tokens/ID":    "a finished rotation may have revoked it",
		"POST /tokens":      "another run may have rotated it",
		"put":               "unless this rotation has revoked it", // too late to be seen before
		"GET /tokens":       "",                                    // the other one sees this one's token
		"DELETE /tokens/ID": "",
	} {
		inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
			w.troubles = []trouble{at(op, 1, anotherRun, fastlytest.Fault{})}

			_, err := w.rotation(t).Run(t.Context())

			w.look()
			if want == "" {
				require.NoError(t, err, op)
				assert.True(t, w.rotated(), op)
				assert.Contains(t, w.log.String(), "another run = unchanged: rotate: the destination of the handover holds token "+w.tokens[0].ID, op)
				return
			}
			assert.ErrorContains(t, err, want, op)
			for _, token := range w.tokens {
				assert.True(t, token.AccessToken == w.place || strings.Contains(err.Error(), token.ID), "%s: nobody knows of token %s: %v", op, token.ID, err)
			}
			assert.Nil(t, w.record, op)
		})
	}
}

func TestTokenThatAnotherRunHasPutInPlaceOfTheNewOneIsTheOneInUse(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
		first, err := w.rotation(t).Run(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Hour)
		other := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: "deploy [r-K3QZ7MPX2A]", Scopes: w.old.Scopes, Services: w.old.Services,
		}})
		w.place = other.AccessToken

		second, err := w.rotation(t).Run(t.Context())

		assert.ErrorContains(t, err, "holds token "+other.ID+", which this one did not create")
		assert.ErrorContains(t, err, "token "+other.ID+" is in use")
		assert.Equal(t, rotate.StateDone, second.State)
		assert.Equal(t, other.ID, second.New.ID)
		assert.Equal(t, []string{first.New.ID, w.old.ID}, second.Revoked)
		w.look()
		assert.True(t, w.rotated(), w.log.String())
	})
}

func TestDestinationThatHoldsAnotherRunsTokenIsNotOverwritten(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{get: true}, func(t *testing.T, w *world) {
		other := w.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
			Name: "deploy [r-K3QZ7MPX2A]", Scopes: w.old.Scopes, Services: w.old.Services,
		}})
		w.place = other.AccessToken

		result, err := w.rotation(t).Run(t.Context())

		assert.ErrorContains(t, err, "holds token "+other.ID)
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.Zero(t, w.count("POST /tokens"))
		assert.Equal(t, other.AccessToken, w.place)
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

func TestFirewallDoesNotReplaceAGoodToken(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"a page":         {Kind: fastlytest.Status, Status: 403, Foreign: true, Body: page, Times: -1},
		"a 401 page":     {Kind: fastlytest.Status, Status: 401, Foreign: true, Body: page, Times: -1},
		"a gateway":      {Kind: fastlytest.Status, Status: 401, Foreign: true, Body: `{"title":"no"}`, Times: -1},
		"a 401 for long": {Kind: fastlytest.Status, Status: 401, Times: -1},
	} {
		for _, get := range []bool{true, false} {
			inWorld(t, setup{get: get, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
				first, err := w.rotation(t).Run(t.Context())
				require.NoError(t, err, name)
				time.Sleep(time.Hour)
				fault.Path = "/tokens/self"
				looks := 0
				before := w.before
				w.before = func(r *http.Request) bool {
					if looks++; looks == 2 { // after Client's own
						w.Inject(fault)
					}
					return before(r)
				}

				second, err := w.rotation(t).Run(t.Context())

				w.ClearFaults()
				w.look()
				assert.True(t, w.works(first.New.ID), name)
				assert.NotContains(t, w.ops[slices.Index(w.ops, "unlock"):], "POST /tokens", name)
				assert.NotContains(t, second.Left, first.New.ID, name)
				if err != nil {
					assert.True(t, get, "%s: %v", name, err)
					assert.Equal(t, rotate.StateHandedOver, second.State, name)
				}
			})
		}
	}
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

		assert.ErrorContains(t, err, "belongs to an account")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.Zero(t, w.count("POST /tokens"))
	})
}

// The API may not let a purge token read itself.
func TestTokenThatMayNotReadItselfIsRotated(t *testing.T) {
	t.Parallel()
	for _, get := range []bool{true, false} {
		inWorld(t, setup{get: get, grace: time.Hour, noWait: true}, func(t *testing.T, w *world) {
			before := w.before
			w.before = func(r *http.Request) bool {
				if r.URL.Path == "/tokens/self" && r.Header.Get("Fastly-Key") != w.admin.AccessToken.Reveal() {
					w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 403, Path: "/tokens/self", Body: `{"msg":"You are not authorized to perform this action"}`})
				}
				return before(r)
			}

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

func TestClientThatCannotUseAnotherKeyNeedsConnect(t *testing.T) {
	t.Parallel()
	inWorld(t, setup{}, func(t *testing.T, w *world) {
		r := w.rotation(t)
		r.Connect = nil
		var err error
		r.Client, err = fastly.NewClient(fastly.WithBaseURL(w.URL),
			fastly.WithTransport(&fastly.APIKeyTransport{Key: w.admin.AccessToken, Host: strings.TrimPrefix(w.URL, "http://"), Base: w.wire}))
		require.NoError(t, err)

		result, err := r.Run(t.Context())

		assert.ErrorIs(t, err, fastly.ErrInvalidArgument)
		assert.ErrorContains(t, err, "Connect is needed")
		assert.Equal(t, rotate.StateUnchanged, result.State)
		assert.Zero(t, w.count("POST /tokens"))
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
