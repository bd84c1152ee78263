package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
)

// run is one run of a Rotation.
type run struct {
	*Rotation
	record
	cleaner
	// me is the token of Client. It is nil if the API rejected the key, with
	// keyErr.
	me        *fastly.TokenResponse
	keyErr    error
	connected []*fastly.Client // with keys of new tokens
	renewed   bool             // this run has created New
	confirmed bool             // the destination of the handover holds New, and New works
}

// start reads the old token, or continues where an earlier run stopped.
func (x *run) start(ctx context.Context) error {
	me, err := x.Client.Tokens.GetTokenCurrent(ctx)
	switch {
	case err == nil:
		x.me = me
	case x.State != StateUnchanged && rejected(err):
		// An earlier run may have revoked the key, if it is the old token.
		x.keyErr = err
	default:
		return err
	}
	x.use(nil)
	if x.State == StateUnchanged {
		return x.begin(ctx)
	}
	return x.resume(ctx)
}

// begin starts a rotation, with an empty journal.
func (x *run) begin(ctx context.Context) error {
	old := x.me
	if x.TokenID != "" && x.TokenID != old.ID {
		var err error
		switch old, err = x.Client.Tokens.GetToken(ctx, x.TokenID); {
		case errors.Is(err, fastly.ErrNotFound):
			return fmt.Errorf("%w; a finished rotation may have revoked it", err)
		case err != nil:
			return err
		}
	}
	x.Old = *old
	switch {
	case old.UserID != x.me.UserID:
		return fmt.Errorf("token %s belongs to another user than the key: only that user can create its replacement", old.ID)
	case len(old.Scopes) == 0:
		return fmt.Errorf("the API does not say what scopes token %s has", old.ID)
	case !mayClean(x.me.Scopes):
		return fmt.Errorf("the key has no global scope: it could not revoke token %s", old.ID)
	}
	if _, err := x.expiry(); err != nil {
		return err
	}
	if err := x.checkDestination(ctx); err != nil {
		return fmt.Errorf("the destination of the handover: %w", err)
	}
	x.record = record{Old: *old, Own: old.ID == x.me.ID, Name: mark(old.Name), State: StateUnchanged}
	x.name = x.Name
	return x.renew(ctx)
}

// checkDestination finds an unusable destination before a token is created.
func (x *run) checkDestination(ctx context.Context) error {
	if x.Handover.Get != nil {
		if _, err := x.Handover.Get(ctx); err != nil {
			return err
		}
	}
	if x.Handover.check == nil {
		return nil
	}
	note, err := x.Handover.check()
	if note != "" {
		x.log(ctx, "the new file is not as the old one", "note", note)
	}
	return err
}

// resume continues a rotation that the journal holds.
func (x *run) resume(ctx context.Context) error {
	x.name = x.Name
	if err := x.checkSame(); err != nil {
		return err
	}
	x.log(ctx, "continuing a rotation", "state", x.State, "token", x.Old.ID)
	switch x.State {
	case StateHandedOver:
		return x.finish(ctx)
	case StateCreating:
		x.lost = 1
	case StateHanding:
		if x.Handover.Get == nil {
			x.Kept = append(x.Kept, x.New.ID)
			break
		}
		key, err := x.held(ctx)
		if err != nil {
			return err
		}
		if key != "" {
			// It may not be on disk yet.
			token := &fastly.TokenCreatedResponse{TokenResponse: x.New, AccessToken: key}
			if err := x.Handover.Put(ctx, token); err != nil {
				return err
			}
			return x.handedOver(ctx)
		}
		x.left = append(x.left, x.New.ID)
	}
	if x.keyErr != nil {
		return x.keyErr
	}
	x.State, x.New, x.keep = StateCreating, fastly.TokenResponse{}, x.Kept
	if err := x.sweep(ctx, looks); err != nil {
		return err
	}
	return x.renew(ctx)
}

// checkSame returns an error if the journal is about another rotation.
func (x *run) checkSame() error {
	id := x.TokenID
	if id == "" && x.me != nil {
		id = x.me.ID
	}
	known := append([]string{x.Old.ID, x.New.ID}, x.Kept...)
	switch {
	case id == "" && x.Own: // the key is rejected, as the old token would be
	case !slices.Contains(known, id):
		return fmt.Errorf("the journal holds an unfinished rotation of token %s: finish that one first, or use another journal", x.Old.ID)
	case x.me != nil && x.me.UserID != x.Old.UserID:
		return fmt.Errorf("token %s belongs to another user than the key", x.Old.ID)
	}
	return nil
}

