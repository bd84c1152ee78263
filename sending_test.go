package fastly_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// An HTTP/2 server that takes each request whole and answers with what frames
// it likes (RFC 9113).
type http2Server struct {
	url      string
	roots    *x509.CertPool
	requests atomic.Int32
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7

	flagEnd, flagAck = 1, 1
)

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload ...uint32) {
	frame := []byte{0, 0, byte(4 * len(payload)), kind, flags}
	for _, word := range append([]uint32{stream}, payload...) {
		frame = binary.BigEndian.AppendUint32(frame, word)
	}
	_, _ = w.Write(frame)
}

func newHTTP2Server(t *testing.T, answer func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	s := &http2Server{roots: x509.NewCertPool()}
	s.roots.AddCert(certified.Certificate())
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	s.url = "https://" + listener.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				s.serve(conn, answer)
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		wg.Wait()
	})
	return s
}

func (s *http2Server) serve(conn net.Conn, answer func(net.Conn, uint32)) {
	if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	writeFrame(conn, frameSettings, 0, 0)
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, length); err != nil {
			return
		}
		switch kind, flags := head[3], head[4]; {
		case kind == frameSettings && flags&flagAck == 0:
			writeFrame(conn, frameSettings, flagAck, 0)
		case (kind == frameData || kind == frameHeaders) && flags&flagEnd != 0:
			s.requests.Add(1)
			answer(conn, binary.BigEndian.Uint32(head[5:]))
		}
	}
}

func (s *http2Server) client(t *testing.T) *fastly.Client {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}}
	c := mustClient(t, fastly.WithBaseURL(s.url), fastly.WithAPIKey("key"),
		fastly.WithHTTPClient(&http.Client{Transport: transport}),
		fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestCreateOverHTTP2IsSentOnce(t *testing.T) {
	t.Parallel()
	reset := func(code uint32) func(net.Conn, uint32) {
		return func(conn net.Conn, stream uint32) { writeFrame(conn, frameReset, 0, stream, code) }
	}
	leave := func(last, code uint32) func(net.Conn, uint32) {
		return func(conn net.Conn, _ uint32) {
			writeFrame(conn, frameGoAway, 0, 0, last, code)
			_ = conn.Close()
		}
	}
	for name, answer := range map[string]func(net.Conn, uint32){
		"PROTOCOL_ERROR":    reset(1), // which net/http answers by sending again
		"INTERNAL_ERROR":    reset(2),
		"CANCEL":            reset(8),
		"ENHANCE_YOUR_CALM": reset(11),
		"HTTP_1_1_REQUIRED": reset(13),
		"going away":        leave(1<<31-1, 0),
		"gone away":         leave(1, 2),
		"closed":            func(conn net.Conn, _ uint32) { _ = conn.Close() },
	} {
		for what, req := range map[string]*fastly.CreateTokenRequest{"with a body": {Name: "deploy"}, "without one": {}} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				srv := newHTTP2Server(t, answer)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := srv.client(t).Tokens.CreateToken(ctx, req)
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				require.NoError(t, ctx.Err(), "it ends by itself")
				assert.EqualValues(t, 1, srv.requests.Load(), "requests")
			})
		}
	}
}

func TestRevokeOverHTTP2IsNotSentWithoutEnd(t *testing.T) {
	t.Parallel()
	srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) { writeFrame(conn, frameReset, 0, stream, 1) })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.Error(t, srv.client(t).Tokens.RevokeToken(ctx, someID))
	require.NoError(t, ctx.Err(), "it ends by itself")
	assert.LessOrEqual(t, srv.requests.Load(), int32(2))
}

