package fastly_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// With 3, TestSequencesOfFaultsEndAsTheModelSays makes about 66,000 calls.
var sequences = flag.Int("sequences", defaultSequences(),
	"greatest `length` of the sequences of TestSequencesOfFaultsEndAsTheModelSays (default 2, but 1 with the race detector)")

// defaultSequences returns 1 with the race detector, which makes each call slow.
func defaultSequences() int {
	if withRaceDetector() {
		return 1
	}
	return 2
}

func withRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// What the client can see of a request, beside the status of a response.
const (
	viewNoResponse = "no response"
	viewComplete   = "complete"  // the API's own 2xx
	viewTruncated  = "truncated" // a 2xx whose JSON is cut off
	viewNotAPI     = "not API"   // a 2xx that is not the API's
	viewForeign    = "foreign"   // a 4xx that shows none of the API's forms
)

// step is what happens to one request.
type step struct {
	fault     fastlytest.Fault
	processed bool
	view      string
}

func (s step) String() string {
	if s.fault.Kind == "" {
		return "no fault"
	}
	if s.fault.Status == 0 {
		return string(s.fault.Kind)
	}
	return fmt.Sprintf("%s %d (%s)", s.fault.Kind, s.fault.Status, s.view)
}

var noFault = step{processed: true, view: viewComplete}

// endlessStep moves up to 64 MiB. It is the only fault of its sequence, and is
// left out of the short enumeration.
var endlessStep = step{fastlytest.Fault{Kind: fastlytest.Endless}, true, viewNotAPI}

// faultySteps is every fault of fastlytest but Endless, with one status of each
// class. Stalls end by themselves, so that no outcome depends on time.
var faultySteps = func() []step {
	const pause = time.Millisecond
	const keep = 50 // bytes, of a 4xx enough to see that it is the API's
	// Without processing: what a captive portal sends, and a 2xx that is cut off
	// before the first byte of JSON.
	page := fastlytest.Fault{Kind: fastlytest.Status, Status: 200, Body: "<html><title>Sign in</title></html>"}
	part := fastlytest.Fault{
		Kind: fastlytest.Status, Status: 200, Body: " ",
		Header: http.Header{"Content-Length": {"99"}, "Content-Encoding": {"identity"}},
	}
	steps := []step{
		{fastlytest.Fault{Kind: fastlytest.CutBefore}, false, viewNoResponse},
		{fastlytest.Fault{Kind: fastlytest.CutAfter}, true, viewNoResponse},
		{fastlytest.Fault{Kind: fastlytest.CutMiddle, Keep: keep}, true, viewTruncated},
		{fastlytest.Fault{Kind: fastlytest.Stall, Delay: pause}, false, viewNoResponse},
		{fastlytest.Fault{Kind: fastlytest.StallAfter, Delay: pause}, true, viewNoResponse},
		{fastlytest.Fault{Kind: fastlytest.StallMiddle, Delay: pause, Keep: keep}, true, viewTruncated},
		{part, false, viewTruncated},
		{fastlytest.Fault{Kind: fastlytest.Garbage}, true, viewNotAPI},
		{page, false, viewNotAPI},
		{fastlytest.Fault{Kind: fastlytest.Status, Status: 404, Body: "default backend - 404"}, false, viewForeign},
		{fastlytest.Fault{Kind: fastlytest.StatusAfter, Status: 403, Body: "<html><title>Blocked</title>"}, true, viewForeign},
		{fastlytest.Fault{Kind: fastlytest.Redirect, Status: 301, Location: "/elsewhere"}, false, "301"},
		{fastlytest.Fault{Kind: fastlytest.Redirect, Location: "/elsewhere"}, false, "307"},
		{fastlytest.Fault{Kind: fastlytest.Delay, Delay: pause}, true, viewComplete},
	}
	for _, status := range []int{303, 400, 401, 403, 404, 429, 500, 501, 503} {
		f := fastlytest.Fault{Kind: fastlytest.Status, Status: status}
		if status == http.StatusTooManyRequests {
			f.Header, f.Body = http.Header{"Retry-After": {"1"}}, `{"msg":"slow down"}`
		}
		after := f
		after.Kind = fastlytest.StatusAfter
		view := fmt.Sprint(status)
		steps = append(steps, step{f, false, view}, step{after, true, view})
	}
	return steps
}()

