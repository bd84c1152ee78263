// Package fastlytest runs an in-memory Fastly Tokens API on a loopback port,
// for the tests of programs that create, read, list and revoke Fastly API
// tokens.
//
//	func TestRotate(t *testing.T) {
//		srv := fastlytest.NewServer()
//		defer srv.Close()
//
//		err := rotate(t.Context(), srv.Client(), srv.User().Login, srv.User().Password)
//		// then look at srv.Tokens() and srv.Requests()
//	}
//
// The server starts with one user, [Server.User], a superuser whose token of
// global scope is [Server.Key]; [Server.AddUser] and [Server.AddToken] add
// others. It authenticates, checks scopes and ownership, expires tokens, limits
// rates and refuses what the API refuses, with the API's messages and headers.
// It serves any client, in any language: point one at [Server].URL and give it
// the key.
//
//	POST   /tokens                  create, by login or by a confirmed key
//	GET    /tokens                  the tokens of the key's user
//	DELETE /tokens                  revoke in bulk, all or none
//	GET    /tokens/self             the key itself
//	DELETE /tokens/self
//	GET    /tokens/{id}
//	DELETE /tokens/{id}
//	GET    /customer/{id}/tokens    all tokens of a customer, for its superusers
//	POST   /sudo                    confirm the key by password, for five minutes
//
// Lists come in no promised order, and never in that of creation; [Server.Tokens]
// keeps that one.
//
// # Creating tokens
//
// As at the API a key alone creates no token. A create takes one of
//
//   - username and password in the form, and no Fastly-Key, Authorization or
//     Cookie header: [fastly.CreateTokenRequest] with Username and Password;
//   - user name and password by HTTP Basic, and no Fastly-Key header;
//   - the key of a token of global scope that POST /sudo has confirmed.
//
// Without that it is a 403 ([fastly.ErrSudoRequired]). [WithoutSudo] lets keys
// create tokens, for tests about something else. Revokes never need POST /sudo.
//
// Where it is not known what the API makes of a request, the server refuses it
// rather than make a wider token than was asked for: fields in the query, fields
// that are not known, and an empty scope are each a 400.
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
// processed, stalls, cuts bodies short, responds with errors, garbage and
// redirects:
//
//	// The token is created, and the client never hears of it.
//	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
//
// They mean the same over HTTP/1 and over unencrypted HTTP/2
// ([net/http.Protocols.SetUnencryptedHTTP2]), which the server speaks on the
// same port.
//
// # Secrets
//
// [Server.Requests] keeps keys and passwords as they came, readable. Use the
// server with made-up credentials only.
package fastlytest