func TestRevokeCurrentKeepsToOneKey(t *testing.T) {
	t.Parallel()
	for _, kind := range []fastlytest.FaultKind{fastlytest.CutAfter, fastlytest.Status} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			srv := fastlytest.NewServer()
			t.Cleanup(srv.Close)
			keys := []fastly.TokenCreatedResponse{addToken(srv, srv.User().ID, fastly.ScopeGlobal), addToken(srv, srv.User().ID, fastly.ScopeGlobal)}
			var asked atomic.Int32
			c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond}),
				fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) {
					return keys[min(asked.Add(1), 2)-1].AccessToken, nil // rotated after the first request
				}))
			srv.Inject(fastlytest.Fault{Kind: kind, Method: http.MethodDelete})
			require.NoError(t, c.Tokens.RevokeTokenCurrent(t.Context()))
			first, _ := srv.Token(keys[0].ID)
			second, _ := srv.Token(keys[1].ID)
			assert.False(t, first.DeletedAt.IsZero(), "the one that was asked for")
			assert.True(t, second.DeletedAt.IsZero(), "its successor lives")
		})
	}
}

func TestSudoIsNoSignOfARevoke(t *testing.T) {
	t.Parallel()
	srv := fastlytest.NewServer()
	t.Cleanup(srv.Close)
	user := srv.AddUser(fastlytest.User{SudoRequired: true})
	token := addToken(srv, user.ID, fastly.ScopeGlobal)
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(token.AccessToken.Reveal()), fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Millisecond}))
	srv.Inject(fastlytest.Fault{Kind: fastlytest.Status, Method: http.MethodDelete})
	require.ErrorIs(t, c.Tokens.RevokeTokenCurrent(t.Context()), fastly.ErrSudoRequired)
	now, _ := srv.Token(token.ID)
	assert.True(t, now.DeletedAt.IsZero())
}

// A key function may send requests of its own with the context it is given.
func TestKeyFunctionsOwnRequestsAreNotTheClients(t *testing.T) {
	t.Parallel()
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "key") }))
	t.Cleanup(vault.Close)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // nobody listens there any more
	var asked atomic.Int32
	c := mustClient(t, fastly.WithBaseURL("http://"+listener.Addr().String()), fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 3, MinBackoff: time.Millisecond}),
		fastly.WithAPIKeyFunc(func(ctx context.Context) (fastly.Secret, error) {
			asked.Add(1)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, vault.URL, nil)
			if err != nil {
				return "", err
			}
			resp, err := vault.Client().Do(req)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			key, err := io.ReadAll(resp.Body)
			return fastly.Secret(key), err
		}))
	_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
	require.Error(t, err)
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, "nothing was sent")
	assert.EqualValues(t, 3, asked.Load(), "so it is sent again")
}

// A transport of one's own may send again what a key function then has no key
// for.
func TestKeyFunctionThatFailsDoesNotHideAnAttempt(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(context.Context) error{
		"fails later":          func(context.Context) error { return errors.New("the vault is down") },
		"looks at its context": context.Context.Err,
	} {
		for what, req := range map[string]*fastly.CreateTokenRequest{"with a body": {Name: "deploy"}, "without one": {}} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				srv := newHTTP2Server(t, func(conn net.Conn, _ uint32) { _ = conn.Close() })
				base := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: srv.roots, MinVersion: tls.VersionTLS12}}
				t.Cleanup(base.CloseIdleConnections)
				var asked int
				keyed := &fastly.APIKeyTransport{
					Host: strings.TrimPrefix(srv.url, "https://"), Base: base,
					KeyFunc: func(ctx context.Context) (key fastly.Secret, err error) {
						if asked++; asked > 1 {
							err = next(ctx)
						}
						return "key", err
					},
				}
				again := roundTripFunc(func(r *http.Request) (*http.Response, error) {
					resp, err := keyed.RoundTrip(r)
					for range 2 {
						if r.GetBody != nil {
							body, bodyErr := r.GetBody()
							if bodyErr != nil {
								return nil, err
							}
							r = r.Clone(r.Context())
							r.Body = body
						}
						if resp, err = keyed.RoundTrip(r); err == nil {
							break
						}
					}
					return resp, err
				})
				c := mustClient(t, fastly.WithBaseURL(srv.url), fastly.WithTransport(again), fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 1}))
				_, err := c.Tokens.CreateToken(t.Context(), req)
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assert.EqualValues(t, 1, srv.requests.Load(), "requests")
			})
		}
	}
}

