// Quickstart shows every operation of the Fastly Tokens API, one after the other:
// what it is called, the request it makes, and what came back.
//
// Without credentials in the environment it starts an embedded server with
// made-up tokens, so that it runs on a fresh clone, with no account:
//
//	go run ./examples/quickstart
//
// With FASTLY_API_TOKEN (or FASTLY_API_KEY) set, it uses the real API, and only
// reads. With -write it also creates four tokens that expire after ten minutes and
// can only purge, and revokes them again, however it ends, Ctrl-C included. It
// never revokes a token that it did not create, and never prints an access token.
//
// The API creates tokens by user name and password, so -write asks for them, and
// for a one-time password if the account has two-factor authentication. Without
// a terminal it reads a line for each. FASTLY_USERNAME, FASTLY_PASSWORD_FILE and
// FASTLY_OTP_FILE, if set, are used instead.
//
// Flags:
//
//	-demo   use the embedded server even if the environment has credentials
//	-write  with a real API: log in, create tokens, and revoke them
//
// It exits with 0, with 1 if an operation failed, with 2 if its flags are wrong
// or there is no login, and with 130 after Ctrl-C. An operation that the token's
// scope or user does not allow is reported, but is not a failure. (go run exits
// with 1 for every code except 0.)
//
// A run with the embedded server:
//
//	Fastly Tokens API: the eight operations
//
//	This is an embedded server in this process, http://127.0.0.1:35081, with made-up tokens.
//	Nothing leaves this machine. Set FASTLY_API_TOKEN to use the real API.
//
//	1  GetTokenCurrent     GET    /tokens/self
//	   Which token is this client using? Any token may ask.
//	   → "default": global, every service, never expires
//
//	2  ListTokensUser      GET    /tokens
//	   The active tokens of the client's user, in one response.
//	   → 5 tokens
//
//	3  ListTokensCustomer  GET    /customer/VhglL6QwsFtGCZNDuaSfjI/tokens
//	   Those of everyone in the account; the user must be a superuser.
//	   → 13 tokens of 4 users
//
//	4  GetToken            GET    /tokens/7rLoKw3CzVd6HxJf8iSp5E
//	   One token by its ID; here the one that has been around longest.
//	   → "old-jenkins": global, every service, never expires, never used
//
//	5  CreateToken         POST   /tokens
//	   Four tokens for 10 minutes, by user name and password: a key alone can't.
//	   → "quickstart 1" to "quickstart 4"; an access token prints as [REDACTED]
//
//	6  RevokeTokenCurrent  DELETE /tokens/self
//	   A second client, which uses the first of these tokens, revokes its own.
//	   → "quickstart 1" is revoked; its client no longer works
//
//	7  RevokeToken         DELETE /tokens/CBiBFZ5PSyRYnDlLaO5XGd
//	   One token by its ID.
//	   → "quickstart 2" is revoked
//
//	8  BulkRevokeTokens    DELETE /tokens
//	   Any number of tokens in one request.
//	   → "quickstart 3" and "quickstart 4" are revoked
//
//	The tokens, as ListTokensCustomer returned them (* this client's own)
//
//	  ID                      NAME             SCOPE            SERVICES  EXPIRES       LAST USED
//	* LVZ0pJy7PnUcKTtuDp9fTa  default          global           every     never         now
//	  3tGqLw8ZnRb5XcVh1jKy7D  terraform-prod   global           every     in 8 days     2 hours ago
//	  5sNpEx2UkYf9WdTa6mJv4G  www-purge        purge_select     1         in 5 months   4 minutes ago
//	  8bCzMi6QoHr3VgLs0xFu1P  metrics-export   global:read      every     never         3 minutes ago
//	  0wKdJy4AtSn7ReXp9qGh2Z  laptop of Olga   global           every     never         14 months ago
//	  2hXaQs9FgPj4TnUy7bMe0V  ada's shell      global:read      3         in 26 days    22 hours ago
//	  7rLoKw3CzVd6HxJf8iSp5E  old-jenkins      global           every     never         never
//	  1mYtGb5RqNu0WkAe4vZh9J  image-purge      purge_all        1         in 2 days     9 minutes ago
//	  4pSiDf8XoLc2TyMr6wUj7K  dashboards       global:read      every     in 11 months  30 seconds ago
//	  0jWmUp7KfXi4CbLo8qVg6T  purge from chat  purge_select     1         never         13 months ago
//	  5uZrNy2SdHe9AtFw1cJk3M  deploy           purge_select +1  4         in 80 days    5 minutes ago
//	  8gPxVo6TiBn0MqRl4hEy7S  nightly-backup   global:read      every     never         13 hours ago
//	  3fKcJs9YwZu1DvGa5eQb2X  Müllers Skript   global           1         in 29 days    3 months ago
//
//	Summary
//
//	   operations    8 of 8, in 11ms
//	   tokens seen   13: 6 never expire, 4 expire within 30 days, 5 have the scope global
//	   tokens made   4, 4 revoked
//	   rate limit    993 changes left, until 22:00 UTC
//	   next          go run ./cmd/fastly-token --help
package main
