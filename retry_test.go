package fastly_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/internal/clock"
)

// rig is one operation with a server and a client that may perform it, and the
// token that it acts on.
type rig struct {
	t      *testing.T
	op     operation
	srv    *fastlytest.Server
	client *fastly.Client
	waits  *waits
	victim fastly.TokenCreatedResponse
}

func newRig(t *testing.T, op operation, opts ...fastly.Option) *rig {
	t.Helper()
	return newRigOn(t, op, nil, opts...)
}

// newRigOn is newRig with the listener of the server.
func newRigOn(t *testing.T, op operation, l net.Listener, opts ...fastly.Option) *rig {
	t.Helper()
	srv := newAPI(t, fastlytest.WithListener(l), fastlytest.WithClock(func() time.Time { return testTime }))
	user := srv.AddUser(fastlytest.User{CustomerID: someCustomer, Superuser: true})
	victim := srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
	key := srv.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken
	if op.kind == fastly.KindRevokeCurrent {
		key = victim.AccessToken
	}
	c := mustClient(t, append([]fastly.Option{fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(key.Reveal())}, opts...)...)
	return &rig{t: t, op: op, srv: srv, client: c, waits: skipWaits(c), victim: victim}
}

func (r *rig) do() error { return r.op.call(r.t.Context(), r.client, r.victim.ID) }

func (r *rig) revoked() bool {
	token, ok := r.srv.Token(r.victim.ID)
	require.True(r.t, ok)
	return !token.DeletedAt.IsZero()
}

func (r *rig) created() (n int) {
	for _, token := range r.srv.Tokens() {
		if token.Name == someName {
			n++
		}
	}
	return n
}

// assertApplied checks whether the operation was applied, and not twice.
func (r *rig) assertApplied(want bool) {
	r.t.Helper()
	switch r.op.kind {
	case fastly.KindRead:
	case fastly.KindCreate:
		tokens := 0
		if want {
			tokens = 1
		}
		assert.Equal(r.t, tokens, r.created(), "tokens created")
	default:
		assert.Equal(r.t, want, r.revoked(), "revoked")
	}
}

// assertRequests checks the number of requests, with a wait before each retry.
func (r *rig) assertRequests(want int) {
	r.t.Helper()
	assert.Len(r.t, r.srv.Requests(), want, "requests sent")
	assert.Len(r.t, r.waits.all(), max(want-1, 0), "waits")
}

// dialer fails as its function says, which is given the number of the dial.
type dialer struct {
	fail func(n int) (net.Conn, error) // nil, nil: dial
	n    atomic.Int32
}

