package rotate

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/fastly-tokens/fastly"
)

// Handover gives a new token to whoever uses it.
type Handover struct {
	// Put stores the token where its user takes it from; durably, when it
	// returns nil. An error means that the token was not taken and never will
	// be, unless it matches [ErrMaybeHandedOver]. Put may be called again with
	// a token that Get returned. Required.
	Put func(context.Context, *fastly.TokenCreatedResponse) error
	// Get returns what the place of the handover holds now, "" if nothing. It
	// returns what Put stored at once. With it, a run after a crash in Put
	// knows whether the new token was taken, the old token is revoked only if
	// the new one is in its place, and an unusable place is found before a
	// token is created. Without it (nil), a run after a crash in Put hands over
	// another new token, and keeps the first one working until then.
	Get func(context.Context) (fastly.Secret, error)
}

// ErrMaybeHandedOver is matched by an error of Handover.Put if the token may
// have been taken. Both tokens then stay valid until a later run.
var ErrMaybeHandedOver = errors.New("rotate: the new token may have been handed over")

// maxKey bounds what is read of a token's file: more is no token.
const maxKey = 4 << 10

// WriteFile returns a handover that replaces a file by one that holds the access
// token, without a line break. Readers see the old file or the new one, whole,
// even after a crash of the machine. The new file has mode 0600 and belongs to
// the user of the process, whatever the one before had. Whatever else is there
// (a symbolic link, a directory, a device) is not replaced: an error says so
// before a token is created.
//
// The other side is [fastly.KeyFile].
func WriteFile(path string) Handover { return writeFile(disk{}, path) }

func writeFile(d disk, path string) Handover {
	return Handover{
		Put: func(_ context.Context, token *fastly.TokenCreatedResponse) error {
			replaced, err := d.replace(path, []byte(token.AccessToken.Reveal()))
			if err != nil && replaced {
				return fmt.Errorf("%w: %w", ErrMaybeHandedOver, err)
			}
			return err
		},
		Get: func(context.Context) (fastly.Secret, error) {
			text, err := d.read(path, maxKey)
			return fastly.Secret(bytes.TrimSpace(text)), err
		},
	}
}
