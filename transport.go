package fastly

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// defaultTimeout bounds the silence of the server, unless the caller's http.Client decides.
const defaultTimeout = 60 * time.Second

// defaultTransport returns a copy of http.DefaultTransport with more connections and stricter
// bounds, or http.DefaultTransport itself if it is of another type.
func defaultTransport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := shared.Clone()
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = 64, 64
	t.MaxResponseHeaderBytes = 256 << 10
	t.ReadBufferSize = 32 << 10 // fewer system calls for a long list
	t.TLSClientConfig = cmp.Or(t.TLSClientConfig, new(tls.Config))
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	// Without pings a connection that went dead stays in use. Since Go 1.27 HTTP2 is never nil.
	t.HTTP2 = cmp.Or(t.HTTP2, new(http.HTTP2Config))
	t.HTTP2.SendPingTimeout = cmp.Or(t.HTTP2.SendPingTimeout, 15*time.Second)
	t.HTTP2.PingTimeout = cmp.Or(t.HTTP2.PingTimeout, 15*time.Second)
	if t.OnProxyConnectResponse == nil {
		t.OnProxyConnectResponse = checkProxy
	}
	return t
}

// checkProxy names the proxy that refuses a CONNECT: net/http's own error is the status text alone.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("the proxy %s refused the connection: %d %s", sanitize(proxy.Host), resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode == http.StatusProxyAuthRequired || resp.StatusCode == http.StatusForbidden {
		return &rejectedError{err}
	}
	return err
}

// checkTLS returns an error for a transport that may go below TLS 1.2.
func checkTLS(rt http.RoundTripper) error {
	t, ok := rt.(*http.Transport)
	switch {
	case !ok:
		return nil
	case t == nil:
		return invalid("the HTTP transport is a nil *http.Transport")
	}
	// A transport changes its settings at its first use. Clone waits for that; a read would race.
	c := cmp.Or(t.Clone().TLSClientConfig, new(tls.Config))
	for i, version := range []uint16{c.MinVersion, c.MaxVersion} {
		if version != 0 && version < tls.VersionTLS12 {
			name := [...]string{"MinVersion", "MaxVersion"}[i]
			return invalid("the HTTP transport has a %s of %s: set TLSClientConfig.%[1]s to tls.VersionTLS12 or later", name, tls.VersionName(version))
		}
	}
	return nil
}

// roundTrip copes with transports that break the contract of RoundTrip. Its response has a body.
func roundTrip(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := rt.RoundTrip(req)
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	case resp == nil:
		return nil, errors.New("the transport returned no response and no error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return resp, nil
}

// tracker watches an attempt from below. Over HTTP/1, net/http reports a header as written before a
// byte of it has left, and retries a request of which no byte was sent. Over HTTP/2 it would repeat
// what may have been processed (golang.org/issue/47635), which a tracker stops.
type tracker struct {
	cancel         context.CancelCauseFunc
	trace          httptrace.ClientTrace
	maxConnections int32       // that net/http may try for the attempt
	asked          atomic.Bool // for a connection
	connected      atomic.Int32
	http2          atomic.Bool  // a header is being written over HTTP/2, or was
	written        atomic.Int32 // headers
}

var errRepeated = errors.New("the HTTP/2 connection was lost after the request was sent")

// track returns a context whose requests the tracker watches; cancel ends it.
func track(ctx context.Context, cancel context.CancelCauseFunc, k kind, http1 bool) (context.Context, *tracker) {
	t := &tracker{cancel: cancel, maxConnections: 100} // over HTTP/1 each kept connection may turn out closed
	if k == kindRead && !http1 {
		t.maxConnections = 4
	}
	t.trace.GotConn = t.gotConn
	if k != kindRead {
		t.trace.GetConn = func(string) {
			t.asked.Store(true)
			t.stopRepeat()
		}
		t.trace.WroteHeaderField = func(name string, _ []string) {
			if strings.HasPrefix(name, ":") { // RFC 9113, section 8.3
				t.http2.Store(true)
			}
		}
		t.trace.WroteHeaders = func() { t.written.Add(1) }
	}
	return httptrace.WithClientTrace(ctx, &t.trace), t
}

func (t *tracker) gotConn(httptrace.GotConnInfo) {
	if t.connected.Add(1) > t.maxConnections {
		t.cancel(errRepeated)
	}
	t.stopRepeat()
}

func (t *tracker) stopRepeat() {
	if t.http2.Load() {
		t.cancel(errRepeated)
	}
}

// sent reports whether the server may have processed an attempt that failed with err, over a
// transport that is net/http's own or not. ended says that its context ended: the header may then
// have been sent without being reported as written.
func (t *tracker) sent(err error, standard, ended bool) bool {
	switch {
	case t.written.Load() == 1 && isUnprocessed(err):
		return false
	case t.written.Load() > 0, t.connected.Load() > 0 && (ended || !standard || t.trace.WroteHeaders == nil):
		return true
	}
	// A transport that reports nothing counts as having sent, unless err comes from before that.
	return !t.asked.Load() && !standard && !isPermanent(err)
}

// isUnprocessed reports whether err says that the server did not process a request: its HTTP/2
// stream is above the last one that GOAWAY names, or was refused (RFC 9113, sections 6.8 and 8.7).
// The texts are those of net/http in Go 1.26 and 1.27, which exports no types for them; any other
// may mean that the request was processed.
func isUnprocessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if inner, ok := strings.CutPrefix(text, "http2: Transport: cannot retry err ["); ok {
			text, _ = strings.CutSuffix(inner, "] after Request.Body was written; define Request.GetBody to avoid this error")
		}
		if text == "http2: Transport received Server's graceful shutdown GOAWAY" {
			return true
		}
		if stream, ok := strings.CutPrefix(text, "stream error: stream ID "); ok {
			id, reason, _ := strings.Cut(stream, "; ")
			return strings.Trim(id, "0123456789") == "" && reason == "REFUSED_STREAM; received from peer"
		}
	}
	return false
}

// timedBody is a response body whose reads end with the attempt.
type timedBody struct {
	io.ReadCloser
	ctx     context.Context // of the attempt
	timer   *time.Timer     // ends the attempt; nil: no bound
	silence time.Duration   // bounds each read, unless zero
	err     error           // why the body was cut off, if it was
}

func (b *timedBody) Read(p []byte) (int, error) {
	if b.silence > 0 {
		b.timer.Reset(b.silence)
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		return n, io.EOF // bare, as readers expect it
	case err != nil:
		b.err = cmp.Or(context.Cause(b.ctx), err)
	}
	return n, b.err
}
