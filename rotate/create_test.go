package rotate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

// createWorld is a user who creates a token.
type createWorld struct {
	*world
	login, key *fastly.Client
}

func newCreateWorld(t *testing.T, a *api, troubles []trouble) *createWorld {
	t.Helper()
	w := newWorld(a, setup{}, troubles)
	login, err := fastly.NewClient(fastly.WithoutAuthentication(), fastly.WithBaseURL(w.URL),
		fastly.WithHTTPClient(&http.Client{Transport: w}), fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	return &createWorld{w, login, w.client(t, w.admin.AccessToken)}
}

func (w *createWorld) request() *fastly.CreateTokenRequest {
	return &fastly.CreateTokenRequest{
		Name: "job", Scopes: fastly.Scopes{fastly.ScopePurgeAll},
		Username: w.user.Login, Password: fastly.Secret(w.user.Password),
	}
}

// jobs returns the IDs of the tokens that a create has made and that work.
func (w *createWorld) jobs() (ids []string) {
	for _, t := range w.alive(w.user.ID) {
		if rotate.BaseName(t.Name) == "job" {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func TestCreateMarksTheNameAndLeavesTheRequestAlone(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, nil)
		req := w.request()

		created, err := rotate.Create(t.Context(), w.login, req, w.key)

		require.NoError(t, err)
		assert.Regexp(t, `^job \[r-[A-Z2-7]{10}\]$`, created.Name)
		assert.Equal(t, w.request(), req)
		assert.Equal(t, []string{created.ID}, w.jobs())
		assert.NotEmpty(t, created.AccessToken)
		assert.Equal(t, []string{"POST /tokens"}, w.ops, "a create that went well should need no other request")
	})
}

// TestCreateSurvivesEverySequenceOfFaults wants exactly one token after a
// success, and after a failure nothing that the error does not name.
func TestCreateSurvivesEverySequenceOfFaults(t *testing.T) {
	t.Parallel()
	distinct := classes(t)
	a := newAPI(t)
	n, failed, depth := 0, 0, *sequences+1
	var explore func(troubles []trouble)
	explore = func(troubles []trouble) {
		if len(a.Tokens()) > 100 {
			a.close()
			a = newAPI(t)
		}
		var ops []string
		synctest.Test(t, func(t *testing.T) {
			w := newCreateWorld(t, a, troubles)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.cancel = cancel
			created, err := rotate.Create(ctx, w.login, w.request(), w.key)
			ops = w.ops
			n++
			jobs := w.jobs()
			if err == nil {
				assert.Equal(t, []string{created.ID}, jobs, "troubles %v", troubles)
				assert.NotEmpty(t, created.AccessToken, "troubles %v", troubles)
				return
			}
			failed++
			if len(troubles) == 1 && errors.Is(err, fastly.ErrOutcomeUnknown) && !errors.Is(err, fastly.ErrInvalidResponse) {
				require.NotNil(t, created, "troubles %v: after one unknown outcome there should be a token: %v", troubles, err)
				assert.Equal(t, []string{created.ID}, jobs, "troubles %v", troubles)
			}
			var failure *rotate.CreateError
			require.ErrorAs(t, err, &failure)
			unknown := slices.DeleteFunc(slices.Clone(jobs), func(id string) bool {
				return slices.Contains(failure.Left, id) || created != nil && created.ID == id
			})
			assert.True(t, len(unknown) == 0 || len(unknown) == 1 && failure.Unknown, "troubles %v leave %q: %v", troubles, unknown, err)
			if errors.Is(err, fastly.ErrOutcomeUnknown) {
				assert.Contains(t, err.Error(), failure.Name)
			}
			assert.NotContains(t, err.Error(), w.user.Password)
		})
		if len(troubles) == depth {
			return
		}
		from := 0
		if len(troubles) > 0 {
			from = troubles[len(troubles)-1].op + 1
		}
		for op := from; op < len(ops); op++ {
			if repeats(ops, op) {
				continue
			}
			for _, tr := range append(slices.Clone(distinct[ops[op]]), trouble{name: canceled}) {
				tr.op = op
				explore(append(slices.Clone(troubles), tr))
			}
		}
	}
	explore(nil)
	t.Logf("%d sequences of up to %d faults, %d of them failed", n, depth, failed)
}

// repeats reports whether the nth operation is one of a row of looks that are all
// alike, neither at its beginning nor at its end.
func repeats(ops []string, n int) bool {
	return n > 1 && n+1 < len(ops) && ops[n] == ops[n-1] && ops[n] == ops[n-2] && ops[n] == ops[n+1]
}

func TestCreateWithoutCleanupSaysWhatToLookFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for name, tc := range map[string]struct {
		fault  fastlytest.Fault
		inHand bool
	}{
		"no response":      {fastlytest.Fault{Kind: fastlytest.CutAfter}, false},
		"all but the end":  {fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: 1 << 20}, true},
		"a proxy's 503":    {fastlytest.Fault{Kind: fastlytest.StatusAfter}, false},
		"a captive portal": {fastlytest.Fault{Kind: fastlytest.Garbage}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newCreateWorld(t, a, []trouble{{name: name, fault: tc.fault}})

			created, err := rotate.Create(t.Context(), w.login, w.request(), nil)

			var failure *rotate.CreateError
			require.ErrorAs(t, err, &failure, name)
			require.Len(t, w.jobs(), 1, name)
			token, _ := w.Token(w.jobs()[0])
			assert.Equal(t, token.Name, failure.Name, name)
			assert.Contains(t, err.Error(), token.Name, name)
			assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
			if tc.inHand {
				assert.Equal(t, token.AccessToken, created.AccessToken, name)
			} else {
				assert.Nil(t, created, name)
				assert.True(t, failure.Unknown, name)
			}
		})
	}
}

