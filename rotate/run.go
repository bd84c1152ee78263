package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
)

// run is one run of a Rotation.
type run struct {
	r      *Rotation
	record record
	clean  cleaner
	log    *slog.Logger

	me        *fastly.TokenResponse // Client's; nil if the API rejected the key
	keyErr    error                 // the error for it
	connected []*fastly.Client      // of Connect, with keys of new tokens
	gone      error                 // the API's, that the old token does not exist
	named     bool                  // the caller names a new token, as the old one is gone
	newSeen   bool                  // the API has shown New to Client
	renewed   bool                  // this run has handed over New
	unknown   bool                  // a token of an earlier run may exist: see Result.Unknown
	report    error                 // what the caller has to know although the run succeeds
}

// start reads the old token, or continues where an earlier run stopped.
func (x *run) start(ctx context.Context) error {
	x.clean.patience = cmp.Or(x.r.Patience, clock.Lag)
	x.log = cmp.Or(x.r.Logger, slog.New(slog.DiscardHandler))
	me, err := x.r.Client.Tokens.GetTokenCurrent(ctx)
	err = note(err)
	if err != nil && (x.record.State == StateUnchanged || !isDead(err)) {
		return err
	}
	x.me, x.keyErr = me, err // an earlier run may have revoked the key, if it is the old token's
	x.use(nil)
	if x.record.State == StateUnchanged {
		return x.begin(ctx)
	}
	return x.resume(ctx)
}

// begin starts a rotation, with an empty journal.
func (x *run) begin(ctx context.Context) error {
	old := x.me
	if x.r.TokenID != "" && x.r.TokenID != old.ID {
		var err error
		if old, err = x.r.Client.Tokens.GetToken(ctx, x.r.TokenID); err != nil {
			return note(err)
		}
	}
	x.record = record{Old: *old, Own: old.ID == x.me.ID, Name: mark(old.Name), State: StateUnchanged}
	x.clean.name, x.clean.owner = x.record.Name, *old
	return x.renew(ctx)
}

// checkOld returns the lifetime of what is to replace the old token, or an error if a rotation
// could not be finished.
func (x *run) checkOld() (time.Duration, error) {
	old := &x.record.Old
	switch {
	case old.UserID == "":
		return 0, fmt.Errorf("token %s belongs to no user, so it is an automation token: its replacement would be a token of a user", old.ID)
	case old.UserID != x.me.UserID:
		return 0, fmt.Errorf("token %s belongs to another user than the key: only that user can create its replacement", old.ID)
	case len(old.Scopes) == 0:
		return 0, fmt.Errorf("the API does not say what scopes token %s has", old.ID)
	case old.LimitServices && len(old.Services) == 0:
		return 0, fmt.Errorf("token %s is limited to no service: its replacement would be for all of them", old.ID)
	case !mayClean(x.me.Scopes):
		return 0, fmt.Errorf("the key is not of scope global: it could not revoke token %s", old.ID)
	}
	return x.lifetime()
}

// resume continues a rotation that the journal holds.
func (x *run) resume(ctx context.Context) error {
	x.log.InfoContext(ctx, "continuing a rotation", "state", x.record.State, "token", x.record.Old.ID)
	there, err := x.look(ctx, x.record.State != StateCreating)
	if err != nil && (!isKnown(err) || x.record.State != StateHandedOver && fingerprint(there.key) != x.record.Before) {
		return also(x.keyErr, err)
	}
	if err := x.checkRecord(ctx, there); err != nil {
		return err
	}
	switch {
	case x.isAnother(there) && !x.record.OldRevoked:
		if err := x.adopt(ctx, there); err != nil {
			return err
		}
		return x.finish(ctx)
	case x.record.State == StateHandedOver:
		return x.finish(ctx)
	case x.record.State == StateHanding && x.isNew(there):
		// It may not be on disk yet.
		token := &fastly.TokenCreatedResponse{TokenResponse: x.record.New, AccessToken: there.key}
		if err := x.r.Handover.Put(ctx, token); err != nil {
			return err
		}
		return x.handedOver(ctx)
	}
	if there.token != nil && there.token.Name == x.record.Name && !slices.Contains(x.record.Kept, there.token.ID) {
		x.record.Kept = append(x.record.Kept, there.token.ID)
	}
	if x.r.Handover.Get != nil { // New is not there
		x.clean.add(stray{id: x.record.New.ID, seen: true})
		x.record.New = fastly.TokenResponse{}
	}
	x.record.keepNew()
	x.record.State, x.clean.keep, x.clean.byID = StateCreating, x.record.Kept, x.gone != nil
	if err := x.settle(ctx); err != nil {
		return also(x.gone, err)
	}
	return x.renew(ctx)
}

// settle cleans up after creates. A token that an earlier run lost, and that does not show up now
// either, is reported and no longer looked for.
func (x *run) settle(ctx context.Context) error {
	err := x.clean.settle(ctx)
	if err == nil && x.clean.lost > 0 && !x.renewed { // what this run has lost, a later one looks for
		if err := ctx.Err(); err != nil {
			return err // there was no time to look
		}
		x.unknown, x.clean.lost = x.clean.lost > len(x.clean.left), 0
		x.log.InfoContext(ctx, "looked for tokens whose creates had no usable response", "name", x.record.Name, "found", !x.unknown)
	}
	return err
}

