package fastly_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/fastly-tokens/fastly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// trackedBody counts what is read of it, and how often it is closed.
type trackedBody struct {
	io.Reader
	read   atomic.Int64
	closed atomic.Int32
}

func (b *trackedBody) Read(p []byte) (n int, err error) {
	n, err = b.Reader.Read(p)
	b.read.Add(int64(n))
	return n, err
}

func (b *trackedBody) Close() error {
	b.closed.Add(1)
	return nil
}

// endless reads as a text, then as another one, repeated without end.
func endless(begin, again string) io.Reader {
	// Byte by byte, 64 MiB would take seconds.
	return io.MultiReader(strings.NewReader(begin), &repeating{text: strings.Repeat(again, 1+4096/len(again))})
}

type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return n, nil
}

func TestEndlessResponsesAreReadUpToABound(t *testing.T) {
	t.Parallel()
	const (
		drained = 64 << 10 // so that the connection can be used again
		list    = 64 << 20
		token   = 1 << 20
		failure = 64 << 10
	)
	for name, response := range map[string]struct {
		status       int
		begin, again string
	}{
		// Long ones, or a list would end at the number of tokens.
		"tokens":        {200, "[" + tokenJSON, `,{"id":"` + someID + `","name":"` + strings.Repeat("x", 4<<10) + `"}`},
		"one string":    {200, `{"id":"`, "x"},
		"spaces":        {200, "", " "},
		"after a token": {200, tokenJSON, " "},
		"open brackets": {200, "", "["},
		"error":         {500, `{"msg":"`, "x"},
		"HTML error":    {502, "<html><title>", "x"},
		"text error":    {403, "", "no "},
	} {
		for _, op := range operations {
			if strings.HasPrefix(op.name, "List") && (op.name == "ListTokensCustomer") != (name == "tokens") {
				continue // 64 MiB take their time, and both read the same
			}
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				body := &trackedBody{Reader: endless(response.begin, response.again)}
				c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: response.status, Header: http.Header{}, Body: body, Request: r}, nil
				})))
				err := op.do(t.Context(), c)
				if op.method != http.MethodDelete || response.status != 200 {
					require.Error(t, err)
					assertOneLine(t, err)
				}
				if got := (*fastly.GenericTokenError)(nil); errors.As(err, &got) {
					assert.LessOrEqual(t, len(got.Body), failure, "bytes of the body kept")
				}
				bound := int64(token)
				switch {
				case response.status != 200:
					bound = failure
				case strings.HasPrefix(op.name, "List"):
					bound = list
				case op.method == http.MethodDelete:
					bound = failure
				}
				assert.LessOrEqual(t, body.read.Load(), bound+1+drained, "bytes read")
				if name == "tokens" && bound == list {
					assert.ErrorContains(t, err, "it is longer than 64 MiB")
				}
				assert.EqualValues(t, 1, body.closed.Load(), "times closed")
			})
		}
	}
}

// skipWithRaceDetector skips a test that decodes megabytes in one goroutine: the
// race detector would find nothing, and make it take ten times as long.
func skipWithRaceDetector(t *testing.T) {
	t.Helper()
	if withRaceDetector() {
		t.Skip("one goroutine, and megabytes: run without the race detector")
	}
}

func TestResponsesAtTheirBound(t *testing.T) {
	t.Parallel()
	skipWithRaceDetector(t)
	for _, test := range []struct {
		op         operation
		begin, end string
		bound      int64
		text       string
	}{
		{listTokensUser, "[" + strings.Repeat(`{"id":"x","more":"`+strings.Repeat("n", 1e6)+`"},`, 67) + tokenJSON, "]", 64 << 20, "it is longer than 64 MiB"},
		{getToken, `{"id":"` + someID + `"`, "}", 1 << 20, "it is longer than 1 MiB"},
		{createToken, createdJSON, "", 1 << 20, "it is longer than 1 MiB"},
	} {
		for size, fits := range map[int64]bool{test.bound: true, test.bound + 1: false} {
			body := io.MultiReader(strings.NewReader(test.begin),
				io.LimitReader(endless("", " "), size-int64(len(test.begin)+len(test.end))), strings.NewReader(test.end))
			c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
			})))
			err := test.op.do(t.Context(), c)
			if fits {
				assert.NoError(t, err, "%s, %d bytes", test.op.name, size)
			} else {
				assert.ErrorContains(t, err, test.text, "%s, %d bytes", test.op.name, size)
			}
		}
	}
}