// renew creates a token, checks it and hands it over.
func (x *run) renew(ctx context.Context) error {
	var login Login
	if x.Login != nil {
		var err error
		if login, err = x.Login(ctx); err != nil {
			return x.giveUp(ctx, fmt.Errorf("the login: %w", err))
		}
	}
	expires, err := x.expiry()
	if err != nil {
		return x.giveUp(ctx, err)
	}
	x.State, x.New, x.RevokeAt, x.keep = StateCreating, fastly.TokenResponse{}, time.Time{}, x.Kept
	if err := x.save(ctx); err != nil {
		return x.giveUp(ctx, err)
	}
	created, err := x.create(ctx, cmp.Or(x.Creator, x.Client), &fastly.CreateTokenRequest{
		Name: x.Name, Scopes: x.Old.Scopes, Services: x.Old.Services, ExpiresAt: expires,
		Username: login.Username, Password: login.Password, OTPFunc: login.OTP,
	})
	if err != nil {
		return x.giveUp(ctx, err)
	}
	x.New = created.TokenResponse
	x.otherUser = x.New.UserID != "" && x.New.UserID != x.Old.UserID
	x.log(ctx, "created a token", "token", x.New.ID, "name", x.Name)
	if err := x.checkNew(ctx, created.AccessToken, expires); err != nil {
		return x.undo(ctx, err)
	}
	x.log(ctx, "the new token works", "token", x.New.ID)
	if err := ctx.Err(); err != nil {
		return x.undo(ctx, err)
	}
	x.State = StateHanding
	if err := x.save(ctx); err != nil {
		return x.undo(ctx, err)
	}
	switch err := x.Handover.Put(ctx, created); {
	case errors.Is(err, ErrMaybeHandedOver):
		return err
	case err != nil:
		return x.undo(ctx, fmt.Errorf("the handover: %w", err))
	}
	if x.Handover.Get != nil {
		switch key, err := x.Handover.Get(ctx); {
		case err != nil:
			return fmt.Errorf("the destination of the handover: %w", err)
		case key != created.AccessToken:
			return errors.New("the destination of the handover does not hold the token that was put there")
		}
	}
	x.renewed, x.confirmed = true, true
	return x.handedOver(ctx)
}

// undo revokes New, which nobody holds.
func (x *run) undo(ctx context.Context, cause error) error {
	x.left = append(x.left, x.New.ID)
	cause = also(cause, x.sweep(ctx, looks))
	x.New, x.confirmed, x.otherUser = fastly.TokenResponse{}, false, false
	x.use(nil)
	return x.giveUp(ctx, cause)
}

// giveUp ends a rotation before the handover, and forgets it if no token of it is
// left.
func (x *run) giveUp(ctx context.Context, cause error) error {
	if x.clean() && len(x.Kept) == 0 {
		x.State = StateUnchanged
	} else {
		x.State = StateCreating
	}
	return also(cause, x.save(ctx))
}

// handedOver records that New is in use.
func (x *run) handedOver(ctx context.Context) error {
	x.State, x.RevokeAt = StateHandedOver, time.Now().Add(x.Grace).UTC().Round(0)
	x.log(ctx, "handed over the new token", "token", x.New.ID)
	if err := x.save(ctx); err != nil {
		return err
	}
	return x.finish(ctx)
}

// finish revokes the tokens that New replaces, after the grace period.
func (x *run) finish(ctx context.Context) error {
	for wait := time.Until(x.RevokeAt); wait > 0; wait = time.Until(x.RevokeAt) {
		if x.NoWait {
			return nil
		}
		x.confirmed = false
		x.log(ctx, "waiting for the end of the grace period", "until", x.RevokeAt)
		if err := clock.Sleep(ctx, wait); err != nil {
			return err
		}
	}
	if !x.confirmed {
		inUse, err := x.confirm(ctx)
		if err != nil {
			return err
		}
		if !inUse {
			if x.keyErr != nil || x.renewed {
				return also(fmt.Errorf("token %s is no longer at the destination of the handover, or does not work", x.New.ID), x.keyErr)
			}
			x.log(ctx, "the new token is no longer in use: replacing it", "token", x.New.ID)
			x.Kept = append(x.Kept, x.New.ID)
			return x.renew(ctx)
		}
	}
	// The old token last: it may be the key that revokes the others.
	x.keep = []string{x.New.ID}
	if err := x.sweep(ctx, looks); err != nil {
		return err
	}
	if err := repeat(ctx, looks, func() (bool, error) {
		err := x.revoke(ctx, x.Old.ID)
		return err != nil, err
	}); err != nil {
		return err
	}
	x.log(ctx, "revoked the old token", "token", x.Old.ID)
	x.State = StateDone
	return x.save(ctx)
}
