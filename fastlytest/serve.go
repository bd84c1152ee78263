package fastlytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"time"
)

// maxBody bounds the body of a request; a longer one is a 413.
const maxBody = 1 << 20

// serve reads and records a request, processes it, and responds, each as the
// fault that matches the request allows.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.serving.RLock()
	defer s.serving.RUnlock()
	select {
	case <-s.closing:
		panic(http.ErrAbortHandler)
	default:
	}
	arrived := s.now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	rec, f := s.record(r, body, arrived)

	resp := s.respond(r, f, body, err)
	s.sleep(r.Context(), s.opts.latency)

	// Before the first byte, so that it is recorded once the client has it.
	s.setStatus(rec, resp.status)
	s.send(w, r, f, resp, arrived)
}

// respond processes the request, unless the fault prevents that, and returns the
// response.
func (s *Server) respond(r *http.Request, f Fault, body []byte, readErr error) response {
	switch f.Kind {
	case CutBefore:
		panic(http.ErrAbortHandler)
	case Stall:
		s.hang(r.Context(), f.Delay)
	case Delay:
		s.sleep(r.Context(), f.Delay)
	case Status, Redirect:
		return f.response(s.now())
	}
	resp := s.process(r, body, readErr)
	switch f.Kind {
	case CutAfter:
		panic(http.ErrAbortHandler)
	case StallAfter:
		s.hang(r.Context(), f.Delay)
	case StatusAfter, Garbage:
		return f.response(s.now())
	case CutMiddle, StallMiddle:
		return resp.withBody()
	case Endless:
		resp.status = http.StatusOK
	}
	return resp
}

// send sends the response, or the part of it that the fault lets through.
func (s *Server) send(w http.ResponseWriter, r *http.Request, f Fault, resp response, arrived time.Time) {
	out := resp.encode(r, arrived, s.now())
	switch {
	case f.Kind == CutMiddle:
		out.writePart(w, r, f.Keep)
		panic(http.ErrAbortHandler)
	case f.Kind == StallMiddle:
		out.writePart(w, r, f.Keep)
		s.hang(r.Context(), f.Delay)
	case f.Kind == Endless && r.Method != http.MethodHead: // to a HEAD, writes never block
		out.writeEndless(w, resp.list != nil, s.closing)
		panic(http.ErrAbortHandler)
	default:
		out.write(w)
	}
}

// Request is a request as the server got it, and its outcome.
type Request struct {
	Time       time.Time // of arrival, by the server's clock
	RemoteAddr string    // the client's end of the connection, "ip:port"
	Method     string
	Path       string // as sent, escapes and all
	Query      string // as sent, without the question mark
	// Header is as net/http passes it to a handler, without Host and
	// Transfer-Encoding.
	Header http.Header
	Body   []byte // at most the first MiB
	// Status is the status code of the response, 0 until there is one. It is set
	// before the client gets the response.
	Status int
	Fault  FaultKind // that affected it; empty: none
}

// Requests returns the requests since the start or the last
// [Server.ResetRequests], in order of arrival, including rejected and faulty
// ones.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = *r
		all[i].Header = r.Header.Clone()
		all[i].Body = bytes.Clone(r.Body)
	}
	return all
}

// ResetRequests forgets the requests so far.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// record records the request and picks its fault, in one step, so that faults
// follow the order of the record.
func (s *Server) record(r *http.Request, body []byte, arrived time.Time) (*Request, Fault) {
	rec := &Request{
		Time:       arrived,
		RemoteAddr: r.RemoteAddr,
		Method:     r.Method,
		Path:       r.URL.EscapedPath(),
		Query:      r.URL.RawQuery,
		Header:     r.Header.Clone(),
		Body:       body,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults.next(rec.Method, rec.Path)
	rec.Fault = f.Kind
	s.requests = append(s.requests, rec)
	return rec, f
}

func (s *Server) setStatus(rec *Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.Status = status
}

// process processes the request. readErr is the error of reading its body.
func (s *Server) process(r *http.Request, body []byte, readErr error) response {
	var tooLarge *http.MaxBytesError
	if errors.As(readErr, &tooLarge) {
		return newProblem(http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB").response()
	}
	if readErr != nil {
		return newProblem(http.StatusBadRequest, "The body could not be read").response()
	}
	ip, _, _ := net.SplitHostPort(r.RemoteAddr) // always of that form
	c := &call{
		now:    s.now(),
		method: r.Method,
		path:   r.URL.EscapedPath(),
		query:  r.URL.RawQuery,
		header: r.Header,
		body:   body,
		ip:     ip,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.process(c)
}

// sleep waits for d. If the client disconnects or the server closes first, it
// ends the request.
func (s *Server) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return
	case <-ctx.Done():
	case <-s.closing:
	}
	panic(http.ErrAbortHandler)
}

// hang keeps the client waiting, for at most limit unless that is 0, and then
// ends the request without a response.
func (s *Server) hang(ctx context.Context, limit time.Duration) {
	if limit == 0 {
		limit = math.MaxInt64
	}
	s.sleep(ctx, limit)
	panic(http.ErrAbortHandler)
}