func TestCreateThatIsRejectedIsNotRepeated(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, nil)
		req := w.request()
		req.Password = "wrong"

		created, err := rotate.Create(t.Context(), w.login, req, w.key)

		assert.ErrorIs(t, err, fastly.ErrInvalidCredentials)
		assert.NotContains(t, err.Error(), "token named", "nothing was created: there is nothing to look for")
		assert.Nil(t, created)
		assert.Equal(t, []string{"POST /tokens"}, w.ops)
		assert.Empty(t, w.jobs())
	})
}

func TestCreateAsksForTheOneTimePasswordOfEachCreate(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, []trouble{{fault: fastlytest.Fault{Kind: fastlytest.CutAfter}, name: "cut after"}})
		asked := 0
		req := w.request()
		req.OTPFunc = func(context.Context) (fastly.Secret, error) {
			asked++
			return "123456", nil
		}

		_, err := rotate.Create(t.Context(), w.login, req, w.key)

		require.NoError(t, err)
		assert.Equal(t, 2, asked)
	})
}

func TestTokenThatTurnsUpLateIsRevoked(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for name, look := range map[string]int{"while Create looks": 2, "after the next create": 5} {
		synctest.Test(t, func(t *testing.T) {
			w := newCreateWorld(t, a, []trouble{{fault: fastlytest.Fault{Kind: fastlytest.CutBefore}, name: "cut before"}})
			before := w.before
			var lost string
			w.before = func(r *http.Request) bool {
				if r.Method == http.MethodPost && lost == "" {
					text, err := io.ReadAll(r.Body)
					require.NoError(t, err)
					r.Body = io.NopCloser(bytes.NewReader(text))
					form, err := url.ParseQuery(string(text))
					require.NoError(t, err)
					lost = form.Get("name")
				}
				faulty := before(r)
				if len(w.ops) == look+1 {
					a.AddToken(w.user.ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: lost}})
				}
				return faulty
			}

			created, err := rotate.Create(t.Context(), w.login, w.request(), w.key)

			require.NoError(t, err, name)
			assert.Equal(t, []string{created.ID}, w.jobs(), name)
		})
	}
}

func TestListThatIsLateDoesNotHideALostToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		cut := fastlytest.Fault{Kind: fastlytest.CutAfter}
		w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut after", cut), at("POST /tokens", 2, "cut after", cut)})
		before := w.before
		var first fastly.TokenResponse
		w.before = func(r *http.Request) bool {
			switch len(w.ops) {
			case 1:
				token, _ := w.Token(w.jobs()[0])
				first = token.TokenResponse
			case 4: // the first token is revoked by now
				w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Body: "[" + jsonOf(t, first) + "]"})
			}
			return before(r)
		}

		created, err := rotate.Create(t.Context(), w.login, w.request(), w.key)

		require.NoError(t, err)
		assert.Equal(t, []string{created.ID}, w.jobs(), w.log.String())
	})
}

func TestCreateThatIsCanceledLeavesNoToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	user := a.AddUser(fastlytest.User{})
	key := a.AddToken(user.ID, fastly.TokenCreatedResponse{})
	a.Inject(fastlytest.Fault{Kind: fastlytest.StallAfter, Method: "POST"})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	connect := func(auth fastly.Option) *fastly.Client {
		c, err := fastly.NewClient(auth, fastly.WithBaseURL(a.URL), fastly.WithHTTPClient(&http.Client{Transport: transport}))
		require.NoError(t, err)
		return c
	}
	cause := errors.New("the user has had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { // as soon as there is a token
		assert.Eventually(t, func() bool { return len(a.alive(user.ID)) == 2 }, time.Minute, time.Millisecond)
		cancel(cause)
	}()

	created, err := rotate.Create(ctx, connect(fastly.WithoutAuthentication()),
		&fastly.CreateTokenRequest{Name: "job", Username: user.Login, Password: fastly.Secret(user.Password)},
		connect(fastly.WithAPIKey(key.AccessToken.Reveal())))

	assert.Nil(t, created)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, cause)
	assert.Len(t, a.alive(user.ID), 1, "want the key alone")
	var failure *rotate.CreateError
	require.ErrorAs(t, err, &failure)
	assert.Empty(t, failure.Left)
	assert.False(t, failure.Unknown)
	assert.True(t, strings.HasSuffix(err.Error(), `no token named "`+failure.Name+`" is left`), err)
}

// front is an API that responds to creates in its own way. It counts them.
func front(t *testing.T, create http.HandlerFunc, list string) (c *fastly.Client, creates *atomic.Int32) {
	t.Helper()
	creates = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			creates.Add(1)
			create(w, r)
		case http.MethodGet:
			_, _ = io.WriteString(w, list)
		default:
			t.Errorf("%s %s revokes a token that is not the one to create", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(srv.Close)
	c, err := fastly.NewClient(fastly.WithBaseURL(srv.URL), fastly.WithAPIKey("key-of-the-front"))
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c, creates
}

// A gateway, say, that made the create a GET.
func TestCreateRevokesNoTokenOfAnotherName(t *testing.T) {
	t.Parallel()
	const list = `[{"id":"PRODUCTION","name":"production","scope":"global"},{"id":"KEY","name":"key","scope":"global"}]`
	for name, body := range map[string]string{
		"list":   list,
		"nested": `{"tokens":` + list + `}`,
		"get":    `{"id":"PRODUCTION","name":"production"}`,
		"error":  `{"msg":"no","token":{"id":"KEY","access_token":"Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := front(t, func(w http.ResponseWriter, _ *http.Request) {
				if name == "error" {
					w.WriteHeader(http.StatusForbidden)
				}
				_, _ = io.WriteString(w, body)
			}, list)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2) // it looks for the token
			defer cancel()
			_, err := rotate.Create(ctx, c, &fastly.CreateTokenRequest{Name: "job"}, c)
			var failed *rotate.CreateError
			require.ErrorAs(t, err, &failed)
			assert.Empty(t, failed.Left)
			assert.True(t, failed.Unknown, "the token may exist: %v", err)
		})
	}
}

func TestCreateStopsAtAnAccessTokenThatMayWork(t *testing.T) {
	t.Parallel()
	const access = "Jd8sKf02mPq-47xLwZ_nB5vTcYh1RgAe"
	c, creates := front(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"`+access+`"`)
	}, "[]")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/2) // it looks for the token
	defer cancel()
	created, err := rotate.Create(ctx, c, &fastly.CreateTokenRequest{Name: "job"}, c)
	var failed *rotate.CreateError
	require.ErrorAs(t, err, &failed)
	assert.True(t, failed.Unknown, "%v", err)
	require.NotNil(t, created, "the access token is lost")
	assert.Equal(t, access, created.AccessToken.Reveal())
	assert.EqualValues(t, 1, creates.Load())
}