// failingDialer fails with err the first few times.
func failingDialer(err error, times int) *dialer {
	return &dialer{fail: func(n int) (net.Conn, error) {
		if n <= times {
			return nil, err
		}
		return nil, nil
	}}
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if conn, err := d.fail(int(d.n.Add(1))); conn != nil || err != nil {
		return conn, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (d *dialer) transport() *http.Transport { return &http.Transport{DialContext: d.dial} }

// decisions is the table of docs/retries.md as decide sees it: by the outcome of
// an attempt, its status (0: no response), and whether an earlier attempt may have
// been processed. The three columns in the middle are revokes of the current token,
// whose key comes from WithAPIKey, WithAPIKeyFunc or WithTransport. With retry*, the
// outcome is unknown if there can't be another attempt.
const decisions = `
outcome      | status                                  | earlier | read  | by ID   | key     | func    | transport | bulk    | create
not sent     | 0                                       | no      | retry | retry   | retry   | retry   | retry     | retry   | retry
not sent     | 0                                       | yes     | retry | retry   | retry   | retry*  | retry*    | retry   | retry*
rate limited | 429                                     | no      | retry | retry   | retry   | retry   | retry     | retry   | retry
rate limited | 429                                     | yes     | retry | retry   | retry   | retry*  | retry*    | retry   | retry*
no response  | 0                                       | either  | retry | retry   | retry   | retry*  | unknown   | retry   | unknown
server error | 408 500 502 503 504                     | either  | retry | retry   | retry   | retry*  | unknown   | retry   | unknown
truncated    | 200 204                                 | either  | retry | done    | done    | done    | done      | done    | unknown
done         | 200 204                                 | either  | done  | done    | done    | done    | done      | done    | done
client error | 400 401 403 404 409 410 422 451 499     | no      | fail  | fail    | fail    | fail    | fail      | fail    | fail
client error | 400 409 410 422 451 499                 | yes     | fail  | fail    | fail    | unknown | unknown   | fail    | unknown
client error | 401                                     | yes     | fail  | unknown | done    | done    | unknown   | unknown | unknown
client error | 403                                     | yes     | fail  | fail    | unknown | unknown | unknown   | fail    | unknown
client error | 404                                     | yes     | fail  | done    | done    | done    | unknown   | unknown | unknown
ambiguous    | 101 200 204 303 400 401 403 404 501 520 | either  | fail  | fail    | fail    | unknown | unknown   | fail    | unknown
permanent    | 0 301 302 307 308 401 403 404 407       | no      | fail  | fail    | fail    | fail    | fail      | fail    | fail
permanent    | 0 301 302 307 308 401 403 404 407       | yes     | fail  | fail    | fail    | unknown | unknown   | fail    | unknown
`

var classes = []fastly.Class{
	fastly.ClassDone, fastly.ClassNotSent, fastly.ClassNoResponse, fastly.ClassServerError, fastly.ClassTruncated,
	fastly.ClassRateLimited, fastly.ClassClientError, fastly.ClassAmbiguous, fastly.ClassPermanent,
}

func TestDecideEveryCell(t *testing.T) {
	t.Parallel()
	columns := []struct {
		kind fastly.Kind
		key  fastly.Changes
	}{
		{fastly.KindRead, fastly.ChangesPerAttempt},
		{fastly.KindRevoke, fastly.ChangesPerAttempt},
		{fastly.KindRevokeCurrent, fastly.ChangesNever},
		{fastly.KindRevokeCurrent, fastly.ChangesPerCall},
		{fastly.KindRevokeCurrent, fastly.ChangesPerAttempt},
		{fastly.KindRevokeBulk, fastly.ChangesPerAttempt},
		{fastly.KindCreate, fastly.ChangesPerAttempt},
	}
	earlier := map[string][]bool{"no": {false}, "yes": {true}, "either": {false, true}}
	covered := map[fastly.Class]bool{}
	for _, line := range strings.Split(strings.TrimSpace(decisions), "\n")[1:] {
		row := strings.Split(line, "|")
		require.Len(t, row, 3+len(columns), line)
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		class := fastly.Class(row[0])
		require.Contains(t, classes, class, line)
		covered[class] = true
		require.Contains(t, earlier, row[2], line)
		for _, field := range strings.Fields(row[1]) {
			status, err := strconv.Atoi(field)
			require.NoError(t, err, line)
			for _, maybeProcessed := range earlier[row[2]] {
				for i, column := range columns {
					assert.Equal(t, row[3+i], fastly.Decide(column.kind, column.key, class, status, maybeProcessed),
						"column %d, status %d, maybe processed before: %v, of %s", i, status, maybeProcessed, line)
				}
			}
		}
	}
	for _, class := range classes {
		assert.True(t, covered[class], "class %q has no row", class)
	}
}

func TestClassifyStatusOfEveryStatus(t *testing.T) {
	t.Parallel()
	for status := 100; status <= 999; status++ {
		if status/100 == 2 {
			continue // whose body decides
		}
		want := fastly.ClassPermanent
		switch {
		case status == 407:
		case status == 429:
			want = fastly.ClassRateLimited
		case slices.Contains([]int{408, 500, 502, 503, 504}, status):
			want = fastly.ClassServerError
		case status >= 400 && status <= 499:
			want = fastly.ClassClientError
		case status < 200, status == 303, status >= 500:
			want = fastly.ClassAmbiguous
		}
		assert.Equal(t, want, fastly.ClassifyStatus(status), "status %d", status)
	}
}

func TestZeroRetryPolicyMeansTheDefaults(t *testing.T) {
	t.Parallel()
	assert.Equal(t, fastly.RetryPolicy{
		MaxAttempts: 4, MinBackoff: 250 * time.Millisecond, MaxBackoff: 8 * time.Second, MaxWait: 30 * time.Second,
	}, fastly.WithDefaults(fastly.RetryPolicy{}))
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	t.Parallel()
	p := fastly.WithDefaults(fastly.RetryPolicy{})
	for n, want := range map[int]time.Duration{
		1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 3: time.Second, 4: 2 * time.Second,
		5: 4 * time.Second, 6: 8 * time.Second, 7: 8 * time.Second, 1 << 30: 8 * time.Second,
	} {
		assert.Equal(t, want, fastly.RetryDelay(p, 0, n, 1), "longest wait before retry %d", n)
		assert.Equal(t, want/2, fastly.RetryDelay(p, 0, n, 0.5), "middle wait before retry %d", n)
		assert.Zero(t, fastly.RetryDelay(p, 0, n, 0), "shortest wait before retry %d", n)
	}
	odd := fastly.RetryPolicy{MinBackoff: 3 * time.Second, MaxBackoff: 5 * time.Second}
	assert.Equal(t, 5*time.Second, fastly.RetryDelay(odd, 0, 2, 1), "the bound holds between doublings")
}

func TestBackoffHasFullJitter(t *testing.T) {
	t.Parallel()
	p := fastly.WithDefaults(fastly.RetryPolicy{})
	var low, high int
	for range 1000 {
		wait := fastly.RetryDelay(p, 0, 1, rand.Float64())
		require.True(t, 0 <= wait && wait < p.MinBackoff, "wait of %v", wait)
		if wait < p.MinBackoff/4 {
			low++
		} else if wait > p.MinBackoff*3/4 {
			high++
		}
	}
	// 250 of each are expected; fewer than 100 are less likely than 1e-30.
	assert.Greater(t, low, 100, "waits in the lowest quarter")
	assert.Greater(t, high, 100, "waits in the highest quarter")
}

func TestDelayOfTheServerReplacesTheBackoff(t *testing.T) {
	t.Parallel()
	p := fastly.WithDefaults(fastly.RetryPolicy{})
	assert.Equal(t, 17*time.Second, fastly.RetryDelay(p, 17*time.Second, 1, 0))
	assert.Equal(t, time.Millisecond, fastly.RetryDelay(p, time.Millisecond, 9, 0))
}

// Clients that are told to wait for the same time must not all retry at the same
// moment.
func TestDelayOfTheServerGetsJitterOnTop(t *testing.T) {
	t.Parallel()
	p := fastly.WithDefaults(fastly.RetryPolicy{})
	assert.Equal(t, 20*time.Second+time.Second, fastly.RetryDelay(p, 20*time.Second, 1, 0.5), "half of a tenth")
	assert.Equal(t, time.Second+125*time.Millisecond, fastly.RetryDelay(p, time.Second, 1, 0.5), "half of 250 ms, if a tenth is less")
	assert.Less(t, fastly.RetryDelay(p, 20*time.Second, 1, 0.999), 22*time.Second, "a tenth at most")
}

// Otherwise they would all retry at the same moment.
func TestCallsThatWaitForTheServerEndApart(t *testing.T) {
	t.Parallel()
	c := newStub(t, http.StatusTooManyRequests, http.Header{"Retry-After": {"20"}}, "").client(t, fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 2}))
	var waits []time.Duration
	fastly.HookSleep(c, func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	})
	for range 50 {
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		require.ErrorIs(t, err, fastly.ErrRateLimited)
	}
	require.Len(t, waits, 50)
	assert.GreaterOrEqual(t, slices.Min(waits), 20*time.Second)
	assert.LessOrEqual(t, slices.Max(waits), 22*time.Second, "a tenth more at most")
	assert.Greater(t, slices.Max(waits)-slices.Min(waits), time.Second, "spread")
}

func TestJitterStaysWithinMaxWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, getToken)
	fastly.HookJitter(r.client, func() float64 { return 0.999 })
	r.srv.Inject(rateLimited("30"))
	require.NoError(t, r.do())
	assert.Equal(t, []time.Duration{30 * time.Second}, r.waits.all())
}

// The log shows these names.
func TestResultsAreNamed(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []fastly.Class{
		"done", "not sent", "no response", "server error", "truncated", "rate limited", "client error", "ambiguous", "permanent",
	}, classes)
}

// rateLimited is a 429 that asks to wait for some seconds, without a reset.
func rateLimited(seconds string) fastlytest.Fault {
	return fastlytest.Fault{
		Kind: fastlytest.Status, Status: http.StatusTooManyRequests, Body: `{"msg":"slow down"}`,
		Header: http.Header{"Retry-After": {seconds}},
	}
}

// assertTokenMayExist checks the error of a create whose outcome is unknown.
func assertTokenMayExist(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
	assert.ErrorContains(t, err, "a token may have been created")
	assert.ErrorContains(t, err, strconv.Quote(someName))
	assert.ErrorContains(t, err, "in a list of the user's tokens")
	assertOneLine(t, err)
}

// stall performs every operation with the fault, which holds it until it times
// out, by a clock of its own.
func stall(t *testing.T, fault fastlytest.Fault, check func(t *testing.T, r *rig, err error)) {
	t.Helper()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newPipeListener()
				r := newRigOn(t, op, l, fastly.WithHTTPClient(&http.Client{
					Timeout: time.Minute, Transport: &http.Transport{DialContext: l.dial},
				}))
				r.srv.Inject(fault)
				check(t, r, r.do())
			})
		})
	}
}

func TestRequestWithoutAResponseIsRetriedUnlessACreate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault   fastlytest.Fault
		applied bool
	}{
		{fastlytest.Fault{Kind: fastlytest.CutBefore}, false},
		{fastlytest.Fault{Kind: fastlytest.CutAfter}, true},
		{fastlytest.Fault{Kind: fastlytest.Stall}, false},
		{fastlytest.Fault{Kind: fastlytest.StallAfter}, true},
		{fastlytest.Fault{Kind: fastlytest.Status, Status: 500}, false},
		{fastlytest.Fault{Kind: fastlytest.Status, Status: 502}, false},
		{fastlytest.Fault{Kind: fastlytest.Status, Status: 503}, false},
		{fastlytest.Fault{Kind: fastlytest.Status, Status: 504}, false},
		{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 500}, true},
		{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 502}, true},
		{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 503}, true},
		{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 504}, true},
	} {
		check := func(t *testing.T, r *rig, err error) {
			t.Helper()
			switch {
			case r.op.kind == fastly.KindCreate:
				assertTokenMayExist(t, err)
				r.assertRequests(1)
				r.assertApplied(test.applied)
			case r.op.kind == fastly.KindRevokeBulk && test.applied:
				assertMatches(t, err, fastly.ErrOutcomeUnknown, fastly.ErrNotFound)
				assert.ErrorContains(t, err, "may have been processed: list the tokens to see")
				r.assertRequests(2)
				r.assertApplied(true)
			default:
				require.NoError(t, err)
				r.assertRequests(2)
				r.assertApplied(true)
			}
		}
		t.Run(fmt.Sprint(test.fault.Kind, test.fault.Status), func(t *testing.T) {
			t.Parallel()
			if test.fault.Kind == fastlytest.Stall || test.fault.Kind == fastlytest.StallAfter {
				stall(t, test.fault, check)
				return
			}
			for _, op := range operations {
				t.Run(op.name, func(t *testing.T) {
					t.Parallel()
					r := newRig(t, op)
					r.srv.Inject(test.fault)
					check(t, r, r.do())
				})
			}
		})
	}
}

