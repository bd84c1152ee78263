package fastly_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// The columns of the retry table, in its order.
var judgeKinds = []fastly.Kind{
	fastly.KindRead, fastly.KindRevoke, fastly.KindRevokeCurrent, fastly.KindRevokeBulk, fastly.KindCreate,
}

func TestJudgeEveryCell(t *testing.T) {
	t.Parallel()
	const (
		first = 1 << iota // holds if no earlier attempt may have been carried out
		later             // holds if one may have been
	)
	always := first | later
	rows := []struct {
		what   string
		event  fastly.Event
		status []int
		when   int
		want   [5]string // read, revoke one, revoke current, revoke bulk, create
	}{
		{"done", fastly.EventDone, []int{200, 204}, always, [5]string{"done", "done", "done", "done", "done"}},
		{"not sent", fastly.EventNotSent, []int{0}, always, [5]string{"again", "again", "again", "again", "again"}},
		{"lost", fastly.EventLost, []int{0}, always, [5]string{"again", "again", "again", "again", "unknown"}},
		{"busy", fastly.EventBusy, []int{500, 502, 503, 504}, always, [5]string{"again", "again", "again", "again", "unknown"}},
		{"2xx cut", fastly.EventCut, []int{200, 204}, always, [5]string{"again", "done", "done", "done", "unknown"}},
		{"limited", fastly.EventLimited, []int{429}, always, [5]string{"again", "again", "again", "again", "again"}},
		{"first refused", fastly.EventRefused, []int{400, 401, 403, 404, 409, 410, 422, 451, 499}, first, [5]string{"fail", "fail", "fail", "fail", "fail"}},
		{"later 404", fastly.EventRefused, []int{404}, later, [5]string{"fail", "done", "done", "unknown", "fail"}},
		{"later 401, 403", fastly.EventRefused, []int{401, 403}, later, [5]string{"fail", "fail", "done", "fail", "fail"}},
		{"later refused", fastly.EventRefused, []int{400, 409, 410, 422, 451, 499}, later, [5]string{"fail", "fail", "fail", "fail", "fail"}},
		{"unusable", fastly.EventUnusable, []int{200, 204, 303, 501, 520}, always, [5]string{"fail", "fail", "fail", "fail", "unknown"}},
		{"failed", fastly.EventFailed, []int{0, 301, 302, 307, 308}, always, [5]string{"fail", "fail", "fail", "fail", "fail"}},
	}
	covered := map[fastly.Event]bool{}
	for _, row := range rows {
		covered[row.event] = true
		for _, status := range row.status {
			for _, prior := range []bool{false, true} {
				if prior && row.when&later == 0 || !prior && row.when&first == 0 {
					continue
				}
				for i, kind := range judgeKinds {
					assert.Equal(t, row.want[i], fastly.Judge(kind, row.event, status, prior),
						"%s, status %d, kind %d, prior %v", row.what, status, kind, prior)
				}
			}
		}
	}
	for e := fastly.EventDone; e <= fastly.EventFailed; e++ {
		assert.True(t, covered[e], "event %d has no row", e)
	}
}

func TestClassifyStatusOfEveryStatus(t *testing.T) {
	t.Parallel()
	for status := 100; status <= 999; status++ {
		if status/100 == 2 {
			continue // whose body decides
		}
		want := fastly.EventFailed
		switch {
		case status == 429:
			want = fastly.EventLimited
		case slices.Contains([]int{500, 502, 503, 504}, status):
			want = fastly.EventBusy
		case status >= 400 && status <= 499:
			want = fastly.EventRefused
		case status < 200, status == 303, status >= 500:
			want = fastly.EventUnusable
		}
		assert.Equal(t, want, fastly.ClassifyStatus(status), "status %d", status)
	}
}

func TestDefaultRetryPolicy(t *testing.T) {
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
		assert.Equal(t, want, fastly.Backoff(p, n, 1), "longest wait before retry %d", n)
		assert.Equal(t, want/2, fastly.Backoff(p, n, 0.5), "middle wait before retry %d", n)
		assert.Zero(t, fastly.Backoff(p, n, 0), "shortest wait before retry %d", n)
	}
	odd := fastly.RetryPolicy{MinBackoff: 3 * time.Second, MaxBackoff: 5 * time.Second}
	assert.Equal(t, 5*time.Second, fastly.Backoff(odd, 2, 1), "the bound holds between doublings")
}

