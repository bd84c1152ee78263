package fastlytest

import (
	"net"
	"time"
)

// Option configures a [Server].
type Option func(*options)

type options struct {
	clock       func() time.Time
	perHour     int
	latency     time.Duration
	lag         time.Duration
	limitReads  bool
	withoutSudo bool
	listener    net.Listener
}

// WithClock sets the clock that dates tokens and responses, expires tokens and
// separates the hours of the rate limit. It is called from several goroutines
// at once. The default is [time.Now]; nil makes [NewServer] panic.
func WithClock(now func() time.Time) Option {
	return func(o *options) { o.clock = now }
}

// WithRateLimit sets how many non-read requests the users and automation tokens of
// a customer may make together in each hour of the clock. The default is 1000; 0
// allows none, and a negative number makes [NewServer] panic.
//
// The count starts again on the hour, as the API's does, so a test that uses up
// the limit by the real clock fails if the hour happens to end. Give the server
// a clock that stands still, and move it with [Server.Advance]:
//
//	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
//	srv := fastlytest.NewServer(
//		fastlytest.WithRateLimit(2),
//		fastlytest.WithClock(func() time.Time { return noon }),
//	)
//	// After two non-read requests, the third is a 429.
//	srv.Advance(time.Hour) // allows two more
func WithRateLimit(perHour int) Option {
	return func(o *options) { o.perHour = perHour }
}

// WithLimitedReads makes reads a 429 as well while the limit of [WithRateLimit] is
// used up, as users of the API report. Reads do not count, and are not limited by
// default.
func WithLimitedReads() Option {
	return func(o *options) { o.limitReads = true }
}

// WithLag makes reads show creates and revokes only after d by the server's clock,
// as lists and edges sometimes do. Until then a token that a client has created is
// missing from lists, its GET by ID is a 404, and its key a 401; a revoke by ID
// finds it. A token that a client has revoked is still in lists, and nowhere else.
// [Server.Tokens] and [Server.AddToken] do not lag. The default is no lag; a negative
// d makes [NewServer] panic.
//
// With a clock that stands still ([WithClock]), the lag ends when the test calls
// [Server.Advance]: between two steps, or, for code that polls, by a little for each
// request, from a round tripper.
func WithLag(d time.Duration) Option {
	return func(o *options) { o.lag = d }
}

// WithLatency delays each response by d, in real time, after its request was
// processed. The default is no delay; a negative d makes [NewServer] panic.
func WithLatency(d time.Duration) Option {
	return func(o *options) { o.latency = d }
}

// WithoutSudo lets a key create tokens without a POST /sudo, for tests about
// something else. The API does not allow that: see [NewServer].
func WithoutSudo() Option {
	return func(o *options) { o.withoutSudo = true }
}

// WithListener serves on l, for a server at a known address, instead of on a
// loopback port of its own, which is what nil means. [Server.Close] closes it.
// Whoever can reach l can use the server, without TLS.
func WithListener(l net.Listener) Option {
	return func(o *options) { o.listener = l }
}

// newOptions panics if an option is invalid.
func newOptions(opts []Option) options {
	o := options{clock: time.Now, perHour: 1000}
	for _, opt := range opts {
		if opt == nil {
			panic("fastlytest: nil Option")
		}
		opt(&o)
	}
	switch {
	case o.clock == nil:
		panic("fastlytest: WithClock(nil)")
	case o.perHour < 0:
		panic("fastlytest: WithRateLimit below 0")
	case o.latency < 0:
		panic("fastlytest: WithLatency below 0")
	case o.lag < 0:
		panic("fastlytest: WithLag below 0")
	}
	return o
}