func TestCreateRejectsMissingArguments(t *testing.T) {
	t.Parallel()
	c, err := fastly.NewClient(fastly.WithoutAuthentication())
	require.NoError(t, err)
	req := &fastly.CreateTokenRequest{}
	for name, create := range map[string]func() (*fastly.TokenCreatedResponse, error){
		"context": func() (*fastly.TokenCreatedResponse, error) {
			var none context.Context
			return rotate.Create(none, c, req, nil)
		},
		"client":  func() (*fastly.TokenCreatedResponse, error) { return rotate.Create(t.Context(), nil, req, nil) },
		"request": func() (*fastly.TokenCreatedResponse, error) { return rotate.Create(t.Context(), c, nil, nil) },
	} {
		_, err := create()
		assert.ErrorIs(t, err, fastly.ErrInvalidArgument, name)
	}
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
		"with a 503":     {Kind: fastlytest.StatusAfter, Status: 503, Foreign: true, Body: page},
	} {
		a := newAPI(t)
		synctest.Test(t, func(t *testing.T) {
			w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, name, fault)})
			_, err := rotate.Create(t.Context(), w.login, w.request(), w.key)
			assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
			assert.Equal(t, 1, w.count("POST /tokens"), name)
			assert.Empty(t, w.jobs(), name)
		})
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(a, setup{login: true}, []trouble{at("POST /tokens", 1, name, fault)})
			_, err := w.rotation(t).Run(t.Context())
			assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
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

// Its list ends early, and a 404 proves nothing of a token that no list has shown.
func TestTokenThatLagsIsNotTakenForRevokedAtTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut middle", fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: 150})})
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Method: "DELETE", Body: `{"msg":"Record not found"}`})
		w.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Method: "GET", Path: "/tokens", Body: `[]`, Times: -1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := w.before
		w.before = func(r *http.Request) bool {
			if r.Method == http.MethodGet {
				cancel()
			}
			return before(r)
		}

		created, err := rotate.Create(ctx, w.login, w.request(), w.key)

		assert.Nil(t, created)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 2, w.count("DELETE /tokens/ID"))
		assert.Empty(t, w.jobs(), "%v", err)
	})
}

func TestLookAfterTheEndOfTheContextIsBounded(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	synctest.Test(t, func(t *testing.T) {
		w := newCreateWorld(t, a, []trouble{at("POST /tokens", 1, "cut before", fastlytest.Fault{Kind: fastlytest.CutBefore})})
		ctx, cancel := context.WithCancel(t.Context())
		before := w.before
		w.before = func(r *http.Request) bool {
			cancel()
			return before(r)
		}
		cleanup, err := fastly.NewClient(fastly.WithTransport(hanging{}))
		require.NoError(t, err)

		_, err = rotate.Create(ctx, w.login, w.request(), cleanup)

		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 30*time.Second, time.Since(epoch))
	})
}

func TestListThatStallsLeavesTimeToRevokeWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, deadline := range []time.Duration{time.Hour, 5 * time.Second} {
		inWorld(t, setup{get: true, patience: 30 * time.Second}, func(t *testing.T, w *world) {
			r := w.rotation(t)
			var err error
			r.Client, err = r.Client.With(fastly.WithRetryPolicy(fastly.RetryPolicy{}),
				fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper { return hangingLists{next} }))
			require.NoError(t, err)
			r.Connect = nil
			r.Handover.Put = func(context.Context, *fastly.TokenCreatedResponse) error { return errors.New("the vault is sealed") }
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			start := time.Now()

			_, err = r.Run(ctx)

			assert.ErrorContains(t, err, "the vault is sealed")
			assert.Less(t, time.Since(start), 3*time.Minute)
			w.look()
			assert.Len(t, w.tokens, 1, "only the old one")
		})
	}
}

// hangingLists gets no response to a list of tokens.
type hangingLists struct{ next http.RoundTripper }

func (h hangingLists) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && req.URL.Path == "/tokens" {
		return hanging{}.RoundTrip(req)
	}
	return h.next.RoundTrip(req)
}

// hanging is a transport that gets no response.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}
