package rotate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/atomicfile"
	"github.com/fastly-tokens/fastly/internal/clock"
	"github.com/fastly-tokens/fastly/internal/plain"
)

// Handover passes a new token to its user.
type Handover struct {
	// Put stores the access token at its destination, durably when it returns nil. An error means
	// that it was not stored and never will be, unless the error matches [ErrMaybeHandedOver]. Put
	// may be called again with a token that Get returned. Required.
	Put func(context.Context, *fastly.TokenCreatedResponse) error
	// Get returns what the destination of the handover holds, "" if nothing. What Put has stored
	// must be visible to it immediately. With Get, the old token is revoked only if the new one is at
	// the destination, and an unusable destination is detected before a token is created. Without
	// it, a run after a crash in Put hands over another new token, and keeps the first one until then.
	Get func(context.Context) (fastly.Secret, error)

	// check finds out whether Put can work. The note says what will change with it, apart from the
	// token.
	check func() (note string, err error)
}

// ErrMaybeHandedOver is matched by an error of Handover.Put if the token may have been stored. Both
// tokens then stay valid until a later run.
var ErrMaybeHandedOver = errors.New("rotate: the new token may have been handed over")

// maxKey bounds what is read of a file: a longer one holds no access token.
const maxKey = 4 << 10

// WriteFile returns a handover that replaces the file at path with one that holds the access token,
// without a line break. Readers see either the old file or the new one, whole, even after a crash
// of the machine. A first file has mode 0600. A later one keeps owner, group and mode (on Linux
// also the access control list), except that other users lose access, which is logged to
// Rotation.Logger. On Windows and Plan 9 it has the rights that its directory gives.
//
// What can't be replaced this way is an error before a token is created: anything other than a
// regular file (a symbolic link, a device), a mount point, a directory that can't be written to, an
// owner that the process can't give to a file.
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

// checkDestination finds an unusable destination before a token is created.
func (x *run) checkDestination(ctx context.Context) error {
	there, err := x.look(ctx, false)
	if err != nil && !isKnown(err) {
		return err
	}
	t, old := there.token, x.record.Old.ID
	isAnother := t == nil && plain.HasWord(there.key.Reveal(), plain.AccessTokenLength)
	switch {
	case t != nil && t.ID != old && t.Name != x.record.Name: // perhaps its only copy
		return fmt.Errorf("the destination of the handover holds token %s, which works and which another run may have put there in place of token %s: rotate that one, or remove it from there", t.ID, old)
	case isAnother && x.r.TokenID == "" && x.record.State == StateUnchanged: // its token may be meant
		return fmt.Errorf("the destination of the handover holds an access token other than that of token %s, the client's own: say which token to rotate, or remove it from there", old)
	}
	x.record.Before = fingerprint(there.key)
	if x.r.Handover.check == nil {
		return nil
	}
	note, err := x.r.Handover.check()
	if err != nil {
		return fmt.Errorf("the destination of the handover: %w", err)
	}
	if note != "" {
		x.log.InfoContext(ctx, "the new file will differ from the old one", "note", note)
	}
	return nil
}

// held is what the destination of the handover holds.
type held struct {
	key   fastly.Secret
	token *fastly.TokenResponse // nil if the key does not work
}

// get returns the key at the destination of the handover, "" without a Get.
func (x *run) get(ctx context.Context) (fastly.Secret, error) {
	if x.r.Handover.Get == nil {
		return "", nil
	}
	key, err := x.r.Handover.Get(ctx)
	if err != nil {
		err = fmt.Errorf("the destination of the handover: %w", err)
	}
	return fastly.Secret(bytes.TrimSpace([]byte(key.Reveal()))), err // a command may have added a line break
}

