package rotate

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/atomicfile"
)

// Handover passes a new token to its user.
type Handover struct {
	// Put stores the token at its destination, durably when it returns nil. An
	// error means that the token was not stored and never will be, unless it
	// matches [ErrMaybeHandedOver]. Put may be called again with a token that Get
	// returned. Required.
	Put func(context.Context, *fastly.TokenCreatedResponse) error
	// Get returns what the destination of the handover holds, "" if nothing. What
	// Put has stored must be visible to it immediately. With Get, a run after a
	// crash in Put knows whether the new token was stored, the old token is
	// revoked only if the new one is at the destination, and an unusable
	// destination is detected before a token is created. If Get is nil, a run
	// after a crash in Put hands over another new token, and keeps the first one
	// working until then.
	Get func(context.Context) (fastly.Secret, error)

	// check finds out whether Put can work. The note says what will change with
	// it, apart from the token.
	check func() (note string, err error)
}

// ErrMaybeHandedOver is matched by an error of Handover.Put if the token may
// have been stored. Both tokens then stay valid until a later run.
var ErrMaybeHandedOver = errors.New("rotate: the new token may have been handed over")

// maxKey bounds what is read of a token's file: a longer one holds no token.
const maxKey = 4 << 10

// WriteFile returns a handover that replaces the file at path with one that holds
// the access token, without a line break. Readers see either the old file or the
// new one, whole, even after a crash of the machine. A first file has mode 0600.
// A later one keeps owner, group and mode (on Linux also the access control
// list), except that other users lose their access, which Rotation.Logger gets to
// know. On Windows and Plan 9 it has the rights that its directory gives.
//
// What can't be replaced so is an error before a token is created: anything other
// than a regular file (a symbolic link, a device), a mount point, a directory that
// can't be written to, an owner that the process can't give to a file.
//
// [fastly.KeyFile] reads such a file.
func WriteFile(path string) Handover { return writeFile(atomicfile.Disk{}, path) }

func writeFile(disk atomicfile.Disk, path string) Handover {
	return Handover{
		Put: func(_ context.Context, token *fastly.TokenCreatedResponse) error {
			replaced, err := disk.Replace(path, []byte(token.AccessToken.Reveal()))
			if err != nil && replaced {
				return fmt.Errorf("%w: %w", ErrMaybeHandedOver, err)
			}
			return err
		},
		Get: func(context.Context) (fastly.Secret, error) {
			text, err := disk.Read(path, maxKey)
			return fastly.Secret(bytes.TrimSpace(text)), err
		},
		check: func() (note string, err error) { return disk.Check(path) },
	}
}
