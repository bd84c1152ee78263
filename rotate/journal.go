package rotate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fastly-tokens/fastly"
)

// Journal keeps the state of one rotation between runs, for one run at a time. [FileJournal] and
// [MemoryJournal] are the usual ones; another could use a database. The record holds no secret.
//
// Two machines that rotate the same token must share a journal: runs with journals of their own may
// each create a token. A run reports that when it sees it.
type Journal interface {
	// Lock begins a run: it returns the record, empty if there is none. If another run has the lock,
	// Lock does not wait, and its error matches ErrLocked. The lock should end with the process, or
	// with the commands that it has started.
	Lock(ctx context.Context) (record []byte, err error)
	// Save replaces the record: when it returns nil, the new record survives a crash. An empty
	// record removes the old one. After an error, the journal holds either record, whole.
	Save(ctx context.Context, record []byte) error
	// Unlock unlocks the journal.
	Unlock() error
}

// ErrLocked is matched by the error of a run if another run has the journal.
var ErrLocked = errors.New("rotate: another run has the journal")

// recordVersion changes when older programs can't read the record.
const recordVersion = 1

// record is what the journal holds of a rotation. Each state is written before the step that
// follows it. There is no record if no rotation is unfinished.
type record struct {
	Version     int                  `json:"version"`
	State       State                `json:"state"`
	Old         fastly.TokenResponse `json:"old"`
	Own         bool                 `json:"own,omitempty"` // Client's key was Old's when the rotation began
	Name        string               `json:"name"`
	New         fastly.TokenResponse `json:"new,omitzero"`
	Before      string               `json:"before,omitempty"`      // fingerprint of what New replaces
	Fingerprint string               `json:"fingerprint,omitempty"` // of New's access token
	// Kept are IDs of new tokens that may have been handed over. They are revoked after another one
	// was handed over.
	Kept       []string      `json:"kept,omitempty"`
	Lost       int           `json:"lost,omitempty"` // how many more tokens with the name may exist
	RevokeAt   time.Time     `json:"revoke_at,omitzero"`
	Grace      time.Duration `json:"grace,omitempty"` // from the handover to RevokeAt
	OldRevoked bool          `json:"old_revoked,omitempty"`
}

// handedOver says that New is in use from now on.
func (r *record) handedOver(grace time.Duration) {
	r.State, r.Grace, r.RevokeAt = StateHandedOver, grace, time.Now().Add(grace).UTC().Round(0)
}

// keepNew keeps New, if this rotation made it, until another one is handed over.
func (r *record) keepNew() {
	if r.New.ID != "" && r.New.Name == r.Name {
		r.Kept = append(r.Kept, r.New.ID)
	}
	r.New, r.Fingerprint = fastly.TokenResponse{}, ""
}

// fingerprint returns half of a hash of an access token: enough to recognise it.
func fingerprint(key fastly.Secret) string {
	sum := sha256.Sum256([]byte(key.Reveal()))
	return hex.EncodeToString(sum[:sha256.Size/2])
}

func (x *run) load(text []byte) error {
	if len(text) == 0 {
		x.record.State = StateUnchanged
		return nil
	}
	var r record
	unfinished := []State{StateCreating, StateHanding, StateHandedOver}
	if err := json.Unmarshal(text, &r); err != nil || r.Version != recordVersion || r.Old.ID == "" || !marker.MatchString(r.Name) ||
		!slices.Contains(unfinished, r.State) || (r.State == StateCreating) != (r.New.ID == "") || r.New.ID == r.Old.ID ||
		r.Lost < 0 || r.OldRevoked && r.State != StateHandedOver ||
		slices.ContainsFunc(r.Kept, func(id string) bool { return id == r.Old.ID || id == r.New.ID }) {
		return errors.New("the journal holds something other than a rotation that this version understands: run the version that wrote it, or, once no token that it names is left to revoke, remove it")
	}
	if grace := max(r.Grace, x.r.Grace); r.State == StateHandedOver && time.Until(r.RevokeAt) > grace {
		r.handedOver(grace) // the clock was ahead at the handover
	}
	x.record = r
	x.clean.name, x.clean.owner, x.clean.lost = r.Name, r.Old, r.Lost
	return nil
}

// save writes the state to the journal, even if ctx has ended.
func (x *run) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	var text []byte
	if x.record.State != StateUnchanged && x.record.State != StateDone {
		x.record.Version, x.record.Lost = recordVersion, x.clean.lost+len(x.clean.left)
		var err error
		if text, err = json.Marshal(x.record); err != nil {
			return err
		}
	}
	if err := x.r.Journal.Save(ctx, text); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	return nil
}

// MemoryJournal returns a journal in memory, which a crash loses: use it only if a rotation may be
// left unfinished.
func MemoryJournal() Journal { return &memoryJournal{} }

type memoryJournal struct {
	locked sync.Mutex
	record []byte
}

// Lock implements [Journal].
func (j *memoryJournal) Lock(context.Context) ([]byte, error) {
	if !j.locked.TryLock() {
		return nil, ErrLocked
	}
	return slices.Clone(j.record), nil
}

// Save implements [Journal].
func (j *memoryJournal) Save(_ context.Context, record []byte) error {
	j.record = slices.Clone(record)
	return nil
}

// Unlock implements [Journal].
func (j *memoryJournal) Unlock() error {
	j.locked.Unlock()
	return nil
}