// goneStatus is the API's response to a revoke of what is gone already.
var goneStatus = map[fastly.Kind]string{
	fastly.KindRevoke: "404", fastly.KindRevokeBulk: "404", fastly.KindRevokeCurrent: "401",
}

// model is the server: what it does with a sequence of requests, of one call, and
// what the client sees. times is how often the operation was applied; a read is
// applied if its response is complete.
func model(k fastly.Kind, seq []step) (views []string, times int, honest bool) {
	honest = true
	for _, s := range seq {
		view, before := s.view, times
		switch gone := goneStatus[k]; {
		case k == fastly.KindRead && view == viewComplete, k == fastly.KindCreate && s.processed, gone != "" && s.processed && times == 0:
			times++
		case gone != "" && s.processed && (view == viewComplete || view == viewTruncated):
			view = gone
		}
		views = append(views, view)
		honest = honest && !isFalse(k, view, before, times)
	}
	return views, times, honest
}

// isFalse reports whether a response misleads. The client takes the API's word:
// what a call returns is wrong if that is false.
func isFalse(k fastly.Kind, view string, before, after int) bool {
	switch {
	case view[0] == '4': // a 4xx says that this request was not processed
		if k != fastly.KindRead && after > before {
			return true
		}
	case view == viewTruncated: // JSON with a 2xx says that a revoke was processed
		return goneStatus[k] != "" && after == 0
	}
	switch k {
	case fastly.KindRevoke: // of the token that is not found
		return view == "404" && after == 0
	case fastly.KindRevokeCurrent: // of the key that is not valid
		return (view == "404" || view == "401") && after == 0
	}
	return false
}

// isRetried is the table in the README.
func isRetried(k fastly.Kind, view string) bool {
	switch view {
	case "429":
		return true
	case viewNoResponse, "500", "503":
		return k != fastly.KindCreate
	case viewTruncated:
		return k == fastly.KindRead
	}
	return false
}

// claim is what a call tells its caller.
type claim string

const (
	claimDone     claim = "done"
	claimRejected claim = "rejected"        // not applied, at least not by this call
	claimUnknown  claim = "outcome unknown" // ErrOutcomeUnknown
	claimNone     claim = "none"            // an error that does not say
)

func claimOf(k fastly.Kind, err error) claim {
	var response *fastly.GenericTokenError
	switch {
	case err == nil:
		return claimDone
	case errors.Is(err, fastly.ErrOutcomeUnknown):
		return claimUnknown
	case k == fastly.KindCreate:
		return claimRejected
	case errors.As(err, &response) && response.StatusCode/100 == 4 && !strings.Contains(err.Error(), "may be revoked"):
		return claimRejected
	}
	return claimNone
}

// ending is what calls that look the same to the client end with.
type ending struct {
	claim      claim
	first      string // the sequence and error that made the claim
	applied    string // an honest sequence in which the operation was applied
	notApplied string // and one in which it was not
}

// check compares the claim with what is possible: the client can't tell the
// sequences of one ending apart.
func (e *ending) check(t *testing.T, views string) {
	t.Helper()
	wrong := ""
	switch e.claim {
	case claimDone:
		wrong = e.notApplied
	case claimRejected:
		wrong = e.applied
	case claimUnknown:
		if e.applied == "" || e.notApplied == "" {
			wrong = "only one outcome is possible: " + e.applied + e.notApplied
		}
	case claimNone:
		if e.notApplied == "" && e.applied != "" {
			wrong = "it was certainly applied: " + e.applied
		}
	}
	assert.Empty(t, wrong, "the client saw %s, and claimed %q after %s", views, e.claim, e.first)
}

// enumeration runs every sequence of one operation over one protocol.
type enumeration struct {
	t         *testing.T
	op        operation
	transport *http.Transport
	http2     bool
	length    int

	srv     *fastlytest.Server
	runs    int // calls made
	covered int // sequences that they stand for
	endings map[string]*ending
}