// A client error can mean that an earlier attempt revoked the token.
func TestClientErrorAfterARevokeWithoutAResponse(t *testing.T) {
	t.Parallel()
	const (
		hintList = "an earlier attempt may have been processed: list the tokens to see, with another key if this one no longer works"
		hintSelf = "the token may have been revoked: check it with another key"
	)
	for _, test := range []struct {
		op      operation
		status  int
		unknown bool
		hint    string // empty: success
	}{
		{revokeToken, 401, true, hintList},
		{revokeToken, 403, false, revokeToken.hintRevoked()},
		{revokeToken, 404, false, ""},
		{revokeTokenCurrent, 401, false, ""},
		{revokeTokenCurrent, 403, true, hintSelf},
		{revokeTokenCurrent, 404, false, ""},
		{bulkRevokeTokens, 401, true, hintList},
		{bulkRevokeTokens, 403, false, bulkRevokeTokens.hintRevoked()},
		{bulkRevokeTokens, 404, true, hintList},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.op.name), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, test.op)
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: test.status})
			err := r.do()
			r.assertRequests(2)
			if test.hint == "" {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, test.status, responseError(t, err).StatusCode)
			assert.Equal(t, test.unknown, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
			assert.ErrorContains(t, err, test.hint)
			assert.ErrorContains(t, err, "(after 2 attempts)")
		})
	}
}

// A 403 that asks for sudo shows that the key still works.
func TestSudoAfterARevokeWithoutAResponseIsAnError(t *testing.T) {
	t.Parallel()
	r := newRig(t, revokeTokenCurrent)
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusServiceUnavailable})
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusForbidden, Body: sudoJSON})
	assertMatches(t, r.do(), fastly.ErrForbidden, fastly.ErrSudoRequired)
	r.assertRequests(2)
	r.assertApplied(false)
}

// Whatever stands in the way says nothing about the token.
func TestForeignClientErrorAfterARevokeWithoutAResponse(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404} {
		for _, op := range []operation{revokeTokenCurrent, revokeToken, bulkRevokeTokens} {
			for _, body := range []string{"default backend - 404", `{"message":"Forbidden"}`, `{"title":"Not Found","status":404}`, `{"errors":[{"title":"gone"}]}`} {
				r := newRig(t, op)
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutBefore})
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Body: body})
				err := r.do()
				want := fastly.ErrInvalidResponse
				if strings.Contains(body, "title") {
					want = statusSentinel(status)
				}
				assertMatches(t, err, want)
				require.ErrorContains(t, err, op.hintRevoked())
				require.ErrorContains(t, err, "(after 2 attempts)")
				r.assertRequests(2)
				r.assertApplied(false)
			}
		}
	}
}

// The next call would revoke the next token.
func TestRevokeCurrentOfAKeyThatChangesIsNotToBeRepeated(t *testing.T) {
	t.Parallel()
	foreign := fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 404, Body: "default backend - 404"}
	cut := fastlytest.Fault{Kind: fastlytest.CutAfter}
	status := func(status int) fastlytest.Fault { return fastlytest.Fault{Kind: fastlytest.Status, Status: status} }
	for name, test := range map[string]struct {
		faults []fastlytest.Fault
		want   []error // nil: success
	}{
		"401 at once":             {[]fastlytest.Fault{status(401)}, []error{fastly.ErrUnauthorized, fastly.ErrInvalidCredentials}},
		"403 at once":             {[]fastlytest.Fault{status(403)}, []error{fastly.ErrForbidden}},
		"407 at once":             {[]fastlytest.Fault{{Kind: fastlytest.Status, Status: 407, Body: "proxy"}}, []error{fastly.ErrInvalidResponse}},
		"no response":             {[]fastlytest.Fault{cut}, nil}, // and then a 401
		"no response, and no end": {[]fastlytest.Fault{{Kind: fastlytest.CutAfter, Times: -1}}, []error{fastly.ErrOutcomeUnknown}},
		"500, and no end":         {[]fastlytest.Fault{{Kind: fastlytest.StatusAfter, Status: 500, Times: -1}}, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		"501":                     {[]fastlytest.Fault{status(501)}, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		"foreign at once":         {[]fastlytest.Fault{foreign}, []error{fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse}},
		"foreign later":           {[]fastlytest.Fault{cut, foreign}, []error{fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse}},
		"page of a portal":        {[]fastlytest.Fault{{Kind: fastlytest.Garbage}}, []error{fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse}},
		"403 later":               {[]fastlytest.Fault{cut, status(403)}, []error{fastly.ErrOutcomeUnknown, fastly.ErrForbidden}},
		"400 later":               {[]fastlytest.Fault{cut, status(400)}, []error{fastly.ErrOutcomeUnknown, fastly.ErrBadRequest}},
		"429 later, too long":     {[]fastlytest.Fault{cut, rateLimited("3600")}, []error{fastly.ErrOutcomeUnknown, fastly.ErrRateLimited}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, revokeTokenCurrent)
			next := r.srv.AddToken(r.victim.UserID, fastly.TokenCreatedResponse{})
			keys := []fastly.Secret{r.victim.AccessToken, next.AccessToken}
			r.client = mustClient(t, fastly.WithBaseURL(r.srv.URL), fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
				key := keys[0]
				keys = keys[1:]
				return key, nil
			}))
			skipWaits(r.client)
			for _, fault := range test.faults {
				r.srv.Inject(fault)
			}
			err := r.do()
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			assertMatches(t, err, test.want...)
			assert.NotContains(t, err.Error(), "again")
			assert.Equal(t, errors.Is(err, fastly.ErrOutcomeUnknown), strings.HasSuffix(err.Error(), "; the token may have been revoked: check it with another key"), err)
			assert.Len(t, keys, 1, "one key for all attempts")
		})
	}
}