// look looks at the destination of the handover. If wait is set, it waits for a key that may be
// new. The error of a key that works and may not read itself matches isKnown, unless it is New's.
func (x *run) look(ctx context.Context, wait bool) (there held, err error) {
	if there.key, err = x.get(ctx); err != nil || there.key == "" {
		return there, err
	}
	client, err := x.connect(there.key)
	if errors.Is(err, fastly.ErrInvalidArgument) {
		return there, nil // it is not a key
	}
	if err != nil {
		return there, fmt.Errorf("a client for the key at the destination of the handover: %w", err)
	}
	there.token, err = clock.Repeat(ctx, &x.clean.patience, func() (*fastly.TokenResponse, bool, error) {
		t, err := client.Tokens.GetTokenCurrent(ctx)
		return t, !wait || !isDead(err), err
	})
	isNew := x.record.New.ID != "" && fingerprint(there.key) == x.record.Fingerprint
	switch {
	case isDead(err) && isNew && x.keyErr == nil:
		// The one in use is not replaced because of a 401 alone.
		t, readErr := x.read(ctx, x.record.New.ID)
		if isGone(readErr) || readErr == nil && t.Expired(time.Now()) {
			return there, nil
		}
		return there, also(err, readErr)
	case isDead(err):
		return there, nil
	case isKnown(err) && isNew:
		there.token = &x.record.New
	case err != nil:
		return there, fmt.Errorf("the token at the destination of the handover: %w", err)
	}
	if x.isNew(there) || x.isAnother(there) {
		x.use(client)
	}
	return there, nil
}

// inPlace says what look has found.
func (x *run) inPlace(there held, err error) string {
	switch {
	case x.r.Handover.Get == nil:
		return "which token is in use is not known"
	case isKnown(err):
		return "the destination of the handover holds a token that works, but may not read itself"
	case err != nil:
		return "which token is in use is not known: " + err.Error()
	case there.key == "":
		return "the destination of the handover holds no token"
	case there.token == nil:
		return "the destination of the handover holds a token that does not work"
	}
	return fmt.Sprintf("the destination of the handover holds token %s, which works", there.token.ID)
}

// isNew reports whether New is at the destination and works.
func (x *run) isNew(there held) bool {
	return there.token != nil && there.token.ID == x.record.New.ID
}

// isAnother reports whether another rotation may have put a token at the destination.
func (x *run) isAnother(there held) bool {
	return there.token != nil && there.token.ID != x.record.Old.ID && x.isLikeOld(there.token)
}

// isLikeOld reports whether another rotation may have made a token of the old one.
func (x *run) isLikeOld(t *fastly.TokenResponse) bool {
	return t.ID != x.record.New.ID && t.Name != x.record.Name &&
		BaseName(t.Name) == BaseName(x.record.Name) && difference(t, &x.record.Old, 0) == ""
}

// adopt makes the token at the destination, which another run has put there, the new one.
func (x *run) adopt(ctx context.Context, there held) error {
	r := &x.record
	x.warn(ctx, fmt.Errorf("another run may have rotated token %s: the destination of the handover holds token %s, which this one did not create", r.Old.ID, there.token.ID))
	r.keepNew()
	r.New, r.Fingerprint = *there.token, fingerprint(there.key)
	if r.State != StateHandedOver {
		r.handedOver(x.r.Grace)
	}
	return x.save(ctx)
}

// hasExpired compares the time since the handover with t's lifetime, as neither clock need be right.
func (x *run) hasExpired(t *fastly.TokenResponse) bool {
	handedOver := x.record.RevokeAt.Add(-x.record.Grace)
	return !t.ExpiresAt.IsZero() && time.Since(handedOver) >= t.ExpiresAt.Sub(cmp.Or(t.CreatedAt, handedOver))
}

// inUse reports whether New is in use, as far as that can be seen, and works.
func (x *run) inUse(ctx context.Context) (bool, error) {
	if x.record.OldRevoked {
		return true, nil // what became of New after that does not matter here
	}
	if x.r.Handover.Get == nil {
		t, err := x.readNew(ctx, x.record.New.ID)
		if isGone(err) {
			return false, nil
		}
		return err == nil && !x.hasExpired(t), err
	}
	there, err := x.look(ctx, true)
	switch {
	case isKnown(err):
		return false, fmt.Errorf("the destination of the handover holds a token other than %s, which works but may not read itself: remove it from there", x.record.New.ID)
	case err != nil:
		return false, err
	case x.isAnother(there):
		return true, x.adopt(ctx, there)
	case there.token != nil && !x.isNew(there) && there.token.ID != x.record.Old.ID && there.token.Name != x.record.Name:
		return false, fmt.Errorf("the destination of the handover holds token %s instead of token %s: remove it from there", there.token.ID, x.record.New.ID)
	}
	return x.isNew(there), nil
}
