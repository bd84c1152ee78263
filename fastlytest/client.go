package fastlytest

import "github.com/fastly-tokens/fastly"

// Client returns a client of the server that uses [Server.Key]. To create tokens,
// the request needs a Username and a Password, or the server [WithoutSudo]. The
// options take precedence, also over the base URL and the authentication. Client
// panics if one is invalid.
func (s *Server) Client(opts ...fastly.Option) *fastly.Client {
	own := fastly.WithBaseURL(s.URL)
	key := fastly.WithAPIKey(s.key.Reveal())
	c, err := fastly.NewClient(append([]fastly.Option{own, key}, opts...)...)
	if err == nil {
		return c
	}
	// A client has one way of authentication, which opts may have set.
	if c, err := fastly.NewClient(append([]fastly.Option{own}, opts...)...); err == nil {
		return c
	}
	panic("fastlytest: Client: " + err.Error())
}