func TestRequestTimeoutIsTreatedAsA503(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", `{"msg":"no"}`, "<title>408 Request Time-out</title>", `{"message":"no"}`} {
		for _, op := range operations {
			r := newRig(t, op)
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 408, Body: body, Header: http.Header{"Retry-After": {"3"}}})
			err := r.do()
			if op.kind == fastly.KindCreate {
				assertTokenMayExist(t, err)
				assertMatches(t, err, fastly.ErrServer, fastly.ErrOutcomeUnknown)
				assert.Equal(t, 408, responseError(t, err).StatusCode)
				continue
			}
			require.NoError(t, err)
			r.assertRequests(2)
			assert.Equal(t, []time.Duration{3 * time.Second}, r.waits.all())
		}
	}
}

// A number that no integer holds is no reason to retry at once.
func TestWaitThatIsTooLongFailsImmediately(t *testing.T) {
	t.Parallel()
	for _, wait := range []string{"31", "30.5", "18446744073709551616", strings.Repeat("9", 500), testTime.Add(time.Hour).Format(time.RFC3339)} {
		for _, status := range []int{408, 429, 503} {
			r := newRig(t, getToken)
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Body: `{"msg":"no"}`, Header: http.Header{"Retry-After": {wait}}})
			err := r.do()
			assert.Equal(t, status, responseError(t, err).StatusCode)
			assert.Greater(t, responseError(t, err).RetryAfter, 30*time.Second, wait)
			r.assertRequests(1)
		}
	}
}

func TestRevokeTokenAfterNoResponseAndARateLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, revokeToken)
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
	r.srv.Inject(rateLimited("1"))
	require.NoError(t, r.do(), "the first attempt was applied")
	r.assertRequests(3)
}

func TestFirstNotFoundOfARevokeIsAnError(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"nothing", "a rate limit", "a failed dial"} {
		for _, op := range []operation{revokeToken, revokeTokenCurrent, bulkRevokeTokens} {
			t.Run(before+" before/"+op.name, func(t *testing.T) {
				t.Parallel()
				fails := 0
				if before == "a failed dial" {
					fails = 1
				}
				r := newRig(t, op, fastly.WithHTTPClient(&http.Client{Transport: failingDialer(errConnRefused, fails).transport()}))
				if before == "a rate limit" {
					r.srv.Inject(rateLimited("1"))
				}
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: http.StatusNotFound})
				assertMatches(t, r.do(), fastly.ErrNotFound)
				r.assertApplied(false)
			})
		}
	}
}

