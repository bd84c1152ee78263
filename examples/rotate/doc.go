// Rotate replaces an API token by a new one with the same name, scopes, services
// and lifetime: it makes the new one, checks that it works, hands it over, and
// only then revokes the old one.
//
//	go install ./examples/rotate
//	FASTLY_API_TOKEN=… rotate -out /etc/deploy/fastly-token
//	FASTLY_API_TOKEN=… rotate -id 5sNpEx2UkYf9WdTa6mJv4G -ttl 90d -- vault kv put secret/fastly token=-
//
// The token that is rotated is that of the environment, or the one of -id, which
// has to be of the same user. The new one goes to a file, which is replaced as a
// whole and has mode 0600, or to a command on its standard input; no line break
// follows it. It is in no argument and no variable; nor are FASTLY_API_TOKEN and
// FASTLY_API_KEY in those of the command. A command that exits with 0 has to
// have taken the token, and with another code must not have. One that was killed
// may have: its token stays alive until a later run has handed over another.
//
// If a step fails, what was done before is undone. However the program ended, in
// a crash, too, it can be run again, in the same way, and brings the rotation to
// its end: one working token handed over, the old one and all others revoked. A
// state file (beside the file of -out, in the user's cache directory, or where
// -state says) tells it how far it had come; it holds no secret, and is locked
// against a second run at the same time (where the system has flock).
//
// When the answer to the create is lost, there may be a token that nobody holds.
// It is found by its name, rights and exact expiry among those that were not
// there before, and revoked. One that never expires, or whatever else might be
// somebody else's, is not: the program says which it may be, and is told by
// -leftover what to do; when nothing is left over, -leftover is refused.
//
// Exit codes: 0 done, 1 failed and nothing has changed, 2 wrong usage, 3
// unfinished, to be run again. (go run would make 1 of all but 0; hence the go
// install.)
//
// With -demo it uses an embedded API. Without credentials in the environment,
// too, but only if neither -out nor a command is given: a job that has lost its
// key must not hand over a made-up token.
//
//	$ go run ./examples/rotate -demo -id 5sNpEx2UkYf9WdTa6mJv4G -- wc -c
//	Using an embedded server with made-up tokens (-demo); nothing leaves this machine.
//	Created token FkZh84GlnBWxvwvi1rnhkD "www-purge": purge_select, expires 2027-05-20T18:55:12Z.
//	Token FkZh84GlnBWxvwvi1rnhkD works.
//	32
//	Token FkZh84GlnBWxvwvi1rnhkD is handed over.
//	Revoked token 5sNpEx2UkYf9WdTa6mJv4G.
package main