func TestListOfTinyTokensIsBounded(t *testing.T) {
	t.Parallel()
	skipWithRaceDetector(t)
	const most = 500_000
	for n, fits := range map[int]bool{most: true, most + 1: false} {
		text := "[" + strings.Repeat(`{"id":"1"},`, n-1) + `{"id":"1"}]`
		list, err := mustClient(t, noRetry, fastly.WithTransport(respond(http.StatusOK, text))).Tokens.ListTokensUser(t.Context())
		if fits {
			require.NoError(t, err)
			assert.Len(t, list, n)
		} else {
			require.ErrorContains(t, err, "it holds more than 500000 tokens")
			assert.Len(t, list, most, "those that were read")
		}
	}
}

// Not parallel: it counts what is allocated.
func TestWhatAListHoldsIsBounded(t *testing.T) { //nolint:paralleltest // see above
	skipWithRaceDetector(t)
	numbered := func(format string) io.Reader {
		return &counting{format: format}
	}
	for name, test := range map[string]struct {
		begin string
		more  io.Reader
		text  string
	}{
		"tokens without an ID":   {`[{}`, endless("", `,{}`), "it holds more than 500000 tokens"},
		"what is no token":       {`[1`, endless("", `,null`), "it holds more than 500000 tokens"},
		"unknown members":        {`[{"id":"x"`, numbered(`,"n%d":1`), "one of its tokens is longer than 1 MiB"},
		"members of a member":    {`[{"id":"x","y":{"z":1`, numbered(`,"n%d":1`), "one of its tokens is longer than 1 MiB"},
		"services of one token":  {`[{"id":"x","services":["s"`, numbered(`,"s%d"`), "one of its tokens is longer than 1 MiB"},
		"scopes of one token":    {`[{"id":"x","scope":"a`, numbered(` s%d`), "one of its tokens is longer than 1 MiB"},
		"services of all tokens": {`[{"id":"x"}`, endless("", `,{"id":"x","services":["a"`+strings.Repeat(`,"a"`, 100_000)+"]}"), "it holds more than 4000000 scopes and services"},
		"scopes of all tokens":   {`[{"id":"x"}`, endless("", `,{"id":"x","scope":"`+strings.Repeat("a ", 100_000)+`"}`), "it holds more than 4000000 scopes and services"},
		"a long name":            {`[{"id":"x","name":"`, endless("", "x"), "one of its tokens is longer than 1 MiB"},
		"spaces":                 {`[{"id":"x"}`, endless("", " "), "one of its tokens is longer than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			body := &trackedBody{Reader: io.MultiReader(strings.NewReader(test.begin), test.more)}
			c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
			})))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Tokens.ListTokensUser(t.Context())
			runtime.ReadMemStats(&after)
			assertMatches(t, err, fastly.ErrInvalidResponse)
			require.ErrorContains(t, err, test.text)
			assert.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(400), "MiB allocated")
		})
	}
}

// counting is text with numbers, without end.
type counting struct {
	format string
	n      int
	rest   []byte
}

func (c *counting) Read(p []byte) (int, error) {
	for len(c.rest) < len(p) {
		c.n++
		c.rest = fmt.Appendf(c.rest, c.format, c.n)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.String()
}

// TestCompressedResponseIsBounded has 8 KiB or so that unpack to 8 MiB.
func TestCompressedResponseIsBounded(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 500} {
		srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			pack := gzip.NewWriter(w)
			if _, err := io.CopyN(pack, endless(`{"msg":"`, "x"), 8<<20); err == nil {
				// The client has left by now.
				_ = pack.Close()
			}
		})
		_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
		require.Error(t, err)
		assertOneLine(t, err)
		if status == 200 {
			assert.ErrorContains(t, err, "it is longer than 1 MiB")
		} else {
			assert.Len(t, responseError(t, err).Body, 64<<10)
		}
	}
}

// A transport may say more about the end of a body than io.EOF.
func TestWrappedEOFIsTheEnd(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := respond(http.StatusOK, op.body)(r)
			if err == nil {
				resp.Body = io.NopCloser(io.MultiReader(resp.Body, iotest.ErrReader(fmt.Errorf("counted %d bytes: %w", len(op.body), io.EOF))))
			}
			return resp, err
		})
		c := mustClient(t, noRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
		assert.NoError(t, op.do(t.Context(), c), op.name)
	}
}

