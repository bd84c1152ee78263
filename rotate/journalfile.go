package rotate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fastly-tokens/fastly/internal/atomicfile"
)

// maxRecord bounds what is read of a journal: a longer one holds no record.
const maxRecord = 1 << 20

// FileJournal returns a journal in the file at path, which exists only while a rotation is
// unfinished, so it must not be the one of [WriteFile]. Its directory must exist. The file is
// replaced atomically and has mode 0600. A second file, path with ".lock" appended, is its lock,
// and is not removed.
//
// It is an error if the file is a symbolic link, if it belongs to neither this user nor root, or if
// its group or others can write to it. Windows and Plan 9 have no such owners and modes, and none
// of this is checked there: use a directory that nobody else can write to.
//
// On Linux, macOS and the BSDs the lock is flock(2). It ends with the process and those that it has
// started: after a crash, the next run can't begin while a command of the handover may still store
// the token. On Windows it is exclusive access, which ends with the process. On other systems it is
// the existence of the lock file: remove it by hand after a crash.
func FileJournal(path string) Journal { return &fileJournal{path: path} }

type fileJournal struct {
	disk   atomicfile.Disk
	path   string
	unlock atomic.Pointer[func() error]
}

// Lock implements [Journal].
func (j *fileJournal) Lock(context.Context) ([]byte, error) {
	unlock, err := atomicfile.Lock(j.path + ".lock")
	if errors.Is(err, atomicfile.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return nil, err
	}
	record, err := j.disk.ReadTrusted(j.path, maxRecord)
	if err != nil {
		return nil, also(fmt.Errorf("the journal: %w", err), unlock())
	}
	j.unlock.Store(&unlock)
	return record, nil
}

// Save implements [Journal].
func (j *fileJournal) Save(_ context.Context, record []byte) error {
	if len(record) == 0 {
		return j.disk.Remove(j.path)
	}
	_, err := j.disk.Replace(j.path, record)
	return err
}

// Unlock implements [Journal].
func (j *fileJournal) Unlock() error { return (*j.unlock.Load())() }
