package rotate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// State is how far a rotation has come.
type State int

const (
	// StateUnknown is the state when the journal could not be locked or read.
	// The run did nothing.
	StateUnknown State = iota
	// StateUnchanged means that the old token is in use, and no other token was
	// left behind. There is nothing to finish.
	StateUnchanged
	// StateCreating means that the old token works as before. Tokens with the
	// name Result.Name may exist, and must be revoked.
	StateCreating
	// StateHanding means that the new token may have been handed over. Both
	// tokens work.
	StateHanding
	// StateHandedOver means that the new token is in use. The old one must be
	// revoked, at Result.RevokeAt or later.
	StateHandedOver
	// StateDone means that the new token is in use, and all others are revoked.
	StateDone
)

var stateNames = [...]string{"unknown", "unchanged", "creating", "handing over", "handed over", "done"}

// String returns the state in words, such as "handed over".
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText returns; anything else is an error.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("rotate: no such state: %q", text)
	}
	*s = State(i)
	return nil
}

// Result is the outcome of a [Rotation.Run].
type Result struct {
	// State is how far the rotation has come. Nothing is left to do in
	// StateUnchanged and StateDone.
	State State
	// Old is the token to replace. Its ID is empty if it was not read.
	Old fastly.TokenResponse
	// New is the token that was, or may have been, handed over. Its ID is empty
	// in the states before that.
	New fastly.TokenResponse
	// Name is the name of all tokens that this rotation creates, with a marker of
	// its own.
	Name string
	// RevokeAt is the end of the grace period. It is zero before the handover.
	RevokeAt time.Time
	// Revoked holds the IDs of the tokens that this run revoked, or found
	// revoked, in order.
	Revoked []string
	// Left holds the IDs of the tokens that a later run must revoke: the old one
	// after the handover, and new ones that could not be revoked, as far as is
	// known.
	Left []string
}

// Error is the error of a [Rotation.Run].
type Error struct {
	// Result is the one that Run returned.
	Result Result
	// Err is the reason.
	Err error
}

// Error returns the reason and the state, in one line, and what to do next.
func (e *Error) Error() string {
	return terminal.Escape("rotate: " + strings.TrimPrefix(e.Err.Error(), "rotate: ") + "; " + e.Result.sentence())
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// sentence describes the state, and says what to do.
func (r *Result) sentence() string {
	left := strings.Join(r.Left, ", ")
	switch r.State {
	case StateUnchanged:
		return "nothing has changed"
	case StateCreating:
		if left != "" {
			left = ", such as " + left
		}
		return fmt.Sprintf("token %s works as before; tokens named %q may exist and must be revoked%s; run again to finish", r.Old.ID, r.Name, left)
	case StateHanding:
		return fmt.Sprintf("token %s may have been handed over; it and token %s both work; run again to finish", r.New.ID, r.Old.ID)
	case StateHandedOver:
		when := ""
		if r.RevokeAt.After(time.Now()) {
			when = ", after " + r.RevokeAt.Format(time.RFC3339)
		}
		return fmt.Sprintf("token %s is handed over; still to be revoked%s: %s; run again to finish", r.New.ID, when, left)
	case StateDone:
		return fmt.Sprintf("the rotation is finished nevertheless: token %s is in use, token %s is revoked; running again is safe", r.New.ID, r.Old.ID)
	default:
		return "this run did nothing"
	}
}

// result returns the current state.
func (x *run) result() Result {
	r := Result{
		State: x.State, Old: x.Old, New: x.New, Name: x.Name,
		RevokeAt: x.RevokeAt, Revoked: slices.Clone(x.revoked),
	}
	if x.State != StateDone {
		r.Left = slices.Clone(x.left)
		for _, id := range x.Kept {
			if !slices.Contains(r.Left, id) && !slices.Contains(r.Revoked, id) {
				r.Left = append(r.Left, id)
			}
		}
	}
	if x.State == StateHanding || x.State == StateHandedOver {
		r.Left = append(r.Left, x.Old.ID)
	}
	return r
}

func (x *run) log(ctx context.Context, message string, args ...any) {
	if x.Logger != nil {
		x.Logger.InfoContext(ctx, message, args...)
	}
}