// extend runs a sequence, and then those that begin with it. If the client stops
// before the end of a sequence, those would be the same call.
func (e *enumeration) extend(seq []step) {
	left := e.length - len(seq)
	if requests := e.run(seq); requests <= len(seq) || left == 0 {
		e.covered += sequencesUpTo(left)
		return
	}
	e.covered++
	for _, s := range faultySteps {
		e.extend(append(seq[:len(seq):len(seq)], s))
	}
}

// sequencesUpTo returns the number of sequences of at most n faults.
func sequencesUpTo(n int) (all int) {
	for power := 1; n >= 0; n-- {
		all += power
		power *= len(faultySteps)
	}
	return all
}

// run makes one call and returns the number of requests that the server got.
func (e *enumeration) run(seq []step) (requests int) {
	if e.runs%500 == 0 { // or the lists of tokens get long
		if e.srv != nil {
			e.srv.Close()
		}
		e.srv = newAPI(e.t, fastlytest.WithRateLimit(1<<30), fastlytest.WithClock(func() time.Time { return testTime }))
	}
	e.runs++
	e.srv.ClearFaults()
	e.srv.ResetRequests()
	for _, s := range seq {
		if s.fault.Kind != "" {
			e.srv.Inject(s.fault)
		}
	}
	user := e.srv.AddUser(fastlytest.User{CustomerID: fmt.Sprintf("customer%d", e.runs), Superuser: true})
	key, victim, second := e.srv.AddToken(user.ID, fastly.TokenCreatedResponse{}), e.srv.AddToken(user.ID, fastly.TokenCreatedResponse{}), e.srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
	if e.op.kind == fastly.KindRevokeCurrent {
		victim = key
	}
	client, err := fastly.NewClient(fastly.WithBaseURL(e.srv.URL), fastly.WithAPIKey(key.AccessToken.Reveal()),
		fastly.WithHTTPClient(&http.Client{Transport: e.transport}),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: e.length}))
	require.NoError(e.t, err)
	waits := skipWaits(client)
	if !e.http2 {
		// A call begins with a connection of its own.
		defer client.CloseIdleConnections()
	}
	err = call(e.t.Context(), e.op, client, e.srv, user.CustomerID, []string{key.ID, victim.ID, second.ID})

	got := e.srv.Requests()
	happened := make([]step, len(got)) // what happened to each request
	for i := range got {
		if happened[i] = noFault; i < len(seq) {
			happened[i] = seq[i]
		}
	}
	text := fmt.Sprintf("%v: %v", happened, err)
	require.LessOrEqual(e.t, len(got), len(seq)+1, "a request without a fault should have been the last: %s", text)

	views, times, honest := model(e.op.kind, happened)
	made := e.applied(user.ID, victim.ID, second.ID)
	if e.op.kind != fastly.KindRead {
		assert.Equal(e.t, times, made, "how often the server applied it: %s", text)
	}
	if honest {
		assert.LessOrEqual(e.t, made, 1, "applied more than once: %s", text)
	}
	views = e.withoutInvisible(got, views)
	e.checkAttempts(views, len(waits.all()), text)

	all := strings.Join(views, ", ")
	end := e.endings[all]
	if end == nil {
		end = &ending{claim: claimOf(e.op.kind, err), first: text}
		e.endings[all] = end
	}
	assert.Equal(e.t, end.claim, claimOf(e.op.kind, err), "the client sees no difference between %s and %s", end.first, text)
	switch {
	case !honest:
	case times > 0:
		end.applied = text
	default:
		end.notApplied = text
	}
	return len(got)
}

// applied returns what the server has to show for a call: the tokens created, or
// 1 if all that were to be revoked are.
func (e *enumeration) applied(userID, victimID, secondID string) (n int) {
	revoked := func(id string) int {
		token, ok := e.srv.Token(id)
		require.True(e.t, ok)
		if token.DeletedAt.IsZero() {
			return 0
		}
		return 1
	}
	switch e.op.kind {
	case fastly.KindCreate:
		for _, token := range e.srv.Tokens() {
			if token.UserID == userID && token.Name == someName {
				n++
			}
		}
		return n
	case fastly.KindRevokeBulk:
		require.Equal(e.t, revoked(victimID), revoked(secondID), "one of two tokens was revoked")
	}
	return revoked(victimID)
}

