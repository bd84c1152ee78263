package fastly

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// sending is one attempt to change something, as the layers below the client
// see it and report on it. It is the context of its request, below what watches
// it.
type sending struct {
	context.Context
	caller context.Context // that of the attempt
	op     *operation
	stop   context.CancelCauseFunc
	trace  httptrace.ClientTrace

	asked       atomic.Bool // for a connection
	got         atomic.Bool // a connection, so that something may have been sent
	multiplexed atomic.Bool // and it speaks HTTP/2
}

type sendingKey struct{}

// Value implements [context.Context].
func (s *sending) Value(key any) any {
	if key == (sendingKey{}) {
		return s
	}
	return s.Context.Value(key)
}

var errSentAgain = errors.New("the HTTP/2 connection was lost after the request had been sent")

// watch returns a sending of the operation and a context that reports to it. A
// transport below that retries on its own can't hide an attempt: got stays set
// once it is.
//
// Over HTTP/2 net/http sends a request again that the other side may have
// carried out (golang.org/issue/47635), and without end. This and body stop it.
func watch(ctx context.Context, op *operation) (context.Context, *sending) {
	s := &sending{Context: ctx, caller: ctx, op: op, stop: func(error) {}}
	if len(op.body) == 0 { // else body does it
		s.Context, s.stop = context.WithCancelCause(ctx)
	}
	s.trace.GetConn, s.trace.GotConn = s.getConn, s.gotConn
	return httptrace.WithClientTrace(s, &s.trace), s
}

func (s *sending) getConn(string) {
	s.asked.Store(true)
	if s.multiplexed.Load() {
		s.stop(errSentAgain)
	}
}

func (s *sending) gotConn(info httptrace.GotConnInfo) {
	s.got.Store(true)
	if speaksHTTP2(info.Conn) {
		s.multiplexed.Store(true)
	}
}

func speaksHTTP2(conn net.Conn) bool {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// body is the operation's body. With it again the transport can send what it
// never sent at all, on a connection that turned out to be closed: over HTTP/1,
// as of HTTP/2 it can't be told. Its type is one that net/http knows to be in
// memory, and so sends together with the header.
func (s *sending) body() (io.ReadCloser, error) {
	if s.multiplexed.Load() {
		return nil, errSentAgain
	}
	return io.NopCloser(bytes.NewReader(s.op.body)), nil
}

// askKey asks f for the key of a request. It gets a context that reports
// nothing: what it sends is not what is watched. A call that revokes "self"
// keeps to one key, or its second attempt would revoke another token.
func askKey(req *http.Request, f func(context.Context) (Secret, error)) (Secret, error) {
	s, ok := req.Context().Value(sendingKey{}).(*sending)
	if !ok || s.op.method != req.Method || !strings.HasSuffix(req.URL.Path, s.op.path) {
		return f(req.Context())
	}
	if s.op.kind != kindRevokeCurrent {
		return f(s.caller)
	}
	s.op.asking.Lock()
	defer s.op.asking.Unlock()
	if s.op.key != "" {
		return s.op.key, nil
	}
	key, err := f(s.caller)
	if err == nil {
		s.op.key = key
	}
	return key, err
}
