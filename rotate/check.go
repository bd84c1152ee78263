package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
)

// use sets the client that uses New, nil for none. It also revokes: if the old
// token is Client's own key, Client can't see whether its revoke succeeded; and a
// new token of another user is not Client's to revoke.
func (x *run) use(fresh *fastly.Client) {
	x.clean.clients = nil
	if x.keyErr == nil {
		x.clean.clients = append(x.clean.clients, x.r.Client)
	}
	if fresh != nil && mayClean(x.record.Old.Scopes) {
		x.clean.clients = append(x.clean.clients, fresh)
	}
}

// connect returns a client that uses the key.
func (x *run) connect(key fastly.Secret) (*fastly.Client, error) {
	if x.r.Connect == nil {
		return x.r.Client.With(fastly.WithAPIKey(key.Reveal()))
	}
	client, err := x.r.Connect(key)
	if err == nil {
		x.connected = append(x.connected, client)
	}
	return client, err
}

func (x *run) close() {
	for _, client := range x.connected {
		client.CloseIdleConnections()
	}
}

// read reads a token by its ID.
func (x *run) read(ctx context.Context, id string) (t *fastly.TokenResponse, all error) {
	for _, client := range x.clean.clients {
		t, err := client.Tokens.GetToken(ctx, id)
		if err == nil {
			return t, nil
		}
		all = also(all, err)
	}
	return nil, cmp.Or(all, errNoClient)
}

// readNew is like read, for a token that the API may not show yet.
func (x *run) readNew(ctx context.Context, id string) (t *fastly.TokenResponse, err error) {
	err = x.clean.patience.repeat(ctx, func() (done bool, err error) {
		t, err = x.read(ctx, id)
		return !isGone(err), err
	})
	return t, err
}

// readOld brings what is known of the old token up to date. It is an error if that
// is not what the journal says.
func (x *run) readOld(ctx context.Context) error {
	old, err := x.read(ctx, x.record.Old.ID)
	if isGone(err) {
		x.oldGone = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("the old token: %w", err)
	}
	what := difference(old, &x.record.Old, 0)
	if what == "" && base(old.Name) != BaseName(x.record.Name) {
		what = fmt.Sprintf("its name is %q", old.Name)
	}
	if what != "" {
		return fmt.Errorf("the API shows another token %s than the journal: %s", old.ID, what)
	}
	x.record.Old = *old
	return nil
}

// checkRecord compares what the journal says with what the API does.
func (x *run) checkRecord(ctx context.Context) error {
	r := &x.record
	id := x.r.TokenID
	if id == "" && x.me != nil {
		id = x.me.ID
	}
	switch {
	case id == "" && r.Own: // the key is rejected, as the old token would be
	case x.r.TokenID == "" && r.Own && x.isLikeOld(x.me): // another run has replaced the key
	case id != r.Old.ID && id != r.New.ID && !slices.Contains(r.Kept, id):
		return fmt.Errorf("the journal holds an unfinished rotation of token %s: finish that one first, or use another journal", r.Old.ID)
	case x.me != nil && x.me.UserID != r.Old.UserID:
		return fmt.Errorf("token %s belongs to another user than the key", r.Old.ID)
	}
	if len(x.clean.clients) == 0 {
		return fmt.Errorf("the client's key does not work; if it is token %s, run again with the new token as the key: %w", r.Old.ID, x.keyErr)
	}
	if err := x.readOld(ctx); err != nil {
		return err
	}
	for _, id := range append(slices.Clone(r.Kept), r.New.ID) {
		if id == "" {
			continue
		}
		t, err := x.readNew(ctx, id)
		if isGone(err) {
			r.Kept = slices.DeleteFunc(r.Kept, func(kept string) bool { return kept == id })
			continue
		}
		if err != nil {
			return err
		}
		ours := t.Name == r.Name || r.State == StateHandedOver && id == r.New.ID && BaseName(t.Name) == BaseName(r.Name)
		if what := difference(t, &r.Old, 0); what != "" || !ours {
			return fmt.Errorf("token %s, which the journal names, is not one of this rotation: its name is %q; %s", id, t.Name, what)
		}
	}
	return nil
}

