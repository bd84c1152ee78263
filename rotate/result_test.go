package rotate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/rotate"
)

func TestErrorSaysWhatIsSoAndWhatToDo(t *testing.T) {
	t.Parallel()
	old, fresh := fastly.TokenResponse{ID: "OLD"}, fastly.TokenResponse{ID: "NEW"}
	for want, result := range map[string]rotate.Result{
		"rotate: bad luck; this run did nothing": {},
		"rotate: bad luck; nothing has changed":  {State: rotate.StateUnchanged, Old: old},
		`rotate: bad luck; no new token is in use; tokens named "n [r-K3QZ7MPX2A]" may exist and must be revoked; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal`: {
			State: rotate.StateCreating, Old: old, Name: "n [r-K3QZ7MPX2A]",
		},
		`rotate: bad luck; no new token is in use; tokens named "n" may exist and must be revoked, such as A, B; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal`: {
			State: rotate.StateCreating, Old: old, Name: "n", Left: []string{"A", "B"},
		},
		`rotate: bad luck; token NEW may be in use, or an earlier one named "n"; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal`: {
			State: rotate.StateCreating, Old: old, New: fresh, Name: "n",
		},
		`rotate: bad luck; token NEW is handed over; token OLD is revoked; a token named "n" may exist that nobody holds; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal`: {
			State: rotate.StateHandedOver, Old: old, New: fresh, Name: "n", Unknown: true,
		},
		"rotate: bad luck; token NEW may have been handed over, or another one named \"n\": revoke neither these nor token OLD before you know which one is in use; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal": {
			State: rotate.StateHanding, Name: "n", Old: old, New: fresh, Left: []string{"OLD"},
		},
		"rotate: bad luck; token NEW is handed over; still to be revoked: A, OLD; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal": {
			State: rotate.StateHandedOver, Old: old, New: fresh, Left: []string{"A", "OLD"},
		},
		`rotate: bad luck; token NEW is handed over; still to be revoked: OLD; a token named "n" may exist that nobody holds; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal`: {
			State: rotate.StateHandedOver, Old: old, New: fresh, Name: "n", Left: []string{"OLD"}, Unknown: true,
		},
		"rotate: bad luck; token NEW is handed over; still to be revoked, after 2222-01-02T03:04:05Z: OLD; run again to finish; if that keeps failing, revoke by hand what is not in use, and remove the journal": {
			State: rotate.StateHandedOver, Old: old, New: fresh, Left: []string{"OLD"},
			RevokeAt: time.Date(2222, 1, 2, 3, 4, 5, 0, time.UTC),
		},
		"rotate: bad luck; the rotation is finished nevertheless: token NEW is in use, token OLD is revoked; running again is safe": {
			State: rotate.StateDone, Old: old, New: fresh,
		},
	} {
		cause := errors.New("bad luck")
		err := &rotate.Error{Result: result, Err: cause}
		assert.EqualError(t, err, want)
		assert.ErrorIs(t, err, cause)
	}
}

func TestErrorsEscapeWhatATerminalMightInterpret(t *testing.T) {
	t.Parallel()
	const id = "A\x1b[2J\nB"
	for _, err := range []error{
		&rotate.Error{Result: rotate.Result{State: rotate.StateHandedOver, Left: []string{id}}, Err: errors.New("token " + id)},
		&rotate.CreateError{Left: []string{id}, Err: errors.New("token " + id)},
	} {
		assert.Equal(t, 2, strings.Count(err.Error(), `A\x1b[2J\nB`), err)
	}
}

func TestStateIsTextInJSON(t *testing.T) {
	t.Parallel()
	for s := rotate.StateUnknown; s <= rotate.StateDone; s++ {
		text, err := json.Marshal(s)
		require.NoError(t, err)
		assert.Equal(t, `"`+s.String()+`"`, string(text))
		var read rotate.State
		require.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, s, read)
	}
	assert.Equal(t, "State(9)", rotate.State(9).String())
	assert.Error(t, new(rotate.State).UnmarshalText([]byte("State(9)")))
}
