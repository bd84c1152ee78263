// Package fastly is a client for the Fastly Tokens API: it creates, reads, lists and revokes the
// API tokens of a Fastly account.
//
//	client, err := fastly.NewClientFromEnv() // FASTLY_API_TOKEN
//	created, err := client.Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{
//		Name: "deploy", Scopes: fastly.Scopes{fastly.ScopePurgeAll},
//		Username: "ops@example.com", Password: password, OTP: code,
//	})
//	tokens, err := client.Tokens.ListTokensUser(ctx) // complete: lists have no pages (documented)
//	err = client.Tokens.RevokeToken(ctx, created.ID)
//
// A [Client] is safe for concurrent use. The context bounds the whole call, including retries and
// the waits between them. By default, an attempt ends after 60 s of silence ([WithHTTPClient]). For
// tests, package [github.com/fastly-tokens/fastly/fastlytest] is the API in memory.
//
// # Authentication
//
// An API token has an ID, scopes and an expiry; its secret text is its access token. An API key is
// an access token that a client sends; a key of scope global is that of a token with this scope.
// [WithAPIKey] sends one key, [WithAPIKeyFunc] one that may change.
// A create with a Username and a Password authenticates itself: [WithoutAuthentication] is enough
// for it. Credentials go to the host of the base URL only, over TLS unless that host is loopback or
// [WithInsecurePlainHTTP] is given; no redirect is followed. Use [WithHTTPClient] for a proxy or TLS
// settings, [WithMiddleware] for tracing, [WithTransport] to authenticate in another way. Every key,
// password, one-time password and access token is a [Secret], which prints, logs and marshals as
// [REDACTED]; [Secret.Reveal] is the way to read one.
//
// # Errors
//
//	errors.Is(err, fastly.ErrInvalidArgument) // an argument or option; nothing was sent with it
//	errors.Is(err, fastly.ErrUnauthorized)    // 401: key missing, wrong, expired or revoked
//	errors.Is(err, fastly.ErrForbidden)       // 403: scope or user not allowed, or ErrSudoRequired
//	errors.Is(err, fastly.ErrNotFound)        // 404: no such token, or revoked already
//	errors.Is(err, fastly.ErrRateLimited)     // 429, after retries within the policy
//	errors.Is(err, fastly.ErrOTPRequired)     // one-time password missing or wrong
//	errors.Is(err, fastly.ErrInvalidResponse) // not the API's: a proxy's page, or a broken 2xx
//	errors.Is(err, fastly.ErrOutcomeUnknown)  // the request may have been processed
//	errors.Is(err, context.DeadlineExceeded)  // the deadline passed
//	errors.As(err, &response)                 // *fastly.GenericTokenError: any response but a 2xx
//
// [TokensService.CreateToken] can return a response and an error: the API shows an access token
// once, so whatever can be read of a broken response is returned. So can the lists.
//
// # Retries
//
// A call makes up to four attempts. Before a retry it waits as long as the API asks, or else with
// exponential backoff and full jitter ([RetryPolicy]). Reads and revokes are idempotent, and
// retried; a create is not, and is retried only if it was certainly not processed:
//
//	           not sent, 429   no response, 408 500 502 503 504   response truncated
//	get, list  retry           retry                              retry
//	revoke     retry           retry                              success
//	create     retry           never: ErrOutcomeUnknown           never: ErrOutcomeUnknown
package fastly