// checkDestination finds an unusable destination before a token is created.
func (x *run) checkDestination(ctx context.Context) error {
	there, err := x.look(ctx, false)
	if err != nil && !isKnown(err) {
		return err
	}
	if x.isAnother(there) {
		return fmt.Errorf("the destination of the handover holds token %s, which another run may have put there in place of token %s", there.token.ID, x.record.Old.ID)
	}
	x.before = there.key
	if x.r.Handover.check == nil {
		return nil
	}
	note, err := x.r.Handover.check()
	if err != nil {
		return fmt.Errorf("the destination of the handover: %w", err)
	}
	if note != "" {
		x.log(ctx, "the new file is not as the old one", "note", note)
	}
	return nil
}

// held is what the destination of the handover holds.
type held struct {
	key    fastly.Secret
	client *fastly.Client
	token  *fastly.TokenResponse // nil if the key does not work
}

// get returns the key at the destination of the handover.
func (x *run) get(ctx context.Context) (fastly.Secret, error) {
	key, err := x.r.Handover.Get(ctx)
	if err != nil {
		err = fmt.Errorf("the destination of the handover: %w", err)
	}
	return key, err
}

// look looks at the destination of the handover. If wait is set, it waits for a key
// that may be new. The error of a key that works and may not read itself matches
// isKnown, unless it is New's.
func (x *run) look(ctx context.Context, wait bool) (there held, err error) {
	if x.r.Handover.Get == nil {
		return held{}, nil
	}
	if there.key, err = x.get(ctx); err != nil || there.key == "" {
		return there, err
	}
	there.client, err = x.connect(there.key)
	if errors.Is(err, fastly.ErrInvalidArgument) {
		return there, nil // it is not a key
	}
	if err != nil {
		return there, err
	}
	err = x.clean.patience.repeat(ctx, func() (done bool, err error) {
		there.token, err = there.client.Tokens.GetTokenCurrent(ctx)
		return !wait || !isDead(err), err
	})
	switch isNew := fingerprint(there.key) == x.record.Fingerprint; {
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
		there.token, err = &x.record.New, nil
	case err != nil:
		return there, fmt.Errorf("the token at the destination of the handover: %w", err)
	}
	if x.isNew(there) || x.isAnother(there) {
		x.use(there.client)
	}
	return there, nil
}

// isNew reports whether New is at the destination and works.
func (x *run) isNew(there held) bool {
	return there.token != nil && there.token.ID == x.record.New.ID
}

// isAnother reports whether the destination holds what another rotation of the old
// token may have put there.
func (x *run) isAnother(there held) bool {
	return there.token != nil && there.token.ID != x.record.Old.ID && x.isLikeOld(there.token)
}

// isLikeOld reports whether a token may be what another rotation has made of the
// old one.
func (x *run) isLikeOld(t *fastly.TokenResponse) bool {
	return t.ID != x.record.New.ID && t.Name != x.record.Name &&
		BaseName(t.Name) == BaseName(x.record.Name) && difference(t, &x.record.Old, 0) == ""
}

// adopt makes the token at the destination, which another run has put there, the
// new one.
func (x *run) adopt(ctx context.Context, there held) error {
	r := &x.record
	x.warn(ctx, fmt.Errorf("another run may have rotated token %s: the destination of the handover holds token %s, which this one did not create", r.Old.ID, there.token.ID))
	r.keepNew()
	r.New, r.Fingerprint = *there.token, fingerprint(there.key)
	if r.State != StateHandedOver {
		r.State, r.RevokeAt = StateHandedOver, time.Now().Add(x.r.Grace).UTC().Round(0)
	}
	return x.save(ctx)
}

// inUse reports whether New is in use, as far as that can be seen, and works.
func (x *run) inUse(ctx context.Context) (bool, error) {
	if x.record.OldRevoked {
		return true, nil // what has become of it since is no matter of this rotation
	}
	if x.r.Handover.Get == nil {
		t, err := x.read(ctx, x.record.New.ID)
		if isGone(err) {
			return false, nil
		}
		return err == nil && !t.Expired(time.Now()), err
	}
	there, err := x.look(ctx, true)
	switch {
	case err != nil:
		return false, err
	case x.isAnother(there):
		return true, x.adopt(ctx, there)
	case x.isNew(there):
		return true, nil
	case there.token != nil && there.token.ID != x.record.Old.ID && there.token.Name != x.record.Name:
		return false, fmt.Errorf("the destination of the handover holds token %s instead of token %s", there.token.ID, x.record.New.ID)
	}
	return false, nil
}