func TestBackoffHasFullJitter(t *testing.T) {
	t.Parallel()
	p := fastly.WithDefaults(fastly.RetryPolicy{})
	var low, high int
	for range 1000 {
		wait := fastly.WaitFor(p, 0, 1)
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

func TestWaitThatTheAPIAsksForGoesBeforeBackoff(t *testing.T) {
	t.Parallel()
	p := fastly.WithDefaults(fastly.RetryPolicy{})
	assert.Equal(t, 17*time.Second, fastly.WaitFor(p, 17*time.Second, 1))
	assert.Equal(t, time.Millisecond, fastly.WaitFor(p, time.Millisecond, 9))
}

// retryNow is when it is in tests with a clock that stands still.
var retryNow = time.Date(2030, 5, 6, 7, 30, 0, 0, time.UTC)

// waits notes the pauses between attempts and makes them take no time.
type waits struct {
	mu   sync.Mutex
	list []time.Duration
}

func skipWaits(c *fastly.Client) *waits {
	w := new(waits)
	fastly.HookPause(c, func(ctx context.Context, d time.Duration) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list = append(w.list, d)
		return ctx.Err()
	})
	fastly.HookNow(c, func() time.Time { return retryNow })
	return w
}

func (w *waits) all() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// retryOp is an operation on a server where victim is a token that can go.
type retryOp struct {
	name string
	kind fastly.Kind
	call func(ctx context.Context, c *fastly.Client, victim string) error
}

var retryOps = []retryOp{
	{"GetToken", fastly.KindRead, func(ctx context.Context, c *fastly.Client, victim string) error {
		_, err := c.Tokens.GetToken(ctx, victim)
		return err
	}},
	{"GetTokenCurrent", fastly.KindRead, func(ctx context.Context, c *fastly.Client, _ string) error {
		_, err := c.Tokens.GetTokenCurrent(ctx)
		return err
	}},
	{"ListTokensUser", fastly.KindRead, func(ctx context.Context, c *fastly.Client, _ string) error {
		_, err := c.Tokens.ListTokensUser(ctx)
		return err
	}},
	{"ListTokensCustomer", fastly.KindRead, func(ctx context.Context, c *fastly.Client, _ string) error {
		current, err := c.Tokens.ListTokensCustomer(ctx, someCustomer)
		if err == nil && len(current) == 0 {
			err = errors.New("the list is empty")
		}
		return err
	}},
	{"RevokeToken", fastly.KindRevoke, func(ctx context.Context, c *fastly.Client, victim string) error {
		return c.Tokens.RevokeToken(ctx, victim)
	}},
	{"RevokeTokenCurrent", fastly.KindRevokeCurrent, func(ctx context.Context, c *fastly.Client, _ string) error {
		return c.Tokens.RevokeTokenCurrent(ctx)
	}},
	{"BulkRevokeTokens", fastly.KindRevokeBulk, func(ctx context.Context, c *fastly.Client, victim string) error {
		return c.Tokens.BulkRevokeTokens(ctx, []string{victim})
	}},
	{"CreateToken", fastly.KindCreate, func(ctx context.Context, c *fastly.Client, _ string) error {
		created, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: retryTokenName})
		if err == nil && created.AccessToken == "" {
			err = errors.New("there is no access token")
		}
		return err
	}},
}

// limitedFor is a 429 that asks to wait for some seconds, and no reset.
func limitedFor(seconds string) fastlytest.Fault {
	return fastlytest.Fault{
		Kind: fastlytest.Status, Status: http.StatusTooManyRequests, Body: `{"msg":"slow down"}`,
		Header: http.Header{"Retry-After": {seconds}},
	}
}

const retryTokenName = "retry-canary-name"

// retryRig is one operation's server and client.
type retryRig struct {
	t      *testing.T
	op     retryOp
	srv    *fastlytest.Server
	client *fastly.Client
	waits  *waits
	victim fastly.TokenCreatedResponse
}

