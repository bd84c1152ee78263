package rotate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/fastly-tokens/fastly"
)

// Rotation replaces a token with a new one of the same name (except for its marker), scopes and
// services. Client, Handover and Journal are required; every other field has a zero value that
// works. The fields must not change during a run.
type Rotation struct {
	// Client reads and revokes. Its key must be of scope global and belong to the same user as the
	// old token; it may be that of the old token, or one that follows the handover
	// ([fastly.KeyFile]).
	Client *fastly.Client
	// TokenID is the token to replace. Empty means Client's own, whose rights the destination of
	// the handover then gets: it must hold Client's key, or nothing.
	TokenID string
	// Lifetime is that of the new token. Zero means that of the old one, from its creation to its
	// expiry, to the minute, or no expiry.
	Lifetime time.Duration

	// Login returns the credentials of a create, of the same user as Client. It is called once for
	// each run that creates. Nil means that Creator creates by key, which must be confirmed by POST
	// /sudo: otherwise Run fails with fastly.ErrSudoRequired and changes nothing.
	Login func(context.Context) (Login, error)
	// Creator sends the creates; nil means Client. A client made by Client.With shares the API's
	// clock; another one counts lifetimes by this machine's until it has had a response.
	Creator *fastly.Client
	// Connect returns a client that uses a key, to check the new token and what the destination of
	// the handover holds. Its idle connections are closed at the end of the run. Nil means
	// Client.With(fastly.WithAPIKey(key)); Run then fails before a create if Client has a transport
	// of its own that authenticates.
	Connect func(key fastly.Secret) (*fastly.Client, error)

	// Handover passes the new token to its user. See [WriteFile].
	Handover Handover
	// Grace is how long the old token still works after the handover, even after a crash. Zero
	// means no grace period. The old token does not expire at its end: a run revokes it then or
	// later.
	Grace time.Duration
	// NoWait makes Run return in StateHandedOver, without an error, instead of waiting for the end
	// of the grace period. A later run revokes the old token: call Run again when Result.RevokeAt
	// has passed.
	NoWait bool

	// Patience is how long a run looks, in all, for what the API may show with a delay: the token
	// of a create that had no usable response, and a new token. Zero means 30 s.
	Patience time.Duration

	// Journal records the progress, and prevents two runs at the same time. See [FileJournal].
	Journal Journal
	// Logger logs each step at info level, without secrets. Nil logs nothing.
	Logger *slog.Logger
}

// Login is what a create authenticates with.
type Login struct {
	Username string
	Password fastly.Secret
	// OTP returns the current one-time password, and is called for each attempt; nil sends none.
	OTP func(context.Context) (fastly.Secret, error)
}

// Format implements [fmt.Formatter]: the user name alone, for every verb.
func (l Login) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "rotate.Login{Username:%q Password:%v}", l.Username, l.Password)
}

// Run performs one rotation, or finishes the one that the journal holds: call Run with the same
// fields again until the state is StateDone or StateUnchanged. To finish a rotation, TokenID may
// name the old token or the new one: the new one if the old one is gone and Run can't tell whether
// the new one is in use. It is an error if the journal holds a rotation of another token.
//
// The Result is complete even if there is an error, which is an [*Error] with the same Result.
// Result.State says what was achieved and what is left to do.
//
// When ctx ends, Run stops creating and handing over, and does not revoke the old token. It still
// writes the journal, and spends at most one minute on revoking a new token that nobody holds.
//
// Run is safe for concurrent use; of runs with the same journal all but one fail with [ErrLocked].
func (r *Rotation) Run(ctx context.Context) (result Result, err error) {
	x := &run{r: r}
	defer func() {
		for _, client := range x.connected {
			client.CloseIdleConnections()
		}
		result = x.result()
		if err != nil {
			err = &Error{Result: result, Err: err}
		}
	}()
	if err := r.check(ctx); err != nil {
		return result, err
	}
	text, err := r.Journal.Lock(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = also(err, r.Journal.Unlock()) }()
	if err := x.load(text); err != nil {
		return result, err
	}
	err = x.start(ctx)
	if unclear, ok := errors.AsType[unclearError](err); ok { // the work is done
		err = x.errGone(ctx, err, unclear)
	}
	return result, also(err, x.report)
}

func (r *Rotation) check(ctx context.Context) error {
	for _, needed := range []struct {
		what  string
		given bool
	}{
		{"a context", ctx != nil},
		{"a Client", r.Client != nil},
		{"a Handover", r.Handover.Put != nil},
		{"a Journal", r.Journal != nil},
		{"a Lifetime, a Grace and a Patience that are not negative", min(r.Lifetime, r.Grace, r.Patience) >= 0},
	} {
		if !needed.given {
			return fmt.Errorf("a rotation needs %s: %w", needed.what, fastly.ErrInvalidArgument)
		}
	}
	if r.Connect == nil { // fail now rather than with a token in hand
		if _, err := r.Client.With(fastly.WithAPIKey("made-up")); err != nil {
			return fmt.Errorf("a client like this one needs Connect: %w", err)
		}
	}
	return nil
}
