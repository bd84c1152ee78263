package fastlytest

import (
	"bytes"
	"net/http"
	"time"
)

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