func newRetryRig(t *testing.T, op retryOp, opts ...fastly.Option) *retryRig {
	t.Helper()
	srv := newAPI(t, fastlytest.WithClock(func() time.Time { return retryNow }))
	user := srv.AddUser(fastlytest.User{CustomerID: someCustomer, Superuser: true})
	victim := srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
	key := srv.AddToken(user.ID, fastly.TokenCreatedResponse{}).AccessToken
	if op.kind == fastly.KindRevokeCurrent {
		key = victim.AccessToken
	}
	c := mustClient(t, append([]fastly.Option{fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(key.Reveal())}, opts...)...)
	return &retryRig{t: t, op: op, srv: srv, client: c, waits: skipWaits(c), victim: victim}
}

func (r *retryRig) do() error { return r.op.call(r.t.Context(), r.client, r.victim.ID) }

func (r *retryRig) revoked() bool {
	token, ok := r.srv.Token(r.victim.ID)
	require.True(r.t, ok)
	return !token.DeletedAt.IsZero()
}

func (r *retryRig) created() (n int) {
	for _, token := range r.srv.Tokens() {
		if token.Name == retryTokenName {
			n++
		}
	}
	return n
}

// assertHappened checks that the operation's effect is there exactly once.
func (r *retryRig) assertHappened(want bool) {
	r.t.Helper()
	switch r.op.kind {
	case fastly.KindRead:
	case fastly.KindCreate:
		assert.Equal(r.t, map[bool]int{true: 1}[want], r.created(), "tokens created")
	default:
		assert.Equal(r.t, want, r.revoked(), "revoked")
	}
}

func (r *retryRig) assertRequests(want int) {
	r.t.Helper()
	assert.Len(r.t, r.srv.Requests(), want, "requests sent")
	assert.Len(r.t, r.waits.all(), max(want-1, 0), "pauses")
}

// assertTokenMayExist checks the error of a create whose outcome is unknown.
func assertTokenMayExist(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
	assert.ErrorContains(t, err, "a token may have been created")
	assert.ErrorContains(t, err, strconv.Quote(retryTokenName))
	assert.ErrorContains(t, err, "ListTokensUser")
	assertOneLine(t, err)
}

// lostAnswers is every way to lose an answer, and whether the API did what it
// was asked to all the same.
var lostAnswers = []struct {
	fault       fastlytest.Fault
	carriedOut  bool
	withTimeout bool
}{
	{fastlytest.Fault{Kind: fastlytest.CutBefore}, false, false},
	{fastlytest.Fault{Kind: fastlytest.CutAfter}, true, false},
	{fastlytest.Fault{Kind: fastlytest.Stall}, false, true},
	{fastlytest.Fault{Kind: fastlytest.StallAfter}, true, true},
	{fastlytest.Fault{Kind: fastlytest.Status, Status: 500}, false, false},
	{fastlytest.Fault{Kind: fastlytest.Status, Status: 502}, false, false},
	{fastlytest.Fault{Kind: fastlytest.Status, Status: 503}, false, false},
	{fastlytest.Fault{Kind: fastlytest.Status, Status: 504}, false, false},
	{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 500}, true, false},
	{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 502}, true, false},
	{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 503}, true, false},
	{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 504}, true, false},
}

// attemptTimeout is short where an attempt is meant to time out, and long
// enough for one that is not.
const attemptTimeout = 400 * time.Millisecond

func TestLostAnswerIsAskedForAgainUnlessOfACreate(t *testing.T) {
	t.Parallel()
	for _, lost := range lostAnswers {
		for _, op := range retryOps {
			t.Run(fmt.Sprintf("%s %d/%s", lost.fault.Kind, lost.fault.Status, op.name), func(t *testing.T) {
				t.Parallel()
				var opts []fastly.Option
				if lost.withTimeout {
					opts = append(opts, fastly.WithHTTPClient(&http.Client{Timeout: attemptTimeout}))
				}
				r := newRetryRig(t, op, opts...)
				r.srv.Inject(lost.fault)
				err := r.do()
				switch {
				case op.kind == fastly.KindCreate:
					assertTokenMayExist(t, err)
					r.assertRequests(1)
					r.assertHappened(lost.carriedOut)
				case op.kind == fastly.KindRevokeBulk && lost.carriedOut:
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
					require.ErrorIs(t, err, fastly.ErrNotFound)
					assert.ErrorContains(t, err, "may have revoked some or all of the tokens")
					r.assertRequests(2)
					r.assertHappened(true)
				default:
					require.NoError(t, err)
					r.assertRequests(2)
					r.assertHappened(true)
				}
			})
		}
	}
}

