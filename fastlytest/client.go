package fastlytest

import "github.com/fastly-tokens/fastly"

// Client returns a client of the server that uses [Server.Key]. To create
// tokens it takes a login in the request, or [WithoutSudo]. The options come on
// top: they may say otherwise, another base URL or another way of
// authentication included. Client panics if one is bad.
func (s *Server) Client(opts ...fastly.Option) *fastly.Client {
	own := fastly.WithBaseURL(s.URL)
	key := fastly.WithAPIKey(s.key.Reveal())
	c, err := fastly.NewClient(append([]fastly.Option{own, key}, opts...)...)
	if err == nil {
		return c
	}
	// A client has one way of authentication: opts may have brought theirs.
	if c, err := fastly.NewClient(append([]fastly.Option{own}, opts...)...); err == nil {
		return c
	}
	panic("fastlytest: Client: " + err.Error())
}
