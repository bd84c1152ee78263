package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fastly-tokens/fastly"
)

// Journal keeps the state of one rotation between runs, and lets one run at a
// time have it. [FileJournal] and [MemoryJournal] are the usual ones; another
// may keep it in a database. The record holds no secret.
//
// A run calls Lock, then Save any number of times, then Unlock.
type Journal interface {
	// Lock locks the journal and returns its record, empty if there is none. If
	// another run has it, the error matches ErrLocked. Lock does not wait for
	// the other run. The lock ends when its process ends.
	Lock(ctx context.Context) (record []byte, err error)
	// Save replaces the record: when it returns nil, the new record survives a
	// crash. An empty record removes it. After an error either record may be
	// there, but whole.
	Save(ctx context.Context, record []byte) error
	// Unlock unlocks the journal.
	Unlock() error
}

// ErrLocked is matched by the error of a run while another one has the journal.
var ErrLocked = errors.New("rotate: another run has the journal")

// recordVersion changes when older programs can't read the record.
const recordVersion = 1

// record is what the journal holds of a rotation. Each state is written before
// the step that follows it. Without a rotation there is no record.
type record struct {
	Version int                  `json:"version"`
	State   State                `json:"state"`
	Old     fastly.TokenResponse `json:"old"`
	// Own says that Old is the key of the Client that the rotation began with.
	Own  bool                 `json:"own,omitempty"`
	Name string               `json:"name"`
	New  fastly.TokenResponse `json:"new,omitzero"`
	// Kept are IDs of new tokens that may have been handed over. They are
	// revoked once another one is.
	Kept     []string  `json:"kept,omitempty"`
	RevokeAt time.Time `json:"revoke_at,omitzero"`
}

func (x *run) load(text []byte) error {
	if len(text) == 0 {
		x.State = StateUnchanged
		return nil
	}
	var r record
	unfinished := []State{StateCreating, StateHanding, StateHandedOver}
	if err := json.Unmarshal(text, &r); err != nil || r.Version != recordVersion || r.Old.ID == "" || !marker.MatchString(r.Name) ||
		!slices.Contains(unfinished, r.State) || r.State != StateCreating && r.New.ID == "" {
		return errors.New("the journal holds something else than a rotation that this version understands")
	}
	x.record = r
	return nil
}

// save writes the state to the journal, even if ctx has ended.
func (x *run) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	var text []byte
	if x.State != StateUnchanged && x.State != StateDone {
		x.Version = recordVersion
		var err error
		if text, err = json.Marshal(x.record); err != nil {
			return err
		}
	}
	if err := x.Journal.Save(ctx, text); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	return nil
}

// MemoryJournal returns a journal that lives as long as the process: for
// rotations that a crash may leave unfinished.
func MemoryJournal() Journal { return &memoryJournal{} }

type memoryJournal struct {
	mu     sync.Mutex
	locked bool
	record []byte
}

// Lock implements [Journal].
func (j *memoryJournal) Lock(context.Context) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.locked {
		return nil, ErrLocked
	}
	j.locked = true
	return slices.Clone(j.record), nil
}

// Save implements [Journal].
func (j *memoryJournal) Save(_ context.Context, record []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.record = slices.Clone(record)
	return nil
}

// Unlock implements [Journal].
func (j *memoryJournal) Unlock() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.locked = false
	return nil
}
