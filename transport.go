package fastly

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastly-tokens/fastly/internal/neterr"
	"github.com/fastly-tokens/fastly/internal/tolerant"
)

// defaultTransport returns http.DefaultTransport: a copy with stricter bounds, if its type allows that.
func defaultTransport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := shared.Clone()
	t.MaxIdleConnsPerHost = 64
	t.MaxResponseHeaderBytes = 256 << 10
	t.ReadBufferSize = 32 << 10 // fewer system calls for a long list
	t.TLSClientConfig = cmp.Or(t.TLSClientConfig, new(tls.Config))
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	// Without pings a connection that went dead stays in use. Go 1.26: HTTP2 may be nil.
	t.HTTP2 = cmp.Or(t.HTTP2, new(http.HTTP2Config))
	t.HTTP2.SendPingTimeout = cmp.Or(t.HTTP2.SendPingTimeout, 15*time.Second)
	t.HTTP2.PingTimeout = cmp.Or(t.HTTP2.PingTimeout, 15*time.Second)
	if t.OnProxyConnectResponse == nil {
		t.OnProxyConnectResponse = checkProxy
	}
	return t
}

// checkProxy returns the status of a refused CONNECT: net/http's own error is the reason phrase alone.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode == http.StatusProxyAuthRequired || resp.StatusCode == http.StatusForbidden {
		return &rejectedError{err}
	}
	return err
}

// checkTLS returns an error for a transport that may go below TLS 1.2.
func checkTLS(rt http.RoundTripper) error {
	t, ok := rt.(*http.Transport)
	if !ok {
		return nil
	}
	if t == nil {
		return invalid("the HTTP transport is a nil *http.Transport")
	}
	// A transport changes its settings at its first use. Clone waits for that; a read would race.
	c := cmp.Or(t.Clone().TLSClientConfig, new(tls.Config))
	const tooLow = "the HTTP transport has a %s of %s: set TLSClientConfig.%[1]s to tls.VersionTLS12 or later"
	if c.MinVersion != 0 && c.MinVersion < tls.VersionTLS12 {
		return invalid(tooLow, "MinVersion", tls.VersionName(c.MinVersion))
	}
	if c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS12 {
		return invalid(tooLow, "MaxVersion", tls.VersionName(c.MaxVersion))
	}
	return nil
}

// closeIdle uses an http.Client, which knows how, and what nil means.
func closeIdle(rt http.RoundTripper) { (&http.Client{Transport: rt}).CloseIdleConnections() }

// untraced is a context that hides the trace of the request that it belongs to.
type untraced struct{ context.Context }

// Value implements [context.Context].
func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// watch bounds an attempt in time, observes it by its trace, and is the body of its response. Over
// HTTP/1, net/http reports a header as written before a byte of it has left, and would repeat a
// request to which something has added an idempotency key.
//
// Go 1.26: over HTTP/2, net/http would repeat what may have been processed, and any number of times
// (golang.org/issue/47635). A watch stops the former, and counts connections to stop the latter.
type watch struct {
	io.ReadCloser // the response body itself

	client *Client
	ctx    context.Context // of the attempt
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends the attempt
	cut    error       // why the body was cut off, if it was

	trace          httptrace.ClientTrace
	maxConnections int32       // that net/http may try for the attempt
	asked          atomic.Bool // for a connection
	connected      atomic.Int32
	http2          atomic.Bool  // a header is being written over HTTP/2, or was
	keyed          atomic.Bool  // the same over HTTP/1, with an idempotency key
	written        atomic.Int32 // headers
}

var errRepeated = errors.New("the connection was lost after the request was sent")

// watch starts an attempt: requests with the context of the watch are part of it. Stop it in the end.
func (c *Client) watch(ctx context.Context, k kind) *watch {
	w := &watch{client: c, maxConnections: 100} // over HTTP/1 each kept one may turn out closed
	if k == kindRead && !c.http1.Load() {
		w.maxConnections = 4
	}
	w.trace.GotConn = func(got httptrace.GotConnInfo) {
		if w.keyed.Load() && got.Conn != nil { // over HTTP/1, the end of the context alone may come too late
			_ = got.Conn.Close()
		}
		w.stopRepeat(w.connected.Add(1) > w.maxConnections)
	}
	w.trace.WroteHeaders = func() { w.written.Add(1) }
	w.trace.GetConn = func(string) {
		w.asked.Store(true)
		w.stopRepeat(false)
	}
	if k != kindRead {
		w.trace.WroteHeaderField = func(name string, _ []string) {
			switch {
			case strings.HasPrefix(name, ":"): // RFC 9113, section 8.3
				w.http2.Store(true)
			case name == "Idempotency-Key", name == "X-Idempotency-Key":
				w.keyed.Store(true)
			}
		}
	}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.ctx = httptrace.WithClientTrace(ctx, &w.trace)
	w.timer = time.AfterFunc(cmp.Or(c.timeout, c.silence), func() { w.cancel(context.DeadlineExceeded) })
	return w
}

func (w *watch) stopRepeat(repeated bool) {
	if repeated || w.http2.Load() || w.keyed.Load() {
		w.cancel(errRepeated)
	}
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// send makes the round trip, and watches the body of the response.
func (w *watch) send(req *http.Request) (*http.Response, error) {
	resp, err := tolerant.RoundTrip(w.client.transport, req)
	if err != nil {
		return nil, err
	}
	w.ReadCloser, resp.Body = resp.Body, tolerant.Body(w)
	return resp, nil
}

// sent reports whether the server may have processed an attempt that failed with err.
func (w *watch) sent(err error) bool {
	_, standard := w.client.below.(*http.Transport)
	switch {
	case w.written.Load() == 1 && neterr.IsUnprocessed(err):
		return false
	case w.written.Load() > 0:
		return true
	case w.connected.Load() > 0 && (w.ctx.Err() != nil || !standard):
		return true // the header may have been sent without being reported as written
	case w.asked.Load(), standard && len(w.client.middlewares) == 0:
		return false
	}
	// What reports nothing counts as having sent, unless err comes from before that.
	dns, _ := errors.AsType[*net.DNSError](err)
	return (dns == nil || !dns.IsNotFound) && !isPermanent(err)
}

// viaProxy returns err, with the name of the proxy if err lacks it and nothing connected through it.
func (w *watch) viaProxy(req *http.Request, err error, c class) error {
	t, ok := w.client.below.(*http.Transport)
	op, _ := errors.AsType[*net.OpError](err)
	named := op != nil && strings.HasSuffix(op.Op, "connect") // "proxyconnect" or "socks connect"
	if ok && t.Proxy != nil && c != classNoResponse && w.connected.Load() == 0 && !named {
		if proxy, proxyErr := t.Proxy(req); proxy != nil && proxyErr == nil {
			return &net.OpError{Op: "dial", Net: "through the proxy " + proxy.Host, Err: err}
		}
	}
	return err
}

// ended returns why the attempt or its response body ended early, or nil.
func (w *watch) ended() error { return cmp.Or(w.cut, context.Cause(w.ctx)) }

// Read ends with the attempt.
func (w *watch) Read(p []byte) (int, error) {
	if w.client.timeout == 0 {
		w.timer.Reset(w.client.silence)
	}
	n, err := w.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		return n, io.EOF // bare, as readers expect it
	case err != nil, n == 0 && w.ctx.Err() != nil: // the latter if the body does not know the context
		w.cut = cmp.Or(context.Cause(w.ctx), err)
	}
	return n, w.cut
}