// With a transport of the caller's, the next attempt may have another key.
func TestRevokeCurrentUnderATransportIsNotRetriedOnceItMayBeApplied(t *testing.T) {
	t.Parallel()
	const hint = "; the token may have been revoked: check it with another key"
	for _, test := range []struct {
		name     string
		faults   []fastlytest.Fault
		requests int
		applied  bool
		want     []error // nil: success
	}{
		{"no fault", nil, 1, true, nil},
		{"cut before", []fastlytest.Fault{{Kind: fastlytest.CutBefore}}, 1, false, []error{fastly.ErrOutcomeUnknown}},
		{"cut after", []fastlytest.Fault{{Kind: fastlytest.CutAfter}}, 1, true, []error{fastly.ErrOutcomeUnknown}},
		{"502", []fastlytest.Fault{{Kind: fastlytest.Status, Status: 502}}, 1, false, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		{"503", []fastlytest.Fault{{Kind: fastlytest.Status, Status: 503}}, 1, false, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		{"502 after", []fastlytest.Fault{{Kind: fastlytest.StatusAfter, Status: 502}}, 1, true, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		{"503 after", []fastlytest.Fault{{Kind: fastlytest.StatusAfter, Status: 503}}, 1, true, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		{"truncated", []fastlytest.Fault{{Kind: fastlytest.CutMiddle, Keep: 1}}, 1, true, nil},
		{"429", []fastlytest.Fault{rateLimited("1")}, 2, true, nil},
		{"429, then 500", []fastlytest.Fault{rateLimited("1"), {Kind: fastlytest.Status, Status: 500}}, 2, false, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		{"401", []fastlytest.Fault{{Kind: fastlytest.Status, Status: 401}}, 1, false, []error{fastly.ErrUnauthorized, fastly.ErrInvalidCredentials}},
		{"404", []fastlytest.Fault{{Kind: fastlytest.Status, Status: 404}}, 1, false, []error{fastly.ErrNotFound}},
		{"501", []fastlytest.Fault{{Kind: fastlytest.Status, Status: 501}}, 1, false, []error{fastly.ErrOutcomeUnknown, fastly.ErrServer}},
		{"foreign 404", []fastlytest.Fault{{Kind: fastlytest.Status, Status: 404, Body: "default backend - 404"}}, 1, false, []error{fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, revokeTokenCurrent)
			for _, fault := range test.faults {
				r.srv.Inject(fault)
			}
			r.client = mustClient(t, fastly.WithBaseURL(r.srv.URL), fastly.WithTransport(&fastly.APIKeyTransport{
				KeyFunc: func(context.Context) (fastly.Secret, error) { return r.victim.AccessToken, nil },
				Host:    hostOf(t, r.srv.URL), Base: failingDialer(errConnRefused, 2).transport(),
			}))
			r.waits = skipWaits(r.client)
			err := r.do()
			if test.want == nil {
				require.NoError(t, err)
			} else {
				assertMatches(t, err, test.want...)
				assert.Equal(t, errors.Is(err, fastly.ErrOutcomeUnknown), strings.HasSuffix(err.Error(), hint), "hint of %v", err)
				assertOneLine(t, err)
			}
			assert.Len(t, r.srv.Requests(), test.requests, "requests sent")
			assert.Len(t, r.waits.all(), test.requests+1, "waits: two after the dials that fail")
			r.assertApplied(test.applied)
		})
	}
}

func TestTruncatedSuccessIsRetriedForReadsOnly(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, r *rig, err error) {
		t.Helper()
		r.assertApplied(true)
		switch r.op.kind {
		case fastly.KindRead:
			require.NoError(t, err)
			r.assertRequests(2)
		case fastly.KindCreate:
			assertTokenMayExist(t, err)
			r.assertRequests(1)
		default:
			require.NoError(t, err, "a 2xx says that the revoke was applied")
			r.assertRequests(1)
		}
	}
	for _, op := range operations {
		t.Run("cut/"+op.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, op)
			r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: 1})
			check(t, r, r.do())
		})
	}
	t.Run("stalled", func(t *testing.T) {
		t.Parallel()
		stall(t, fastlytest.Fault{Kind: fastlytest.StallMiddle, Keep: 1}, check)
	})
}

func TestRateLimitIsWaitedFor(t *testing.T) {
	t.Parallel()
	unix := func(d time.Duration) string { return strconv.FormatInt(testTime.Add(d).Unix(), 10) }
	for name, limit := range map[string]struct {
		header http.Header
		want   time.Duration // zero: the backoff
	}{
		"reset is later":        {http.Header{"Retry-After": {"2"}, "Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(5 * time.Second)}}, 5 * time.Second},
		"Retry-After is later":  {http.Header{"Retry-After": {"7"}, "Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(5 * time.Second)}}, 7 * time.Second},
		"Retry-After alone":     {http.Header{"Retry-After": {"3"}}, 3 * time.Second},
		"Retry-After as a date": {http.Header{"Retry-After": {testTime.Add(4 * time.Second).Format(http.TimeFormat)}}, 4 * time.Second},
		"reset alone":           {http.Header{"Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(6 * time.Second)}}, 6 * time.Second},
		"reset without a count": {http.Header{"Fastly-Ratelimit-Reset": {unix(8 * time.Second)}}, 8 * time.Second},
		"past reset":            {http.Header{"Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(-time.Hour)}}, 0},
		"nothing readable":      {http.Header{"Retry-After": {"soon"}, "Fastly-Ratelimit-Reset": {"later"}}, 0},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, op)
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 429, Body: `{"msg":"slow down"}`, Header: limit.header})
				require.NoError(t, r.do())
				r.assertRequests(2)
				r.assertApplied(true)
				wait := r.waits.all()[0]
				if limit.want > 0 {
					assert.Equal(t, limit.want, wait)
				} else {
					assert.Less(t, wait, 250*time.Millisecond, "the backoff")
				}
			})
		}
	}
}

func TestOtherErrorsAreNotRetried(t *testing.T) {
	t.Parallel()
	faults := []fastlytest.Fault{{Kind: fastlytest.Garbage}}
	for _, status := range []int{400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 501, 520} {
		faults = append(faults, fastlytest.Fault{Kind: fastlytest.Status, Status: status, Header: http.Header{"Retry-After": {"1"}}})
	}
	for _, fault := range faults {
		for _, op := range operations {
			t.Run(fmt.Sprint(fault.Kind, fault.Status, op.name), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, op)
				r.srv.Inject(fault)
				err := r.do()
				require.Error(t, err)
				r.assertRequests(1)
				isClientError := fault.Status >= 400 && fault.Status < 500
				assert.Equal(t, op.kind == fastly.KindCreate && !isClientError, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
				if isClientError {
					assert.Equal(t, fault.Status, responseError(t, err).StatusCode)
					r.assertApplied(false)
				}
			})
		}
	}
}

// newTLSRig is newRig with a TLS server before the API. spoil changes the TLS
// settings of a client that trusts it.
func newTLSRig(t *testing.T, op operation, d *dialer, spoil func(*tls.Config)) *rig {
	t.Helper()
	r := newRig(t, op)
	target, err := url.Parse(r.srv.URL)
	require.NoError(t, err)
	front := newQuietTLS(&httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true}, // no connection outlives the server
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
	})
	t.Cleanup(front.Close)
	tr := d.transport()
	tr.TLSClientConfig = trust(front)
	spoil(tr.TLSClientConfig)
	key := r.victim.AccessToken
	if op.kind != fastly.KindRevokeCurrent {
		key = r.srv.AddToken(r.victim.UserID, fastly.TokenCreatedResponse{}).AccessToken
	}
	r.client = mustClient(t, fastly.WithBaseURL(front.URL), fastly.WithAPIKey(key.Reveal()), fastly.WithHTTPClient(&http.Client{Transport: tr}))
	r.waits = skipWaits(r.client)
	return r
}

