package fastly_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// swallowing is a connection whose other end no longer receives anything.
type swallowing struct {
	net.Conn
	dead atomic.Bool
}

func (c *swallowing) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func TestDefaultTransportLeavesADeadHTTP2Connection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newPiped(t, true, func(w http.ResponseWriter, r *http.Request) {
			body := tokenJSON
			if r.Method == http.MethodPost {
				body = createdJSON
			}
			_, _ = io.WriteString(w, body)
		})
		var conn *swallowing // the last one
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			conn = &swallowing{Conn: c}
			return conn, err
		}
		useDefaultTransport(t, tr)
		c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"))
		skipWaits(c)
		for _, op := range []operation{getToken, createToken} {
			require.NoError(t, op.do(t.Context(), c))
			conn.dead.Store(true)
			start := time.Now()
			err := op.do(t.Context(), c)
			assert.Equal(t, 30*time.Second, time.Since(start), "15 s of silence, and 15 s for a ping")
			if op.kind == fastly.KindRead {
				require.NoError(t, err, "the second attempt has another connection")
			} else {
				require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
			}
			start = time.Now()
			require.NoError(t, op.do(t.Context(), c))
			assert.Zero(t, time.Since(start))
		}
	})
}

// http2Server reads each request to its end, and responds with any frames (RFC
// 9113).
type http2Server struct {
	url      string
	roots    *x509.CertPool
	requests atomic.Int32
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7

	flagEnd, flagAck, flagEndHeaders = 1, 1, 4

	protocolError, internalError, refusedStream, cancelStream, enhanceYourCalm, http11Required = 1, 2, 7, 8, 11, 13
)

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) {
	frame := []byte{0, 0, byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, _ = w.Write(append(frame, payload...))
}

func writeReset(w io.Writer, stream, code uint32) {
	writeFrame(w, frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

func writeGoAway(w io.Writer, last, code uint32) {
	writeFrame(w, frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code))
}

// writeResponse writes a 200 or, without a body, a 204.
func writeResponse(w io.Writer, stream uint32, body string) {
	const status200, status204 = 0x88, 0x89 // RFC 7541, appendix A
	if body == "" {
		writeFrame(w, frameHeaders, flagEnd|flagEndHeaders, stream, []byte{status204})
		return
	}
	writeFrame(w, frameHeaders, flagEndHeaders, stream, []byte{status200})
	writeFrame(w, frameData, flagEnd, stream, []byte(body))
}

func newHTTP2Server(t *testing.T, respond func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	s := &http2Server{roots: x509.NewCertPool()}
	s.roots.AddCert(certified.Certificate())
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	return s.start(t, "https", listener, respond)
}

// newPlainHTTP2Server is newHTTP2Server without TLS.
func newPlainHTTP2Server(t *testing.T, respond func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return new(http2Server).start(t, "http", listener, respond)
}

func (s *http2Server) start(t *testing.T, scheme string, listener net.Listener, respond func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	s.url = scheme + "://" + listener.Addr().String()
	var wg sync.WaitGroup
	closed := make(chan struct{})
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				<-closed // a client may leave connections open
				_ = conn.Close()
			})
			wg.Go(func() {
				defer conn.Close()
				s.serve(conn, respond)
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		close(closed)
		wg.Wait()
	})
	return s
}

func (s *http2Server) serve(conn net.Conn, respond func(net.Conn, uint32)) {
	if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	writeFrame(conn, frameSettings, 0, 0, nil)
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
			writeFrame(conn, frameSettings, flagAck, 0, nil)
		case (kind == frameData || kind == frameHeaders) && flags&flagEnd != 0:
			s.requests.Add(1)
			respond(conn, binary.BigEndian.Uint32(head[5:]))
		}
	}
}

func (s *http2Server) client(t *testing.T, opts ...fastly.Option) *fastly.Client {
	t.Helper()
	return mustClient(t, append([]fastly.Option{
		fastly.WithBaseURL(s.url), fastly.WithAPIKey(someKey), noRetry, fastly.WithHTTPClient(&http.Client{Transport: s.transport()}),
	}, opts...)...)
}

func (s *http2Server) transport() *http.Transport {
	if s.roots == nil {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		return tr
	}
	return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}}
}

