// Package fastly is a client for the Fastly Tokens API: it creates, reads, lists
// and revokes the API tokens of a Fastly account.
//
//	client, err := fastly.NewClientFromEnv() // FASTLY_API_TOKEN
//	// ...
//	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
//		Name:      "deploy",
//		Scopes:    fastly.Scopes{fastly.ScopePurgeAll},
//		ExpiresAt: time.Now().Add(24 * time.Hour),
//	})
//	// ...
//	tokens, err := client.Tokens.ListTokensUser(ctx) // all of them, no pages
//	err = client.Tokens.RevokeToken(ctx, created.ID)
//
// A [Client] serves any number of goroutines. The context of a call bounds all of
// it, retries and the waits between them included.
//
// # Authentication
//
// [WithAPIKey] sends an API token, and [WithAPIKeyFunc] one that may change while
// the program runs. [WithBasicAuth] sends a user name and password, which the API
// takes for creates alone. Each can be laid over an HTTP client of yours, with its
// proxy, TLS settings or tracing, by [WithHTTPClient]. They send credentials to the
// host of the base URL only, and over TLS unless that is loopback
// ([WithInsecurePlainHTTP] allows other hosts).
//
// [WithTransport] leaves all this to a transport of yours. No redirect is followed.
//
// # Errors
//
//	errors.Is(err, fastly.ErrInvalidArgument) // an argument or option; nothing was sent
//	errors.Is(err, fastly.ErrUnauthorized)    // 401: key missing, wrong, expired or revoked
//	errors.Is(err, fastly.ErrForbidden)       // 403: scope or user may not; perhaps ErrSudoRequired
//	errors.Is(err, fastly.ErrNotFound)        // 404: no such token, or revoked already
//	errors.Is(err, fastly.ErrRateLimited)     // 429, after waiting as long as the policy allows
//	errors.Is(err, fastly.ErrOTPRequired)     // send the one-time password as well
//	errors.Is(err, fastly.ErrOutcomeUnknown)  // a create: the token may exist; list to see
//	errors.Is(err, context.DeadlineExceeded)  // time was up
//
//	var answer *fastly.GenericTokenError      // any answer but a 2xx
//	errors.As(err, &answer)                   // StatusCode, Msg, Detail, RetryAfter ...
//
// [TokensService.CreateToken] can return a response and an error: the API shows an
// access token once, so what could be read of a broken answer is returned with it.
//
// # Sending again
//
// Up to four attempts, with a random, growing wait or the one the API asks for
// ([RetryPolicy]); what is sent again depends on what could come of it:
//
//	           not sent, 429   no answer, 500 502 503 504   answer cut off
//	get, list  again           again                        again
//	revoke     again           again                        done
//	create     again           never: ErrOutcomeUnknown     never: ErrOutcomeUnknown
//
// If a revoke is sent again and its token is not found, the attempt before did it:
// that is success, or in bulk, where it may be any of the tokens, ErrOutcomeUnknown.
//
// # Secrets
//
// Keys, passwords and access tokens are kept as [Secret], which prints, logs and
// marshals as [REDACTED]. [Secret.Reveal] is the one way to the value.
//
// # Testing
//
// Package [github.com/fastly-tokens/fastly/fastlytest] is the API in memory, and
// breaks the connection where you want to see what your program does:
//
//	srv := fastlytest.NewServer()
//	defer srv.Close()
//	srv.Inject(fastlytest.Fault{Kind: fastlytest.CutAfter, Method: "POST"})
//	err := yourProgram(srv.Client())
package fastly