func TestRevokeCurrentTakesEachRefusalAfterALostAnswerForSuccess(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404} {
		for _, name := range []string{"RevokeTokenCurrent", "RevokeToken", "BulkRevokeTokens"} {
			t.Run(fmt.Sprint(status, name), func(t *testing.T) {
				t.Parallel()
				r := newRetryRig(t, retryOps[slices.IndexFunc(retryOps, func(op retryOp) bool { return op.name == name })])
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status})
				err := r.do()
				r.assertRequests(2)
				switch {
				case name == "RevokeTokenCurrent", name == "RevokeToken" && status == 404:
					require.NoError(t, err)
				default:
					assert.Equal(t, status, answerOf(t, err).StatusCode)
					assert.Equal(t, name == "BulkRevokeTokens" && status == 404, errors.Is(err, fastly.ErrOutcomeUnknown))
					assert.ErrorContains(t, err, "may have", "it has to be said that the revoke may have been carried out")
				}
			})
		}
	}
}

func TestRevokeTokenAfterLostAnswerAndRateLimit(t *testing.T) {
	t.Parallel()
	r := newRetryRig(t, retryOps[4])
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
	r.srv.Inject(limitedFor("1"))
	require.NoError(t, r.do(), "the first attempt worked, whatever came between")
	r.assertRequests(3)
}

func TestFirstNotFoundOfARevokeIsAnError(t *testing.T) {
	t.Parallel()
	before := map[string]func(*retryRig){
		"at once": func(*retryRig) {},
		"after 429": func(r *retryRig) {
			r.srv.Inject(limitedFor("1"))
		},
		"after not being sent": nil, // by the client's dialler
	}
	for name, prepare := range before {
		for _, op := range retryOps[4:7] {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				var opts []fastly.Option
				if prepare == nil {
					opts = append(opts, fastly.WithHTTPClient(&http.Client{Transport: failingDials(&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, 1).transport()}))
				}
				r := newRetryRig(t, op, opts...)
				if prepare != nil {
					prepare(r)
				}
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 404})
				err := r.do()
				require.ErrorIs(t, err, fastly.ErrNotFound)
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
				r.assertHappened(false)
			})
		}
	}
}

func TestCutBodyOfASuccess(t *testing.T) {
	t.Parallel()
	for _, kind := range []fastlytest.FaultKind{fastlytest.CutMiddle, fastlytest.StallMiddle} {
		for _, op := range retryOps {
			t.Run(string(kind)+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				var opts []fastly.Option
				if kind == fastlytest.StallMiddle {
					opts = append(opts, fastly.WithHTTPClient(&http.Client{Timeout: attemptTimeout}))
				}
				r := newRetryRig(t, op, opts...)
				r.srv.Inject(fastlytest.Fault{Kind: kind, Keep: 1})
				err := r.do()
				r.assertHappened(true)
				switch op.kind {
				case fastly.KindRead:
					require.NoError(t, err)
					r.assertRequests(2)
				case fastly.KindCreate:
					assertTokenMayExist(t, err)
					r.assertRequests(1)
				default:
					require.NoError(t, err, "a 2xx says that it was done")
					r.assertRequests(1)
				}
			})
		}
	}
}

