// Ci-token runs one command with a Fastly API token of its own: made for it,
// limited to a scope and services, and revoked when it ends. It is for jobs
// whose steps need less than the key that the job was given.
//
//	go install ./examples/ci-token
//	FASTLY_API_TOKEN=… ci-token -service 6pQ3vWcZr1LkT8mYxN0bHd -scope purge_select -ttl 15m -- ./purge.sh
//
// The command finds the token in FASTLY_API_TOKEN, or the variable of -env. The
// parent token is in none of its variables. (Processes of the same user can
// look into each other, so that this keeps a key from leaking by accident, but
// not from a command that is out to get it.)
//
// The token is revoked however the command ends. SIGINT, SIGTERM, SIGHUP and
// SIGQUIT are handed on to the command, and the token is revoked when it has
// ended. What a terminal sends on Ctrl-C goes to the command directly, and so
// is not sent a second time; pressed again it is. Should all of that fail, even
// by SIGKILL, the token expires by itself after -ttl. If it is not certain
// whether a token was made, the one with the random name is looked for and
// revoked. A revoke that fails is said, with the token's ID and expiry.
//
// The exit code is that of the command, 128+n if it died of signal n (or
// ci-token got it before the command was started), and otherwise 125 if
// ci-token failed, 126 if the command can't be executed and 127 if there is no
// such command, in which case no token is made. A failed revoke makes 125 of a
// command's 0 only. (go run would make 1 of all that; hence the go install.)
//
// With -demo it uses an embedded API, which the command finds in FASTLY_API_URL.
// Without credentials in the environment, too, but only if there is no command:
// a job that has lost its key must not go green. The demo's own command, if none
// is given, shows whose token it has:
//
//	$ go run ./examples/ci-token -demo -service 6pQ3vWcZr1LkT8mYxN0bHd
//	Using an embedded server with made-up tokens (-demo); nothing leaves this machine.
//	ci-token: token kJS0AM8YHwA5EmYCAj1DKL made: purge_select, expires 2026-11-21T19:04:03Z
//	I am kJS0AM8YHwA5EmYCAj1DKL: purge_select on 6pQ3vWcZr1LkT8mYxN0bHd, expires in 15 minutes.
//	ci-token: token kJS0AM8YHwA5EmYCAj1DKL revoked
package main