// So that it can go on with what it began, whatever the call was.
func TestKeyFunctionsContextIsTheCallers(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, createdAnswer)
	var kept context.Context
	c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithHTTPClient(srv.Client()),
		fastly.WithAPIKeyFunc(func(ctx context.Context) (fastly.Secret, error) {
			kept = ctx
			return "key", nil
		}))
	for name, do := range map[string]func(context.Context) error{
		"bulk revoke": func(ctx context.Context) error { return c.Tokens.BulkRevokeTokens(ctx, []string{someID}) },
		"create": func(ctx context.Context) error {
			_, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
			return err
		},
		"get":            func(ctx context.Context) error { _, err := c.Tokens.GetTokenCurrent(ctx); return err },
		"revoke":         func(ctx context.Context) error { return c.Tokens.RevokeToken(ctx, someID) },
		"revoke current": c.Tokens.RevokeTokenCurrent,
	} {
		type key struct{}
		require.NoError(t, do(context.WithValue(t.Context(), key{}, name)))
		require.NoError(t, kept.Err(), name)
		assert.Equal(t, name, kept.Value(key{}))
	}
}

// Two attempts at a time, as a hedging transport makes them, share the key.
func TestRevokeCurrentKeepsToOneKeyWhenHedged(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	sent := make(chan string, 2)
	keyed := &fastly.APIKeyTransport{
		KeyFunc: func(context.Context) (fastly.Secret, error) {
			return fastly.Secret(fmt.Sprint("key", asked.Add(1))), nil
		},
		Base: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			sent <- r.Header.Get("Fastly-Key")
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
		}),
	}
	c := mustClient(t, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		var wg sync.WaitGroup
		wg.Go(func() {
			resp, err := keyed.RoundTrip(r.Clone(r.Context()))
			if assert.NoError(t, err) {
				assert.NoError(t, resp.Body.Close())
			}
		})
		defer wg.Wait()
		return keyed.RoundTrip(r)
	})))
	require.NoError(t, c.Tokens.RevokeTokenCurrent(t.Context()))
	assert.Equal(t, []string{"key1", "key1"}, []string{<-sent, <-sent})
}

func TestBrokenCreatesAreReadInOneGo(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{`"access_token":{`, `"id":{`, `"id":"`, `"access_token":"\\`} {
		t.Run(unit, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, "{"+strings.Repeat(unit, 1<<20/len(unit)-1))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := srv.client(t).Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
			require.ErrorContains(t, err, "not what the API sends")
			require.NoError(t, ctx.Err(), "in no time")
		})
	}
}

func TestAccessTokenFoundInAnotherPlaceIsCalledAGuess(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"user":{"access_token":"another"},"id":"5Yo3XX"}`,
		`{"access_token":"","user":{"access_token":"another"},"id":"5Yo3XX"}`,
		`{"x":{"access_token":""},"user":{"access_token":"another"},"id":"5Yo3XX"}`,
	} {
		srv := newStub(t, http.StatusOK, nil, body)
		created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "try it before you rely on it")
		assert.Equal(t, "another", created.AccessToken.Reveal())
	}
}

func TestListOfNextToNothingIsBounded(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, "["+strings.Repeat(`{"id":"1"},`, 500_000)+`{"id":"1"}]`)
	list, err := srv.client(t).Tokens.ListTokensUser(t.Context())
	require.ErrorContains(t, err, "more than 500000 tokens")
	assert.Nil(t, list)
}

func TestNilTransportIsRefused(t *testing.T) {
	t.Parallel()
	_, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithHTTPClient(&http.Client{Transport: (*http.Transport)(nil)}))
	require.ErrorIs(t, err, fastly.ErrInvalidArgument)
}

func TestClientsMadeWhileTheirTransportIsFirstUsed(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, `{"id":"5Yo3XX"}`)
	shared := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := fastly.NewClient(fastly.WithAPIKey("key"), fastly.WithBaseURL(srv.URL), fastly.WithHTTPClient(shared))
			if assert.NoError(t, err) {
				_, err = c.Tokens.GetTokenCurrent(t.Context())
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	shared.CloseIdleConnections()
}
