// Package fastlytest runs an in-memory Fastly Tokens API on a loopback port,
// for the tests of programs that create, read, list and revoke Fastly API
// tokens.
//
//	func TestRotate(t *testing.T) {
//		srv := fastlytest.NewServer()
//		defer srv.Close()
//
//		err := rotate(t.Context(), srv.Client())
//		// then look at srv.Tokens() and srv.Requests()
//	}
//
// The server starts with one user, [Server.User], a superuser whose token of
// global scope is [Server.Key]; [Server.AddUser] and [Server.AddToken] add
// others. It authenticates, checks scopes and ownership, expires tokens, limits
// rates and refuses what the API refuses, with the API's messages. It answers
// any client: point one at [Server].URL and give it the key.
//
//	POST   /tokens                  create, by key, HTTP Basic or form password
//	GET    /tokens                  the tokens of the key's user
//	DELETE /tokens                  revoke in bulk, all or none
//	GET    /tokens/self             the key itself
//	DELETE /tokens/self
//	GET    /tokens/{id}
//	DELETE /tokens/{id}
//	GET    /customer/{id}/tokens    all tokens of a customer, for its superusers
//	POST   /sudo                    confirm the password, for five minutes
//
// # Time
//
// Everything dated goes by the server's clock: [WithClock] sets it and
// [Server.Advance] moves it, so that a test sees a token expire or a rate limit
// window end without waiting. Pauses ([WithLatency], [Fault].Delay) are real
// time.
//
// # Faults
//
// What goes wrong between a client and the API is what a client's tests are
// for. [Server.Inject] breaks connections before and after the request is
// carried out, stalls, cuts bodies short, answers errors, garbage and
// redirects:
//
//	// The token is created, and the client never hears of it.
//	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
//
// # Secrets
//
// [Server.Requests] keeps keys and passwords as they came, readable. Use the
// server with made-up credentials only.
package fastlytest