// Something on the way compresses, whatever the client asked for.
func TestCompressedResponseIsRead(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]http.Header{
		"gzip":           {"Content-Encoding": {"gzip"}},
		"x-gzip":         {"Content-Encoding": {"X-GZip"}},
		"identity":       {"Content-Encoding": {"identity"}},
		"no header":      {},
		"another header": {"Content-Encoding": {"br"}},
	} {
		for _, pack := range []func(string) string{zip, func(text string) string { return zip("\ufeff" + text) }, func(text string) string { return "\ufeff" + text }, strings.Clone} {
			for _, op := range operations {
				body := op.body
				if op.method == http.MethodDelete {
					body = `{"status":"ok"}`
				}
				for _, response := range []struct {
					status int
					body   string
				}{{200, body}, {404, `{"msg":"Record not found"}`}} {
					c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
						resp, err := respond(response.status, pack(response.body))(r)
						resp.Header = header
						resp.Body = io.NopCloser(iotest.OneByteReader(resp.Body))
						return resp, err
					})))
					err := op.do(t.Context(), c)
					if response.status == 200 {
						require.NoError(t, err, "%s: %s", op.name, name)
						continue
					}
					assertMatches(t, err, fastly.ErrNotFound)
					assert.Equal(t, "Record not found", responseError(t, err).Msg)
					assert.Equal(t, response.body, responseError(t, err).Body)
				}
			}
		}
	}
}

func TestCodingThatIsSupportedIsNoReason(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"", "identity", "gzip", "X-GZIP"} {
		srv := newStub(t, http.StatusOK, http.Header{"Content-Encoding": {coding}}, zip("[oops]"))
		for _, op := range operations {
			if op.kind != fastly.KindRead && op.kind != fastly.KindCreate { // which net/http does not decompress
				continue
			}
			err := op.do(t.Context(), srv.client(t, noRetry))
			require.ErrorIs(t, err, fastly.ErrInvalidResponse)
			assert.NotContains(t, err.Error(), "compressed", coding)
		}
	}
}

func TestCodingsOfSeveralHeadersAreNamed(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, http.Header{"Content-Encoding": {"br", "zstd"}}, "\x8b\x07")
	_, err := srv.client(t).Tokens.ListTokensUser(t.Context())
	require.ErrorContains(t, err, `it is compressed as "br, zstd"`)
}

func TestCodingThatIsNotSupportedIsNamed(t *testing.T) {
	t.Parallel()
	const packed = "\x8b\x07\x80\xff\xfe\x01"
	for coding, body := range map[string]string{"br": packed, "zstd": packed, "Deflate": packed, "gzip, gzip": zip(zip(tokenJSON)), "gzip, br": packed} {
		header := http.Header{"Content-Encoding": {coding}}
		for _, op := range operations {
			err := op.do(t.Context(), newStub(t, http.StatusOK, header, body).client(t))
			want := []error{fastly.ErrInvalidResponse}
			if op.kind == fastly.KindCreate {
				want = append(want, fastly.ErrOutcomeUnknown)
			}
			assertMatches(t, err, want...)
			require.ErrorContains(t, err, `it is compressed as "`+strings.ToLower(coding)+`"`)
			err = op.do(t.Context(), newStub(t, http.StatusNotFound, header, body).client(t))
			assertMatches(t, err, want...)
			require.ErrorContains(t, err, `the body can't be read: it is compressed as "`+strings.ToLower(coding)+`"`)
		}
	}
}

// What a compressor has sent before the end can be read.
func TestAccessTokenOfATruncatedCompressedResponse(t *testing.T) {
	t.Parallel()
	packed := zip(strings.TrimSuffix(createdJSON, "}") + `,"user_agent":"` + strings.Repeat("abcdefghijklmnopqrstuvwxyz", 10) + `"}`)
	for cut := range 12 {
		srv := newStub(t, http.StatusOK, http.Header{"Content-Encoding": {"gzip"}, "Content-Length": {strconv.Itoa(len(packed))}}, packed[:len(packed)-cut-1])
		created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		assertMatches(t, err, fastly.ErrOutcomeUnknown)
		require.NotNil(t, created, "cut: %d", cut)
		assert.Equal(t, someKey, created.AccessToken.Reveal())
		assert.Equal(t, someID, created.ID)
	}
	broken := []byte(packed)
	broken[len(broken)-6] ^= 1 // its checksum
	created, err := newStub(t, http.StatusOK, nil, string(broken)).client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	assertMatches(t, err, fastly.ErrOutcomeUnknown)
	assert.Equal(t, someKey, created.AccessToken.Reveal())
}

// Each of these gives no byte, for the processor to look at again and again.
func TestEndlessCompressedNothingIsReadUpToABound(t *testing.T) {
	t.Parallel()
	nothing := strings.Repeat(zip(""), 1000)
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		body := &trackedBody{Reader: endless("", nothing)}
		c := mustClient(t, noRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{
			Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: body, Request: r}, nil
			}),
		}))
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
		assert.LessOrEqual(t, body.read.Load(), int64(65<<20))
	}
}
