package clock

import (
	"net/http"
	"strings"
	"time"
)

// Server is the clock of a server, as a response showed it; nil is the local clock. The Date is read
// when the time is asked for, since it seldom is.
type Server struct {
	date     string
	received time.Time // by the local clock
}

// OfServer returns the clock of a response, nil without a Date in the one form that servers may send
// (RFC 9110, section 5.6.7), or if a cache may have kept it.
func OfServer(h http.Header, received time.Time) *Server {
	date := h.Get("Date")
	if len(date) != len(http.TimeFormat) || !strings.HasSuffix(date, " GMT") || h.Get("Age") != "" {
		return nil
	}
	return &Server{date, received}
}

// At returns the server's time, given the local one. Both local times have a monotonic reading,
// which counts how much time has passed even if the clock is set meanwhile. Some systems stop the
// monotonic clock while the machine sleeps: if it disagrees with the wall clock, what was read
// before is no better than the local time.
func (s *Server) At(now time.Time) time.Time {
	if s == nil {
		return now
	}
	elapsed, byWallClock := now.Sub(s.received), now.Round(0).Sub(s.received.Round(0))
	date, err := http.ParseTime(s.date)
	if err != nil || (byWallClock-elapsed).Abs() > time.Minute {
		return now
	}
	return date.Add(elapsed)
}

// Ahead returns how far the local clock was ahead when the response came.
func (s *Server) Ahead() time.Duration {
	if s == nil {
		return 0
	}
	return s.received.Sub(s.At(s.received))
}