// http2Failures are those after which a request may have been processed.
var http2Failures = map[string]func(conn net.Conn, stream uint32){
	"PROTOCOL_ERROR":    func(conn net.Conn, stream uint32) { writeReset(conn, stream, protocolError) }, // net/http repeats the request
	"INTERNAL_ERROR":    func(conn net.Conn, stream uint32) { writeReset(conn, stream, internalError) },
	"CANCEL":            func(conn net.Conn, stream uint32) { writeReset(conn, stream, cancelStream) },
	"ENHANCE_YOUR_CALM": func(conn net.Conn, stream uint32) { writeReset(conn, stream, enhanceYourCalm) },
	"HTTP_1_1_REQUIRED": func(conn net.Conn, stream uint32) { writeReset(conn, stream, http11Required) },
	"going away": func(conn net.Conn, _ uint32) {
		writeGoAway(conn, 1<<31-1, 0)
		_ = conn.Close()
	},
	"gone away": func(conn net.Conn, _ uint32) {
		writeGoAway(conn, 1, internalError)
		_ = conn.Close()
	},
	"closed": func(conn net.Conn, _ uint32) { _ = conn.Close() },
}

func TestCreateOverHTTP2IsSentOnce(t *testing.T) {
	t.Parallel()
	for name, fail := range http2Failures {
		for what, req := range map[string]*fastly.CreateTokenRequest{"with a body": {Name: someName}, "without one": {}} {
			for kind, start := range map[string]func(*testing.T, func(net.Conn, uint32)) *http2Server{
				"over TLS": newHTTP2Server, "without TLS": newPlainHTTP2Server,
			} {
				t.Run(name+" "+what+" "+kind, func(t *testing.T) {
					t.Parallel()
					srv := start(t, fail)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err := srv.client(t, quickRetry).Tokens.CreateToken(ctx, req)
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
					require.NoError(t, ctx.Err(), "it ends by itself")
					assert.EqualValues(t, 1, srv.requests.Load(), "requests")
				})
			}
		}
	}
}

// net/http would repeat a request without end.
func TestAttemptsOverHTTP2AreBounded(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		for name, fail := range http2Failures {
			t.Run(op.name+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := newHTTP2Server(t, fail)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := op.do(ctx, srv.client(t))
				require.Error(t, err)
				require.NoError(t, ctx.Err(), "it ends by itself")
				if n := srv.requests.Load(); op.kind == fastly.KindRead && n > 1 { // net/http repeats it
					assert.EqualValues(t, 4, n, "requests")
					assert.ErrorContains(t, err, "the connection was lost after the request was sent")
				} else {
					assert.EqualValues(t, 1, n, "requests")
				}
			})
		}
	}
}

// Of a client that With gives another transport, the protocol of the first one says nothing.
func TestProtocolIsThatOfTheTransport(t *testing.T) {
	t.Parallel()
	srv := newHTTP2Server(t, http2Failures["PROTOCOL_ERROR"])
	parent := srv.client(t, fastly.WithHTTPClient(&http.Client{Transport: respond(http.StatusOK, tokenJSON)})) // as over HTTP/1
	require.NoError(t, getToken.do(t.Context(), parent))
	child, err := parent.With(fastly.WithHTTPClient(&http.Client{Transport: srv.transport()}))
	require.NoError(t, err)
	t.Cleanup(child.CloseIdleConnections)
	require.Error(t, getToken.do(t.Context(), child))
	assert.Contains(t, []int32{1, 4}, srv.requests.Load(), "requests: net/http of Go 1.26 repeats it") // 4 is the bound
}