func TestRequestsThatWereNotSentAreRetried(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() (net.Conn, error){
		"connection refused": func() (net.Conn, error) { return nil, errConnRefused },
		"name lookup timed out": func() (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
				Err: "i/o timeout", Name: "api.fastly.com", IsTimeout: true, IsTemporary: true,
			}}
		},
		"name not found": func() (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.fastly.com", IsNotFound: true}}
		},
		"name server out of order": func() (net.Conn, error) {
			return nil, &net.DNSError{Err: "server misbehaving", Name: "api.fastly.com", IsTemporary: true}
		},
		"broken handshake": func() (net.Conn, error) {
			ours, theirs := net.Pipe()
			return ours, theirs.Close()
		},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				d := &dialer{fail: func(n int) (net.Conn, error) {
					if n > 2 {
						return nil, nil
					}
					return fail()
				}}
				r := newTLSRig(t, op, d, func(*tls.Config) {})
				require.NoError(t, r.do())
				assert.Len(t, r.srv.Requests(), 1)
				assert.Len(t, r.waits.all(), 2)
				r.assertApplied(true)
			})
		}
	}
}

func TestPermanentFailuresAreNotRetried(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*tls.Config)
		text  string
	}{
		"unknown authority": {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, "certificate"},
		// The test certificate is for example.com and addresses.
		"another name": {func(c *tls.Config) { c.ServerName = "api.fastly.com" }, "not api.fastly.com"},
		"expired":      {func(c *tls.Config) { c.Time = func() time.Time { return time.Now().AddDate(200, 0, 0) } }, "certificate has expired"},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				d := failingDialer(nil, 0)
				r := newTLSRig(t, op, d, test.spoil)
				err := r.do()
				require.ErrorContains(t, err, test.text)
				assertMatches(t, err)
				assertOneLine(t, err)
				assert.EqualValues(t, 1, d.n.Load(), "dials")
				assert.Empty(t, r.waits.all())
				assert.Empty(t, r.srv.Requests())
			})
		}
	}
}

func TestAttemptsAndWaitsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, getToken)
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 502, Times: -1})
	err := r.do()
	require.ErrorIs(t, err, fastly.ErrServer)
	assert.ErrorContains(t, err, "(after 4 attempts)")
	r.assertRequests(4)
	for i, wait := range r.waits.all() {
		assert.Less(t, wait, 250*time.Millisecond<<i, "wait before retry %d", i+1)
	}
}

func TestMaxAttemptsOfOneDisablesRetries(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		r := newRig(t, getToken, noRetry)
		r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Header: http.Header{"Retry-After": {"1"}}})
		assert.Equal(t, status, responseError(t, r.do()).StatusCode)
		r.assertRequests(1)
	}
}

// With a status other than 429 or 503, Retry-After does not delay a retry.
func TestRetryAfterDelaysARetryAfter503Alone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 503, 504} {
		r := newRig(t, getToken)
		r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Header: http.Header{
			"Retry-After": {"11"}, "Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {strconv.FormatInt(testTime.Add(20*time.Second).Unix(), 10)},
		}})
		require.NoError(t, r.do())
		r.assertRequests(2)
		if wait := r.waits.all()[0]; status == 503 {
			assert.Equal(t, 11*time.Second, wait)
		} else {
			assert.Less(t, wait, 250*time.Millisecond, "the backoff after %d", status)
		}
	}
}