// checkNew checks that New works and has the rights of the old token.
func (x *run) checkNew(ctx context.Context, created *fastly.TokenCreatedResponse, lifetime time.Duration) error {
	x.newSeen = false
	client, err := x.connect(created.AccessToken)
	if err != nil {
		return fmt.Errorf("the client for the new token: %w", err)
	}
	x.use(client)
	if x.clean.isOther(&created.TokenResponse) {
		x.clean.patience = 0 // Client never sees it
		return errOtherUser
	}
	var t *fastly.TokenResponse
	err = x.clean.patience.repeat(ctx, func() (done bool, err error) {
		t, err = client.Tokens.GetTokenCurrent(ctx)
		return !errors.Is(err, fastly.ErrUnauthorized), err
	})
	switch {
	case isKnown(err): // it works, and may not read itself
	case err != nil:
		return fmt.Errorf("the new token %s does not work: %w", created.ID, err)
	case t.ID != created.ID:
		return fmt.Errorf("the new token %s is not like the old one %s: the API says that it is token %s", created.ID, x.record.Old.ID, t.ID)
	default:
		if x.clean.isOther(t) {
			x.clean.patience = 0
		}
		if what := difference(t, &x.record.Old, lifetime); what != "" {
			return fmt.Errorf("the new token %s is not like the old one %s: %s", created.ID, x.record.Old.ID, what)
		}
	}
	t, err = x.readNew(ctx, created.ID)
	if err != nil {
		return fmt.Errorf("the new token %s is not shown: %w", created.ID, err)
	}
	x.newSeen = true
	if what := difference(t, &x.record.Old, lifetime); what != "" {
		return fmt.Errorf("the new token %s is not like the old one %s: %s", created.ID, x.record.Old.ID, what)
	}
	x.record.New = *t
	return nil
}

// lifetime returns that of the new token, zero for one that never expires. That of
// the old one is rounded: what its create took, and a clock that was off, would
// add up over many rotations.
func (x *run) lifetime() (time.Duration, error) {
	old := &x.record.Old
	switch {
	case x.r.Lifetime != 0 || old.ExpiresAt.IsZero():
		return x.r.Lifetime, nil
	case old.CreatedAt.IsZero() || !old.ExpiresAt.After(old.CreatedAt):
		return 0, fmt.Errorf("the API does not say what lifetime token %s has: set Lifetime", old.ID)
	}
	lifetime := old.ExpiresAt.Sub(old.CreatedAt)
	return cmp.Or(lifetime.Round(time.Minute), lifetime), nil
}

// mayClean reports whether a key with the scopes may be able to list and revoke
// tokens. Undocumented scopes may.
func mayClean(scopes fastly.Scopes) bool {
	return slices.ContainsFunc(scopes, func(s fastly.Scope) bool {
		return s != fastly.ScopePurgeSelect && s != fastly.ScopePurgeAll && s != fastly.ScopeGlobalRead
	})
}

// difference says how a token differs from the old one, "" if it doesn't. Unless
// the lifetime is zero, it may expire earlier than requested, as an account can
// limit lifetimes, but not later.
func difference(t, old *fastly.TokenResponse, lifetime time.Duration) string {
	switch {
	case t.UserID != old.UserID:
		return "it belongs to another user"
	case !slices.Equal(sorted(t.Scopes), sorted(old.Scopes)):
		return fmt.Sprintf("it has scopes %q, not %q", t.Scopes, old.Scopes)
	case !slices.Equal(sorted(t.Services), sorted(old.Services)) || t.LimitServices && len(t.Services) == 0:
		return fmt.Sprintf("it is for the services %q, not %q (none means all)", t.Services, old.Services)
	case lifetime == 0:
		return ""
	}
	latest := cmp.Or(t.CreatedAt, time.Now()).Add(lifetime + time.Minute)
	if t.ExpiresAt.IsZero() || t.ExpiresAt.After(latest) {
		return "it expires later than requested"
	}
	return ""
}

func sorted[S ~[]E, E ~string](s S) S {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
