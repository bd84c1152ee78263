// Package rotate replaces Fastly API tokens without losing one: it creates a token with a known
// outcome ([Create]), and replaces a token with a new one that has the same rights ([Rotation]).
//
//	const path = "/etc/purger/fastly-token" // holds the access token to replace
//	purger, err := client.With(fastly.WithAPIKeyFunc(fastly.KeyFile(path)))
//	if err != nil {
//		return err
//	}
//	old, err := purger.Tokens.GetTokenCurrent(ctx)
//	if err != nil {
//		return err // the file is missing, or its token has expired: create another one
//	}
//	r := rotate.Rotation{
//		Client:   client, // reads and revokes: a key of scope global, of the same user
//		TokenID:  old.ID, // if empty, client's own token is replaced, and the file gets its rights
//		Login:    login,  // a function: user name, password and one-time password
//		Handover: rotate.WriteFile(path),
//		Journal:  rotate.FileJournal("/var/lib/purger/rotation"),
//		Grace:    10 * time.Minute, // both tokens work, for requests in flight
//	}
//	result, err := r.Run(ctx)
//
// A service that reads its key with [fastly.KeyFile] from the file that [WriteFile] replaces uses
// the new token without a restart.
//
// # Steps of a rotation
//
// The journal records each state before the step that follows it, so a run after a crash continues
// where the last one stopped:
//
//	StateUnchanged   read the old token
//	StateCreating    create the new one; check that it works, and that its
//	                 rights are those of the old one
//	StateHanding     hand it over
//	StateHandedOver  wait until the grace period ends, then revoke the old one
//	StateDone
//
// A failure before the handover is undone: the new token is revoked, and the old one stays in use.
// Whatever stops a run, the destination of the handover holds a token that works, or the old token
// still works.
//
// What the journal says is compared with the API, and the destination is looked at before each
// revoke. A response that is not the API's says nothing about a token; nor does absence from an
// incomplete list. What remains unknown is an error or Result.Unknown.
//
// # Markers
//
// So that a token whose create was lost can be found by its name, each token that this package
// creates has a random marker at the end of it, such as "deploy [r-K3QZ7MPX2A]". A token with the
// marker of a finished rotation that was not handed over belongs to nobody. [BaseName] removes it.
//
// Access tokens are passed to Handover.Put, Rotation.Connect and the API, and to nothing else: no
// journal, error or log line holds one.
package rotate
