package clock

import (
	"net/http"
	"time"
)

// Server is the clock of a server, as a response showed it; nil is the local clock.
type Server struct {
	Date     time.Time
	Received time.Time // by the local clock
}

// OfServer reads the Date of a response, unless a cache may have kept it. It is nil without one.
func OfServer(h http.Header, received time.Time) *Server {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" {
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
	elapsed, byWallClock := now.Sub(s.Received), now.Round(0).Sub(s.Received.Round(0))
	if (byWallClock - elapsed).Abs() > time.Minute {
		return now
	}
	return s.Date.Add(elapsed)
}
