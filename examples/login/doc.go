// Login creates an API token from a user name and a password: the first token of
// an account, or one for a machine.
//
//	go install ./examples/login
//	login -out token.txt
//	login -username ada@example.com -scope purge_all -service 6pQ3vWcZr1LkT8mYxN0bHd -ttl 30d -out token.txt
//	login -print | tr -d '\n' | secret-store put fastly
//
// It asks for the password without showing it, and for a one-time code only if
// the account has two-factor authentication, three times at most. If its input
// is no terminal it reads the answers from there, one line each: the user name
// unless -username has it, the password, and the code if one is needed.
//
// The API shows the access token once, so it has to be said before where it is
// to go: to a new file (-out), which nobody else can read and which appears
// whole or not at all, or to standard output (-print), which then has nothing
// else. It is never printed unasked. The file holds the 32 characters only, for
// WithAPIKey as they are; what is printed is a line.
//
// Credentials are asked for, and so it is never without them: the embedded
// server is used with -demo only.
//
// Flags:
//
//	-out FILE       write the access token to this file
//	-force          replace the file if it exists
//	-print          print the access token to standard output
//	-username NAME  default: ask
//	-name NAME      name of the token; default: one with the time in it
//	-scope SCOPES   between commas or spaces: global, purge_select, purge_all,
//	                global:read; default global:read
//	-service ID     limit it to the service; can be repeated; default: no limit
//	-ttl TIME       how long the token works, such as 12h or 90d; 0d: forever;
//	                default 90d
//	-demo           use an embedded server with a made-up user
//
// FASTLY_API_URL, if set, is the base URL of the API.
//
// Exit codes: 0 the token was created and kept; 1 it was not created; 2 wrong
// flags, or a file that can't be written; 3 a token was or may have been created,
// and needs looking into: what to do is printed; 130 after Ctrl-C. Under go run
// each of them but 0 becomes 1, which is why login is installed first.
//
// A run in the embedded server, where nobody types:
//
//	$ go run ./examples/login -demo -out token.txt </dev/null
//	Using an embedded server; nothing leaves this machine. Its user is made up, and no secret:
//	  user name  ada@example.com
//	  password   made-up-password
//	  code       314159
//	There is no terminal to type that at, so it is used as it is.
//	Created token efp9gicUI1vaWl9ZidUT6c: "login 2026-11-21T18:58:19Z", global:read, every service, expires in 90 days
//	Its access token is in "token.txt", which only you can read.
package main
