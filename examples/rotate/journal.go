package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/fastly-tokens/fastly"
)

// phase is how far a rotation has come. Each is written down before what it
// stands for is done.
type phase string

const (
	phaseIdle     phase = "idle"        // between two tries: nothing is under way
	phaseCreating phase = "creating"    // there may be a token that is not known
	phaseCreated  phase = "created"     // New exists; it is not handed over
	phaseHanding  phase = "handing"     // New may have been handed over
	phaseHanded   phase = "handed over" // New is the one in use; the rest is to be revoked
)

// record is what is written down of a rotation. It holds no secret.
type record struct {
	Phase   phase                `json:"phase"`
	Started time.Time            `json:"started"`
	Old     fastly.TokenResponse `json:"old"`
	// Out is the file that gets the token; empty: a command does.
	Out string `json:"out,omitempty"`
	// Marker is random. It names the temporary file and salts KeyProof.
	Marker string `json:"marker"`
	// KeyProof is a digest of the key that the rotation began with if that is
	// the old token itself: once the old token is revoked, the API can't say
	// any more whose key it was.
	KeyProof string `json:"key_proof,omitempty"`
	// Known are the tokens of the same name that were there before.
	Known []string `json:"known,omitempty"`
	// Asked are the expiries of creates that had no answer, zero for never.
	Asked []time.Time `json:"asked,omitempty"`
	New   string      `json:"new,omitempty"`
	// Stale are new tokens that a command may have taken before it was cut
	// off. They are revoked once another one is handed over.
	Stale []string `json:"stale,omitempty"`
}

// journal keeps the record in a file: one line of JSON for each change, each on
// the disk before anything else is done. It is locked while it is open.
type journal struct {
	record
	path string
	file *os.File
	size int64
}

// errLocked means that another process is at work on the same rotation.
var errLocked = errors.New("another rotate is at work on this")

const maxJournal = 1 << 20

func openJournal(path string) (*journal, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) // #nosec G304 -- the user says where
		if err != nil {
			return nil, err
		}
		j, err := readJournal(path, f)
		if err == nil && j != nil {
			return j, nil
		}
		if err = errors.Join(err, unlock(f), f.Close()); err != nil {
			return nil, fmt.Errorf("the state file %s: %w", path, err)
		}
	}
}

// readJournal returns nil if the file was removed by the one who held the lock
// before.
func readJournal(path string, f *os.File) (*journal, error) {
	if err := lock(f); err != nil {
		return nil, err
	}
	mine, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if there, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(mine, there) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, file: f}
	// A last line without an end was being written at a crash, and what it
	// announces was not begun.
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	j.size = int64(len(whole))
	if len(whole) == 0 {
		return j, j.cut()
	}
	lines := bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &j.record); err != nil || j.Old.ID == "" {
		return nil, errors.New("it is not one of this program")
	}
	return j, j.cut()
}

// cut takes away what follows the last whole line.
func (j *journal) cut() error { return j.file.Truncate(j.size) }

// save writes the record down. When it returns nil the record is on the disk.
func (j *journal) save() error {
	line, err := json.Marshal(j.record)
	if err == nil {
		line = append(line, '\n')
		_, err = j.file.Write(line)
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil && j.size == 0 {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the state file %s: %w", j.path, err), j.cut())
	}
	j.size += int64(len(line))
	return nil
}

// remove ends the rotation: nothing is left to be done.
func (j *journal) remove() error {
	if err := os.Remove(j.path); err != nil {
		return err
	}
	j.record, j.size = record{}, 0
	return syncDir(filepath.Dir(j.path))
}

// close lets go of the file. One that nothing was written to goes away.
func (j *journal) close() error {
	var err error
	if j.size == 0 {
		if err = os.Remove(j.path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	return errors.Join(err, unlock(j.file), j.file.Close())
}

// syncDir makes sure that a new name, or the lack of an old one, outlives a
// crash of the machine.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // which can't, and need not
		return nil
	}
	d, err := os.Open(dir) // #nosec G304 -- the user says where
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
