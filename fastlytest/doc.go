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
// The server starts with one user, [Server.User], a superuser with a token of
// scope global, whose key is [Server.Key]; [Server.AddUser] and [Server.AddToken] add
// others. It authenticates, checks scopes and ownership, expires tokens and limits
// rates, with the API's messages and headers. It is as strict as we know the API to
// be, from its documentation, recorded traffic and clients in the field; it has never
// been compared with a live account: docs/api.md says how each fact is known.
// It serves any client, in any language: point one at [Server].URL and give it the key.
//
//	POST   /tokens                  create, by login or by a confirmed key
//	GET    /tokens                  the tokens of the key's user
//	DELETE /tokens                  revoke in bulk, all or none
//	GET    /tokens/self             the key's own token
//	DELETE /tokens/self             revoke it
//	GET    /tokens/{id}             one token
//	DELETE /tokens/{id}             revoke it
//	GET    /customer/{id}/tokens    all tokens of a customer, for its superusers
//	POST   /sudo                    confirm the key by password, for five minutes
//	GET    /current_user            the key's user
//
// Lists are in no particular order, and never in order of creation; those of
// [Server.Tokens] are. As with the API, a few IDs have 21 letters and digits
// instead of 22.
//
// # Creating tokens
//
// A create is a form, or JSON with the same fields, in which scope can be an array
// named scopes, and services is an array. As with the API, a key alone can't create
// a token. A create needs one of
//
//   - username and password among the fields, and no Fastly-Key, Authorization or
//     Cookie header: [fastly.CreateTokenRequest] with Username and Password;
//   - user name and password by HTTP Basic, and no Fastly-Key header;
//   - a key of scope global that POST /sudo has confirmed.
//
// Otherwise the response is a 403 ([fastly.ErrSudoRequired]). With [WithoutSudo]
// a key can create tokens, for tests about something else. Revokes never need
// POST /sudo.
//
// Where it is unknown how the API handles a request, the server rejects it rather
// than create a token with more rights than requested: fields in the query,
// unknown fields and an empty scope are each a 400. So are other spellings of
// services[], such as services, services[0] and service_id. The API seems to ignore
// them, and makes a token for all services.
//
// # Time
//
// All dates come from the server's clock: [WithClock] sets it and
// [Server.Advance] moves it, so that a test sees a token expire or a rate limit
// window end without waiting, and with [WithLag] a new token show up. Pauses ([WithLatency], [Fault].Delay) take real
// time.
//
// # Faults
//
// [Server.Inject] makes things go wrong: it closes connections before or after
// the request is processed, stalls, truncates bodies, and responds with errors,
// garbage, redirects or the pages of proxies and firewalls:
//
//	// The token is created, but the client gets no response.
//	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
//
// Faults work the same over HTTP/1 and over unencrypted HTTP/2
// ([net/http.Protocols.SetUnencryptedHTTP2]), which the server speaks on the
// same port.
//
// # Secrets
//
// [Server.Requests] keeps keys and passwords in readable form. Use the server
// with made-up credentials only.
package fastlytest