func TestRateLimitedIsWaitedForAsLongAsTheAPISays(t *testing.T) {
	t.Parallel()
	unix := func(d time.Duration) string { return strconv.FormatInt(retryNow.Add(d).Unix(), 10) }
	for name, limit := range map[string]struct {
		header http.Header
		want   time.Duration // zero: the back-off
	}{
		"the reset is later":       {http.Header{"Retry-After": {"2"}, "Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(5 * time.Second)}}, 5 * time.Second},
		"Retry-After is later":     {http.Header{"Retry-After": {"7"}, "Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(5 * time.Second)}}, 7 * time.Second},
		"Retry-After alone":        {http.Header{"Retry-After": {"3"}}, 3 * time.Second},
		"Retry-After as a date":    {http.Header{"Retry-After": {retryNow.Add(4 * time.Second).Format(http.TimeFormat)}}, 4 * time.Second},
		"reset alone":              {http.Header{"Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(6 * time.Second)}}, 6 * time.Second},
		"reset without a count":    {http.Header{"Fastly-Ratelimit-Reset": {unix(8 * time.Second)}}, 8 * time.Second},
		"a reset that has been":    {http.Header{"Fastly-Ratelimit-Remaining": {"0"}, "Fastly-Ratelimit-Reset": {unix(-time.Hour)}}, 0},
		"nothing that can be read": {http.Header{"Retry-After": {"soon"}, "Fastly-Ratelimit-Reset": {"later"}}, 0},
	} {
		for _, op := range retryOps {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				r := newRetryRig(t, op)
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 429, Body: `{"msg":"slow down"}`, Header: limit.header})
				require.NoError(t, r.do())
				r.assertRequests(2)
				r.assertHappened(true)
				wait := r.waits.all()[0]
				if limit.want > 0 {
					assert.Equal(t, limit.want, wait)
				} else {
					assert.Less(t, wait, 250*time.Millisecond, "the back-off")
				}
			})
		}
	}
}

func TestOtherRefusalsAreNeverSentAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451} {
		for _, op := range retryOps {
			t.Run(fmt.Sprint(status, op.name), func(t *testing.T) {
				t.Parallel()
				r := newRetryRig(t, op)
				r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Header: http.Header{"Retry-After": {"1"}}})
				err := r.do()
				assert.Equal(t, status, answerOf(t, err).StatusCode)
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
				r.assertRequests(1)
				r.assertHappened(false)
			})
		}
	}
}

func TestAnswersThatSayNothingCertainAreNeverSentAgain(t *testing.T) {
	t.Parallel()
	for _, fault := range []fastlytest.Fault{
		{Kind: fastlytest.Status, Status: 501},
		{Kind: fastlytest.Status, Status: 520},
		{Kind: fastlytest.Garbage},
	} {
		for _, op := range retryOps {
			t.Run(fmt.Sprint(fault.Kind, fault.Status, op.name), func(t *testing.T) {
				t.Parallel()
				r := newRetryRig(t, op)
				r.srv.Inject(fault)
				err := r.do()
				require.Error(t, err)
				assert.Equal(t, op.kind == fastly.KindCreate, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
				r.assertRequests(1)
			})
		}
	}
}

// dials is a dialler whose first dials go wrong.
type dials struct {
	fail func(n int) (net.Conn, error) // nil, nil: dial
	n    atomic.Int32
}

func failingDials(err error, times int) *dials {
	return &dials{fail: func(n int) (net.Conn, error) {
		if n <= times {
			return nil, err
		}
		return nil, nil
	}}
}

func (d *dials) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if conn, err := d.fail(int(d.n.Add(1))); conn != nil || err != nil {
		return conn, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (d *dials) transport() *http.Transport { return &http.Transport{DialContext: d.dial} }

func TestWhatWasNotSentIsSentAgain(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, failure := range map[string]error{
		"connection refused": refused,
		"name lookup timed out": &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Err: "i/o timeout", Name: "api.fastly.com", IsTimeout: true, IsTemporary: true,
		}},
		"name server out of order": &net.DNSError{Err: "server misbehaving", Name: "api.fastly.com", IsTemporary: true},
	} {
		for _, op := range retryOps {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				d := failingDials(failure, 2)
				r := newRetryRig(t, op, fastly.WithHTTPClient(&http.Client{Transport: d.transport()}))
				require.NoError(t, r.do())
				assert.Len(t, r.srv.Requests(), 1)
				assert.Len(t, r.waits.all(), 2)
				r.assertHappened(true)
			})
		}
	}
}

// newQuietTLS is httptest.NewTLSServer, but does not complain of clients that
// think better of it.
func newQuietTLS(handler http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = discardLog
	srv.StartTLS()
	return srv
}