// withoutInvisible drops what the client can't see: net/http itself retries a GET
// that got no response on an HTTP/1 connection which it had used before.
func (e *enumeration) withoutInvisible(got []fastlytest.Request, views []string) (visible []string) {
	used := map[string]bool{}
	for i, request := range got {
		if e.http2 || request.Method != http.MethodGet || views[i] != viewNoResponse || !used[request.RemoteAddr] {
			visible = append(visible, views[i])
		}
		used[request.RemoteAddr] = true
	}
	return visible
}

// checkAttempts checks that the client retried when it should, and only then.
func (e *enumeration) checkAttempts(views []string, waits int, text string) {
	want := 1
	for want < e.length && want <= len(views) && isRetried(e.op.kind, views[want-1]) {
		want++
	}
	assert.Len(e.t, views, want, "attempts: %s", text)
	assert.Equal(e.t, want-1, waits, "waits: %s", text)
}

// call performs an operation with a key, on two tokens, and returns an error if
// the result is not what the server has.
func call(ctx context.Context, op operation, c *fastly.Client, srv *fastlytest.Server, customerID string, ids []string) error {
	var got []fastly.TokenResponse
	var err error
	want := ids[1:2]
	switch op.name {
	case "BulkRevokeTokens":
		return c.Tokens.BulkRevokeTokens(ctx, ids[1:])
	case "CreateToken":
		created, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: someName})
		if err != nil {
			return err
		}
		if token, ok := srv.Token(created.ID); !ok || token.AccessToken != created.AccessToken {
			return errors.New("the created token is not the one on the server")
		}
		return nil
	case "GetToken", "GetTokenCurrent":
		get := func(ctx context.Context) (*fastly.TokenResponse, error) { return c.Tokens.GetToken(ctx, ids[1]) }
		if op.name == "GetTokenCurrent" {
			get, want = c.Tokens.GetTokenCurrent, ids[:1]
		}
		var token *fastly.TokenResponse
		if token, err = get(ctx); err == nil {
			got = append(got, *token)
		}
	case "ListTokensCustomer":
		got, err = c.Tokens.ListTokensCustomer(ctx, customerID)
		want = ids
	case "ListTokensUser":
		got, err = c.Tokens.ListTokensUser(ctx)
		want = ids
	default:
		return op.call(ctx, c, ids[1])
	}
	if err != nil {
		return err
	}
	found := []string{}
	for _, token := range got {
		found = append(found, token.ID)
	}
	if slices.Sort(found); !slices.Equal(found, slices.Sorted(slices.Values(want))) {
		return fmt.Errorf("the tokens are %v, and %v on the server", found, want)
	}
	return nil
}

// TestSequencesOfFaultsEndAsTheModelSays makes one call of each operation for
// every sequence of faults, one for each request, and compares what it returned
// with what it could know: calls that look the same to the client return the
// same, and that is true of all of them.
func TestSequencesOfFaultsEndAsTheModelSays(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var runs, covered atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d calls for all %d sequences of at most %d faults, of %d operations over HTTP/1 and HTTP/2, in %v",
			runs.Load(), covered.Load(), *sequences, len(operations), time.Since(start).Round(time.Millisecond))
	})
	for _, op := range operations {
		for _, protocol := range []string{"HTTP1", "HTTP2"} { // a slash would be a subtest
			t.Run(op.name+" over "+protocol, func(t *testing.T) {
				t.Parallel()
				e := &enumeration{
					t: t, op: op, http2: protocol == "HTTP2", length: *sequences,
					transport: &http.Transport{Protocols: new(http.Protocols)}, endings: map[string]*ending{},
				}
				// Making a gzip writer for each response takes most of the time.
				e.transport.DisableCompression = e.http2
				e.transport.Protocols.SetHTTP1(!e.http2)
				e.transport.Protocols.SetUnencryptedHTTP2(e.http2)
				defer e.transport.CloseIdleConnections()
				e.extend(nil)
				if *sequences >= 3 {
					e.run([]step{endlessStep})
					e.covered++
				}
				for views, end := range e.endings {
					end.check(t, views)
				}
				t.Logf("%d calls for %d sequences, of which the client can tell %d apart", e.runs, e.covered, len(e.endings))
				runs.Add(int64(e.runs))
				covered.Add(int64(e.covered))
			})
		}
	}
}