// Over HTTP/1, a server may have closed all connections that a client keeps.
func TestReadSurvivesThatAllKeptConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	const kept = 60
	var served, closed atomic.Int32
	all := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		onConnection, ok := r.Context().Value(connectionKey{}).(*atomic.Int32)
		if assert.True(t, ok) && onConnection.Add(1) > 1 {
			closed.Add(1)
			panic(http.ErrAbortHandler)
		}
		if served.Add(1) == kept {
			close(all)
		}
		<-all // so that each has a connection of its own
		_, _ = io.WriteString(w, tokenJSON)
	}))
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, new(atomic.Int32))
	}
	srv.Start()
	t.Cleanup(srv.Close)
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL(srv.URL), noRetry)
	var wg sync.WaitGroup
	for range kept {
		wg.Go(func() {
			_, err := c.Tokens.GetTokenCurrent(t.Context())
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.NoError(t, err)
	assert.Greater(t, closed.Load(), int32(50), "connections that were closed")
}

type connectionKey struct{}

func TestUnprocessedRequestOverHTTP2IsRetried(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(conn net.Conn, stream uint32){
		"REFUSED_STREAM": func(conn net.Conn, stream uint32) { writeReset(conn, stream, refusedStream) },
		"graceful shutdown": func(conn net.Conn, _ uint32) {
			writeGoAway(conn, 0, 0)
			_ = conn.Close()
		},
	} {
		for _, op := range operations {
			t.Run(name+" "+op.name, func(t *testing.T) {
				t.Parallel()
				var n atomic.Int32
				srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) {
					if n.Add(1) == 1 {
						fail(conn, stream)
						return
					}
					writeResponse(conn, stream, op.body)
				})
				require.NoError(t, op.do(t.Context(), srv.client(t, quickRetry)))
				assert.EqualValues(t, 2, n.Load(), "requests")
			})
		}
	}
}

func TestRequestThatIsNeverProcessedIsNotOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		if op.method == http.MethodGet {
			continue // which net/http repeats by itself
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) { writeReset(conn, stream, refusedStream) })
			err := op.do(t.Context(), srv.client(t, quickRetry))
			require.ErrorContains(t, err, "the server closed the HTTP/2 stream before it processed the request (after 4 attempts)")
			require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown)
		})
	}
}

// heldConn lets the preface of HTTP/2 through, and holds what comes after it.
type heldConn struct {
	net.Conn
	writes       atomic.Int32
	held, closed chan struct{}
	once         sync.Once
}

func (c *heldConn) Write(p []byte) (int, error) {
	switch c.writes.Add(1) {
	case 1:
		return c.Conn.Write(p)
	case 2:
		close(c.held)
	}
	<-c.closed
	return 0, net.ErrClosed
}

func (c *heldConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Servers limit the streams of a connection, and end it with GOAWAY after a number
// of requests, although nothing is wrong.
func TestHealthyHTTP2LosesNoCreate(t *testing.T) {
	t.Parallel()
	const goroutines, creates = 16, 640
	for name, test := range map[string]struct {
		streams int   // at a time
		goAway  int32 // after this many requests
	}{
		"one stream at a time": {1, 1 << 30}, "two, and GOAWAY": {2, 100}, "GOAWAY": {100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served, rejected atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if served.Add(1)%test.goAway == 0 {
					w.Header().Set("Connection", "close") // GOAWAY, over HTTP/2
				}
				_, _ = io.WriteString(w, createdJSON)
			}))
			srv.EnableHTTP2 = true
			srv.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: test.streams}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(someKey),
				fastly.WithRetryPolicy(fastly.RetryPolicy{MaxAttempts: 20, MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond}),
				fastly.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: trust(srv), ForceAttemptHTTP2: true}}))
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range creates / goroutines {
						_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
						// A busy net/http server may count a stream that has ended, and reject
						// the next one with an error that does not say so.
						if err != nil && strings.Contains(err.Error(), "; PROTOCOL_ERROR; received from peer") {
							rejected.Add(1)
							continue
						}
						assert.NoError(t, err)
					}
				})
			}
			wg.Wait()
			assert.EqualValues(t, creates, served.Load()+rejected.Load(), "creates that the server got or rejected")
		})
	}
}

// Some bytes of such a request may have been sent.
func TestContextThatEndsWhileAHeaderIsWrittenLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	var silent sync.WaitGroup
	silent.Go(func() { _, _ = io.Copy(io.Discard, server) })
	conn := &heldConn{Conn: client, held: make(chan struct{}), closed: make(chan struct{})}
	tr := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	tr.Protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-conn.held
		cancel()
	}()
	c := mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"), fastly.WithHTTPClient(&http.Client{Transport: tr}))
	_, err := c.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{Name: "deploy"})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
	require.NoError(t, conn.Close())
	require.NoError(t, server.Close())
	silent.Wait()
}