// newTLSFront starts a TLS server before an API and returns its URL and the
// settings of a client that trusts it.
func newTLSFront(t *testing.T, apiURL string) (string, *tls.Config) {
	t.Helper()
	target, err := url.Parse(apiURL)
	require.NoError(t, err)
	// A transport of its own: none of its connections outlives the server.
	backend := &http.Transport{DisableKeepAlives: true}
	front := newQuietTLS(&httputil.ReverseProxy{
		Transport: backend,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
	})
	t.Cleanup(front.Close)
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	return front.URL, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func TestBrokenHandshakeIsBegunAgain(t *testing.T) {
	t.Parallel()
	for _, op := range retryOps {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			d := &dials{fail: func(n int) (net.Conn, error) {
				if n > 1 {
					return nil, nil
				}
				ours, theirs := net.Pipe()
				return ours, theirs.Close()
			}}
			tr := d.transport()
			r := newRetryRig(t, op)
			frontURL, config := newTLSFront(t, r.srv.URL)
			tr.TLSClientConfig = config
			key := r.srv.AddToken(r.victim.UserID, fastly.TokenCreatedResponse{}).AccessToken
			if op.kind == fastly.KindRevokeCurrent {
				key = r.victim.AccessToken
			}
			r.client = mustClient(t, fastly.WithBaseURL(frontURL), fastly.WithAPIKey(key.Reveal()), fastly.WithHTTPClient(&http.Client{Transport: tr}))
			r.waits = skipWaits(r.client)
			require.NoError(t, r.do())
			assert.Len(t, r.srv.Requests(), 1)
			assert.Len(t, r.waits.all(), 1)
			r.assertHappened(true)
		})
	}
}

func TestLastingFailuresAreNotSentAgain(t *testing.T) {
	t.Parallel()
	noHost := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.fastly.invalid", IsNotFound: true}}
	for _, op := range retryOps {
		t.Run("no such host/"+op.name, func(t *testing.T) {
			t.Parallel()
			d := failingDials(noHost, 1<<30)
			r := newRetryRig(t, op, fastly.WithHTTPClient(&http.Client{Transport: d.transport()}))
			err := r.do()
			require.ErrorContains(t, err, "no such host")
			require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, d.n.Load(), "dials")
			assert.Empty(t, r.waits.all())
		})
		for name, spoil := range map[string]func(*tls.Config){
			"unknown authority": func(c *tls.Config) { c.RootCAs = x509.NewCertPool() },
			"another name":      func(c *tls.Config) { c.ServerName = "api.fastly.com" },
			"expired":           func(c *tls.Config) { c.Time = func() time.Time { return time.Now().AddDate(200, 0, 0) } },
		} {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				d := failingDials(nil, 0)
				r := newRetryRig(t, op)
				frontURL, config := newTLSFront(t, r.srv.URL)
				spoil(config)
				tr := d.transport()
				tr.TLSClientConfig = config
				r.client = mustClient(t, fastly.WithBaseURL(frontURL), fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: tr}))
				r.waits = skipWaits(r.client)
				err := r.do()
				if name == "another name" {
					// The test certificate is for example.com and addresses.
					require.ErrorContains(t, err, "api.fastly.com")
				}
				require.ErrorContains(t, err, "certificate")
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assert.EqualValues(t, 1, d.n.Load(), "dials")
				assert.Empty(t, r.waits.all())
				assert.Empty(t, r.srv.Requests())
			})
		}
	}
}

func TestAttemptsAndWaitsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRetryRig(t, retryOps[0])
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 502, Times: -1})
	err := r.do()
	require.ErrorIs(t, err, fastly.ErrServer)
	assert.ErrorContains(t, err, "(after 4 attempts)")
	r.assertRequests(4)
	for i, wait := range r.waits.all() {
		assert.Less(t, wait, 250*time.Millisecond<<i, "wait before retry %d", i+1)
	}
}

func TestMaxAttemptsOfOneNeverSendsAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		r := newRetryRig(t, retryOps[0], never)
		r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: status, Header: http.Header{"Retry-After": {"1"}}})
		assert.Equal(t, status, answerOf(t, r.do()).StatusCode)
		r.assertRequests(1)
	}
}

func TestRetryAfterIsHonouredOn503(t *testing.T) {
	t.Parallel()
	r := newRetryRig(t, retryOps[0])
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 503, Header: http.Header{"Retry-After": {"11"}}})
	require.NoError(t, r.do())
	assert.Equal(t, []time.Duration{11 * time.Second}, r.waits.all())
}

func TestWaitThatIsTooLongIsNotBegun(t *testing.T) {
	t.Parallel()
	for _, op := range retryOps {
		for _, status := range []int{429, 503} {
			if op.kind == fastly.KindCreate && status == 503 {
				continue
			}
			t.Run(fmt.Sprint(op.name, status), func(t *testing.T) {
				t.Parallel()
				r := newRetryRig(t, op)
				fault := limitedFor("3600")
				fault.Status = status
				r.srv.Inject(fault)
				err := r.do()
				r.assertRequests(1)
				assert.Equal(t, time.Hour, answerOf(t, err).RetryAfter)
				assert.ErrorContains(t, err, "2030-05-06T08:30:00Z (in 1h0m0s)", "it has to say when to come back")
				require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
			})
		}
	}
}