// renew creates a token, checks it and hands it over.
func (x *run) renew(ctx context.Context) error {
	created, lifetime, err := x.create(ctx)
	if err != nil {
		return x.giveUp(ctx, err)
	}
	x.record.New = created.TokenResponse
	x.log.InfoContext(ctx, "created a token", "token", created.ID, "name", x.record.Name)
	if err := x.checkNew(ctx, created, lifetime); err != nil {
		return x.undo(ctx, err)
	}
	x.log.InfoContext(ctx, "the new token works", "token", created.ID)
	if err := x.prepareHandover(ctx, created.AccessToken); err != nil {
		return x.undo(ctx, err)
	}
	err = x.r.Handover.Put(ctx, created)
	switch {
	case errors.Is(err, ErrMaybeHandedOver):
		return err
	case err != nil:
		return x.undo(ctx, fmt.Errorf("the handover: %w", err))
	}
	key, err := x.get(ctx)
	if err != nil {
		return err
	}
	if x.r.Handover.Get != nil && key != created.AccessToken {
		return errors.New("the destination of the handover does not hold the access token that was put there")
	}
	x.renewed = true
	return x.handedOver(ctx)
}

func (x *run) create(ctx context.Context) (created *fastly.TokenCreatedResponse, lifetime time.Duration, err error) {
	if x.gone != nil {
		return nil, 0, x.gone
	}
	if lifetime, err = x.checkOld(); err != nil {
		return nil, 0, err
	}
	if err := x.checkDestination(ctx); err != nil {
		return nil, 0, err
	}
	var login Login
	if x.r.Login != nil {
		if login, err = x.r.Login(ctx); err != nil {
			return nil, 0, fmt.Errorf("the login: %w", err)
		}
	}
	request := &fastly.CreateTokenRequest{
		Name: x.record.Name, Scopes: x.record.Old.Scopes, Services: x.record.Old.Services, Lifetime: lifetime,
		Username: login.Username, Password: login.Password, OTPFunc: login.OTP,
	}
	x.record.State, x.record.RevokeAt, x.clean.keep = StateCreating, time.Time{}, x.record.Kept
	created, err = x.clean.create(ctx, cmp.Or(x.r.Creator, x.r.Client), request, func() error { return x.save(ctx) })
	if x.r.Login == nil && x.r.Creator == nil { // by the key
		err = note(err)
	}
	if errors.Is(err, fastly.ErrOutcomeUnknown) && x.clean.clean() {
		err = fmt.Errorf("%w; that has been done", err)
	}
	return created, lifetime, err
}

// prepareHandover records that New may be in use from now on, and makes sure that no other run has
// rotated the old token meanwhile.
func (x *run) prepareHandover(ctx context.Context, key fastly.Secret) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.record.State, x.record.Fingerprint = StateHanding, fingerprint(key)
	if err := x.save(ctx); err != nil {
		return err
	}
	if err := x.readOld(ctx); err != nil {
		return err
	}
	if x.gone != nil {
		return x.gone
	}
	there, err := x.get(ctx)
	if err == nil && fingerprint(there) != x.record.Before {
		err = unclearError{errors.New("the destination of the handover has changed since this run began")}
	}
	return err
}

// undo revokes New, which nobody holds.
func (x *run) undo(ctx context.Context, cause error) error {
	x.clean.add(stray{id: x.record.New.ID, seen: x.newSeen})
	cause = also(cause, x.clean.settle(ctx))
	x.record.New, x.record.Fingerprint = fastly.TokenResponse{}, ""
	x.use(nil)
	return x.giveUp(ctx, cause)
}

// giveUp ends a rotation before the handover, and forgets it if no token of it is left.
func (x *run) giveUp(ctx context.Context, cause error) error {
	x.record.State = StateCreating
	if x.clean.clean() && len(x.record.Kept) == 0 {
		x.record.State = StateUnchanged
	}
	return also(cause, x.save(ctx))
}

// handedOver records that New is in use.
func (x *run) handedOver(ctx context.Context) error {
	x.record.handedOver(x.r.Grace)
	x.log.InfoContext(ctx, "handed over the new token", "token", x.record.New.ID)
	if err := x.save(ctx); err != nil {
		return err
	}
	return x.finish(ctx)
}

// finish revokes the tokens that New replaces, after the grace period. It looks at the destination
// before each revoke.
func (x *run) finish(ctx context.Context) error {
	for time.Until(x.record.RevokeAt) > 0 { // again, if the clock was set back
		if err := x.save(ctx); err != nil || x.r.NoWait { // load may have changed RevokeAt
			return err
		}
		x.log.InfoContext(ctx, "waiting for the end of the grace period", "until", x.record.RevokeAt)
		if err := clock.Sleep(ctx, time.Until(x.record.RevokeAt)); err != nil {
			return err
		}
	}
	// The old token last: its key may be what revokes the others.
	for _, revoke := range []func(context.Context) error{x.revokeStrays, x.revokeOld} {
		inUse, err := x.inUse(ctx)
		if err != nil {
			return err
		}
		if !inUse {
			return x.replaceNew(ctx)
		}
		if err := revoke(ctx); err != nil {
			return err
		}
	}
	if x.clean.lost > 0 {
		return also(errLost, x.save(ctx))
	}
	x.record.State = StateDone
	return x.save(ctx)
}

// replaceNew begins again, as New is not in use.
func (x *run) replaceNew(ctx context.Context) error {
	if x.renewed || x.keyErr != nil {
		return also(unclearError{fmt.Errorf("token %s is no longer at the destination of the handover, or does not work", x.record.New.ID)}, x.keyErr)
	}
	x.log.InfoContext(ctx, "the new token is no longer in use: replacing it", "token", x.record.New.ID)
	x.record.keepNew()
	return x.renew(ctx)
}
