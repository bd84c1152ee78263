package rotate

import (
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
	// StateUnknown is the state when the journal could not be locked or read. The run did nothing.
	StateUnknown State = iota
	// StateUnchanged means that the old token is in use, unless the error says that it is gone, and
	// no other token was left behind. There is nothing to finish.
	StateUnchanged
	// StateCreating means that no new token is in use, except perhaps Result.New or an earlier one.
	// Other tokens named Result.Name may exist, and must be revoked.
	StateCreating
	// StateHanding means that the new token, or an earlier one with the name Result.Name, may have
	// been handed over. It and the old token must not be revoked by hand.
	StateHanding
	// StateHandedOver means that the new token is in use. The old one must be revoked, at
	// Result.RevokeAt or later, unless only Result.Unknown is left to look for.
	StateHandedOver
	// StateDone means that the new token is in use, and all others are revoked, as far as is known.
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
	// State is how far the rotation has come. Nothing is left to do in StateUnchanged and
	// StateDone.
	State State
	// Old is the token to replace. Its ID is empty if it was not read.
	Old fastly.TokenResponse
	// New is the token that was, or may have been, handed over. Its ID is empty before that.
	New fastly.TokenResponse
	// Name is the name of all tokens that this rotation creates, with a marker of its own.
	Name string
	// RevokeAt is the end of the grace period. It is zero before the handover.
	RevokeAt time.Time
	// Revoked holds the IDs of the tokens that this run revoked, or found revoked, in order.
	Revoked []string
	// Left holds the IDs of the known tokens that a later run must revoke, unless the error says that
	// you must: the old one after the handover, and new ones. None is in use by way of the handover.
	Left []string
	// Unknown reports whether a token with the name Name may exist that nobody holds: a create had
	// no usable response, and its token was not found. A later run looks once more. One that has
	// looked for the token of an earlier run without success says so here, and starts over.
	Unknown bool
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

const howToEnd = "run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal"

// sentence describes the state, and says what to do.
func (r *Result) sentence() string {
	state, left := r.State, strings.Join(r.Left, ", ")
	switch {
	case state == StateUnchanged && r.Unknown:
		return fmt.Sprintf("nothing has changed, but a token named %q may exist that nobody holds: look for it in a list", r.Name)
	case state == StateUnchanged:
		return "nothing has changed"
	case state == StateCreating && r.New.ID != "":
		return fmt.Sprintf("token %s may be in use, or an earlier one named %q; %s", r.New.ID, r.Name, howToEnd)
	case state == StateCreating:
		if left != "" {
			left = ", such as " + left
		}
		return fmt.Sprintf("no new token is in use; tokens named %q may exist and must be revoked%s; %s", r.Name, left, howToEnd)
	case state == StateHanding:
		return fmt.Sprintf("token %s may have been handed over, or another one named %q: revoke neither these nor token %s before you know which one is in use; %s", r.New.ID, r.Name, r.Old.ID, howToEnd)
	case state == StateHandedOver:
		text := fmt.Sprintf("token %s is handed over; ", r.New.ID)
		switch {
		case left == "":
			text += fmt.Sprintf("token %s is revoked; ", r.Old.ID)
		case r.RevokeAt.After(time.Now()):
			text += fmt.Sprintf("still to be revoked, after %s: %s; ", r.RevokeAt.Format(time.RFC3339), left)
		default:
			text += fmt.Sprintf("still to be revoked: %s; ", left)
		}
		if r.Unknown {
			text += fmt.Sprintf("a token named %q may exist that nobody holds; ", r.Name)
		}
		return text + howToEnd
	case state == StateDone:
		return fmt.Sprintf("the rotation is finished nevertheless: token %s is in use, token %s is revoked; running again is safe", r.New.ID, r.Old.ID)
	}
	return "this run did nothing"
}

// result returns the current state.
func (x *run) result() Result {
	rec := &x.record
	r := Result{
		State: rec.State, Old: rec.Old, New: rec.New, Name: rec.Name,
		RevokeAt: rec.RevokeAt, Revoked: slices.Clone(x.clean.revoked), Unknown: x.unknown || x.clean.lost > 0,
	}
	if rec.State != StateDone {
		r.Left = x.clean.ids()
	}
	if n := len(rec.Kept); rec.State == StateCreating && n > 0 {
		r.New = fastly.TokenResponse{ID: rec.Kept[n-1], Name: rec.Name}
	}
	for _, id := range rec.Kept {
		if rec.State == StateHandedOver && !slices.Contains(r.Left, id) && !slices.Contains(r.Revoked, id) {
			r.Left = append(r.Left, id)
		}
	}
	if (rec.State == StateHanding || rec.State == StateHandedOver) && !rec.OldRevoked && x.gone == nil {
		r.Left = append(r.Left, rec.Old.ID)
	}
	return r
}