func TestMaxWaitIsTheLongestWaitThatIsBegun(t *testing.T) {
	t.Parallel()
	for seconds, requests := range map[string]int{"30": 2, "31": 1} {
		r := newRetryRig(t, retryOps[0])
		r.srv.Inject(limitedFor(seconds))
		assert.Equal(t, requests == 2, r.do() == nil, "Retry-After of %s", seconds)
		r.assertRequests(requests)
	}
}

func TestWaitPastTheDeadlineIsNotBegun(t *testing.T) {
	t.Parallel()
	r := newRetryRig(t, retryOps[0])
	fastly.HookNow(r.client, time.Now)
	r.srv.Inject(limitedFor("20"))
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := r.op.call(ctx, r.client, r.victim.ID)
	require.ErrorIs(t, err, fastly.ErrRateLimited, "the last answer, not the deadline, is the reason")
	require.NotErrorIs(t, err, context.DeadlineExceeded)
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
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, why)
		require.ErrorIs(t, err, fastly.ErrRateLimited, "why it waited is worth to know")
	})
}

// within runs f and returns how long it took after cancel was called, the best
// of a few runs: a busy machine can be late, but not always.
func within(t *testing.T, limit time.Duration, run func() time.Duration) {
	t.Helper()
	best := time.Hour
	for range 5 {
		if best = min(best, run()); best <= limit {
			return
		}
	}
	t.Errorf("it took %v at best, at most %v was wanted", best, limit)
}

func TestCancelIsQuickOverASocket(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]fastlytest.Fault{
		"while waiting to send again": limitedFor("20"),
		"while waiting for an answer": {Kind: fastlytest.StallAfter},
		"while reading an answer":     {Kind: fastlytest.StallMiddle},
	} {
		for _, op := range retryOps {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				within(t, 50*time.Millisecond, func() time.Duration {
					r := newRetryRig(t, op)
					paused := make(chan struct{})
					fastly.HookPause(r.client, func(ctx context.Context, d time.Duration) error {
						close(paused)
						return fastly.Pause(ctx, d)
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
						<-paused
					} else {
						require.Eventually(t, func() bool { return len(r.srv.Requests()) == 1 }, 10*time.Second, time.Millisecond)
					}
					start := time.Now()
					cancel()
					err := <-failed
					switch {
					case fault.Kind == fastlytest.StallMiddle && op.kind != fastly.KindRead && op.kind != fastly.KindCreate:
						// Either the 2xx had been seen, or not.
						if err != nil {
							require.ErrorIs(t, err, context.Canceled)
						}
					default:
						require.ErrorIs(t, err, context.Canceled)
					}
					if op.kind == fastly.KindCreate {
						assert.Equal(t, fault.Kind != fastlytest.Status, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
					}
					return end.Sub(start)
				})
			})
		}
	}
}

func TestOperationsWithAnEndedContextSendNothing(t *testing.T) {
	t.Parallel()
	for _, op := range retryOps {
		r := newRetryRig(t, op)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := op.call(ctx, r.client, r.victim.ID)
		require.ErrorIs(t, err, context.Canceled, op.name)
		require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, op.name)
		r.assertRequests(0)
	}
}

// TestRetriesBelowDoNotHideAnAttempt has a transport under the client that
// sends again on its own and fails to connect the second time: the create was
// sent all the same.
func TestRetriesBelowDoNotHideAnAttempt(t *testing.T) {
	t.Parallel()
	op := retryOps[7]
	d := &dials{fail: func(n int) (net.Conn, error) {
		if n > 1 {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}
		return nil, nil
	}}
	below := d.transport()
	again := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := below.RoundTrip(r)
		if err == nil {
			return resp, nil
		}
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
		return below.RoundTrip(r)
	})
	r := newRetryRig(t, op, fastly.WithHTTPClient(&http.Client{Transport: again}))
	r.srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter})
	assertTokenMayExist(t, r.do())
	r.assertRequests(1)
	r.assertHappened(true)
}