func TestWaitBeyondMaxWaitFailsImmediately(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		for _, status := range []int{429, 503} {
			if op.kind == fastly.KindCreate && status == 503 {
				continue
			}
			t.Run(fmt.Sprint(op.name, status), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, op)
				fault := rateLimited("3600")
				fault.Status = status
				r.srv.Inject(fault)
				err := r.do()
				r.assertRequests(1)
				assert.Equal(t, time.Hour, responseError(t, err).RetryAfter)
				assert.ErrorContains(t, err, "2030-05-06T08:30:00Z (in 1h0m0s)", "it should say when to retry")
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
			})
		}
	}
}

func TestMaxWaitIsTheLongestWait(t *testing.T) {
	t.Parallel()
	for seconds, requests := range map[string]int{"30": 2, "31": 1} {
		r := newRig(t, getToken)
		r.srv.Inject(rateLimited(seconds))
		assert.Equal(t, requests == 2, r.do() == nil, "Retry-After of %s", seconds)
		r.assertRequests(requests)
	}
}

func TestMaxWaitBoundsTheBackoff(t *testing.T) {
	t.Parallel()
	p := fastly.RetryPolicy{MaxAttempts: 6, MinBackoff: time.Minute, MaxBackoff: time.Hour, MaxWait: time.Second}
	r := newRig(t, getToken, fastly.WithRetryPolicy(p))
	fastly.HookJitter(r.client, func() float64 { return 0.999 })
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 500, Times: 5})
	require.NoError(t, r.do())
	r.assertRequests(6)
	for _, wait := range r.waits.all() {
		assert.Equal(t, 999*time.Millisecond, wait)
	}
}

func TestWaitBeyondTheDeadlineFailsImmediately(t *testing.T) {
	t.Parallel()
	r := newRig(t, getToken)
	fastly.HookNow(r.client, time.Now)
	r.srv.Inject(rateLimited("20"))
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := r.op.call(ctx, r.client, r.victim.ID)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the last response is the reason")
	assertMatches(t, err, fastly.ErrRateLimited)
	assert.ErrorContains(t, err, "(in 20s)")
	r.assertRequests(1)
}

// TestCancelEndsAWaitAtOnce has a clock of its own, so that it measures to the
// nanosecond.
func TestCancelEndsAWaitAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := mustClient(t, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"25"}}, Body: http.NoBody, Request: r}, nil
		})))
		why := errors.New("the program ends")
		ctx, cancel := context.WithCancelCause(t.Context())
		start := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			cancel(why)
		}()
		_, err := c.Tokens.GetTokenCurrent(ctx)
		assert.Equal(t, 10*time.Second, time.Since(start))
		require.EqualError(t, err, "fastly: GET /tokens/self: context canceled; the last response was 429 Too Many Requests")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, why)
		assertMatches(t, err, fastly.ErrRateLimited) // why it waited
	})
}

// Without a cancel, the waits last 20 s and the stalls a minute. How soon it takes
// effect is measured by TestCancelEndsARequestAtOnce and TestCancelEndsAWaitAtOnce.
func TestCancelIsQuickOverASocket(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"while waiting for a retry":    rateLimited("20"),
		"while waiting for a response": {Kind: fastlytest.StallAfter},
		"while reading a response":     {Kind: fastlytest.StallMiddle},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, op)
				waiting := make(chan struct{})
				fastly.HookSleep(r.client, func(ctx context.Context, d time.Duration) error {
					close(waiting)
					return clock.Sleep(ctx, d)
				})
				r.srv.Inject(fault)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var end time.Time
				failed := make(chan error, 1)
				go func() {
					err := op.call(ctx, r.client, r.victim.ID)
					end = time.Now()
					failed <- err
				}()
				if fault.Kind == fastlytest.Status {
					<-waiting
				} else {
					require.Eventually(t, func() bool { return len(r.srv.Requests()) == 1 }, time.Minute, time.Millisecond)
				}
				start := time.Now()
				cancel()
				err := <-failed
				// A revoke is done once the client has seen the 2xx.
				if err != nil || fault.Kind != fastlytest.StallMiddle || op.method != http.MethodDelete {
					require.ErrorIs(t, err, context.Canceled)
				}
				if op.kind == fastly.KindCreate {
					assert.Equal(t, fault.Kind != fastlytest.Status, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
				}
				assert.Less(t, end.Sub(start), 10*time.Second)
			})
		}
	}
}

// TestRetryOfATransportDoesNotHideAnAttempt has a transport that retries by
// itself and fails to connect the second time: the first attempt was sent.
func TestRetryOfATransportDoesNotHideAnAttempt(t *testing.T) {
	t.Parallel()
	d := &dialer{fail: func(n int) (net.Conn, error) {
		if n > 1 {
			return nil, errConnRefused
		}
		return nil, nil
	}}
	base := d.transport()
	retrying := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if resp, err := base.RoundTrip(r); err == nil {
			return resp, nil
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return base.RoundTrip(r)
	})
	r := newRig(t, createToken, fastly.WithHTTPClient(&http.Client{Transport: retrying}))
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
	assertTokenMayExist(t, r.do())
	assert.EqualValues(t, 2, d.n.Load(), "dials")
	r.assertRequests(1)
	r.assertApplied(true)
}
