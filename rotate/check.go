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

// use sets the clients that clean up: Client, unless its key is rejected, and fresh, which uses
// New's key; nil for none. Client alone is not enough: with the old token's key it can't see
// whether it has revoked that token, and it can't revoke a new token of another user.
func (x *run) use(fresh *fastly.Client) {
	x.clean.clients = nil
	if x.keyErr == nil {
		x.clean.clients = append(x.clean.clients, x.r.Client)
	}
	if fresh != nil && mayClean(x.record.Old.Scopes) {
		x.clean.clients = append(x.clean.clients, fresh)
	}
}

func (x *run) connect(key fastly.Secret) (*fastly.Client, error) {
	if x.r.Connect == nil {
		return x.r.Client.With(fastly.WithAPIKey(key.Reveal()))
	}
	client, err := x.r.Connect(key)
	if err == nil && client == nil {
		err = errors.New("none was returned by Connect")
	}
	if err == nil {
		x.connected = append(x.connected, client)
	}
	return client, err
}

// read reads a token by its ID.
func (x *run) read(ctx context.Context, id string) (_ *fastly.TokenResponse, all error) {
	for _, client := range x.clean.clients {
		t, err := client.Tokens.GetToken(ctx, id)
		if err == nil {
			return t, nil
		}
		if all == nil || isGone(err) { // a dead key can't see that
			all = err
		}
	}
	return nil, cmp.Or(all, errNoClient)
}

// readNew is like read, for a token that the API may not show yet.
func (x *run) readNew(ctx context.Context, id string) (*fastly.TokenResponse, error) {
	return clock.Repeat(ctx, &x.clean.patience, func() (*fastly.TokenResponse, bool, error) {
		t, err := x.read(ctx, id)
		return t, !isGone(err), err
	})
}

// readOld brings what is known of the old token up to date. It is an error if that is not what the
// journal says.
func (x *run) readOld(ctx context.Context) error {
	old, err := x.read(ctx, x.record.Old.ID)
	if err != nil {
		err = note(fmt.Errorf("the old token: %w", err))
		if !isGone(err) {
			return err
		}
		if !x.named {
			x.gone = err
		}
		return nil
	}
	what := difference(old, &x.record.Old, 0)
	if what == "" && (base(old.Name) != BaseName(x.record.Name) || old.Name == x.record.Name) {
		what = fmt.Sprintf("its name is %q", old.Name)
	}
	if what != "" {
		return fmt.Errorf("the API shows another token %s than the journal: %s", old.ID, what)
	}
	x.record.Old, x.record.OldRevoked = *old, false
	return nil
}

// checkRecord returns an error if the journal is of another rotation than the caller's, or does not say
// what the API shows.
func (x *run) checkRecord(ctx context.Context, there held) error {
	r := &x.record
	id := x.r.TokenID
	if id == "" && x.me != nil {
		id = x.me.ID
	}
	switch {
	case id == "" && r.Own: // the key is rejected, as the old token would be
	case x.r.TokenID == "" && r.Own && x.isLikeOld(x.me), // another run has replaced it
		x.isAnother(there) && id == there.token.ID:
	case id != r.Old.ID && id != r.New.ID && !slices.Contains(r.Kept, id):
		return fmt.Errorf("the journal holds an unfinished rotation of token %s: run again with its ID to finish that one, or use another journal for another token", r.Old.ID)
	case x.me != nil && x.me.UserID != r.Old.UserID:
		return fmt.Errorf("token %s belongs to another user than the key: run again with a key of that user", r.Old.ID)
	}
	if len(x.clean.clients) == 0 {
		return fmt.Errorf("%w; run again with another key of this user, and the ID %s", x.keyErr, r.Old.ID)
	}
	if err := x.readOld(ctx); err != nil {
		return err
	}
	for _, fresh := range append(slices.Clone(r.Kept), r.New.ID) {
		if fresh == "" {
			continue
		}
		t, err := x.readNew(ctx, fresh)
		if isGone(err) {
			r.Kept = slices.DeleteFunc(r.Kept, func(kept string) bool { return kept == fresh })
			continue
		}
		if err != nil {
			return err
		}
		ours := t.Name == r.Name || r.State == StateHandedOver && fresh == r.New.ID && BaseName(t.Name) == BaseName(r.Name)
		if what := difference(t, &r.Old, 0); what != "" || !ours {
			return fmt.Errorf("token %s, which the journal names, is not one of this rotation: its name is %q; %s", fresh, t.Name, what)
		}
		if x.gone != nil && fresh == id {
			x.named, x.gone = true, nil
		}
	}
	return nil
}

// checkNew checks that New works and has the rights of the old token.
func (x *run) checkNew(ctx context.Context, created *fastly.TokenCreatedResponse, lifetime time.Duration) error {
	client, err := x.connect(created.AccessToken)
	if err != nil {
		return fmt.Errorf("the client for the new token: %w", err)
	}
	x.use(client)
	if err := x.clean.checkOwner(&created.TokenResponse); err != nil {
		return err
	}
	t, err := clock.Repeat(ctx, &x.clean.patience, func() (*fastly.TokenResponse, bool, error) {
		t, err := client.Tokens.GetTokenCurrent(ctx)
		return t, !errors.Is(err, fastly.ErrUnauthorized), err
	})
	if err != nil && !isKnown(err) { // a key that may not read its token works
		return fmt.Errorf("the new token %s does not work: %w", created.ID, err)
	}
	if err == nil {
		otherOwner := x.clean.checkOwner(t)
		if err := cmp.Or(x.checkRights(t, lifetime), otherOwner); err != nil {
			return err
		}
	}
	t, err = x.readNew(ctx, created.ID)
	if err != nil {
		return fmt.Errorf("the API does not show the new token %s to the client's key: %w", created.ID, err)
	}
	x.newSeen, x.record.New = true, *t
	return x.checkRights(t, lifetime)
}

// checkRights returns an error if what the API shows for New is not like the old token.
func (x *run) checkRights(t *fastly.TokenResponse, lifetime time.Duration) error {
	what := difference(t, &x.record.Old, lifetime)
	if t.ID != x.record.New.ID {
		what = "the API says that it is token " + t.ID
	}
	if what == "" {
		return nil
	}
	return fmt.Errorf("the new token %s is not like the old one %s: %s", x.record.New.ID, x.record.Old.ID, what)
}

// lifetime returns that of the new token, zero for one that never expires. That of the old one is
// rounded: what its create took, and a clock that was off, would add up over many rotations.
func (x *run) lifetime() (time.Duration, error) {
	old := &x.record.Old
	switch {
	case x.r.Lifetime != 0 || old.ExpiresAt.IsZero():
		return x.r.Lifetime, nil
	case old.CreatedAt.IsZero() || !old.ExpiresAt.After(old.CreatedAt):
		return 0, fmt.Errorf("the API does not show the lifetime of token %s: say how long the new one is to work", old.ID)
	}
	lifetime := old.ExpiresAt.Sub(old.CreatedAt)
	return cmp.Or(lifetime.Round(time.Minute), lifetime), nil
}

// mayClean reports whether a key with the scopes may be able to list and revoke tokens.
// Undocumented scopes may.
func mayClean(scopes fastly.Scopes) bool {
	return slices.ContainsFunc(scopes, func(s fastly.Scope) bool {
		return s != fastly.ScopePurgeSelect && s != fastly.ScopePurgeAll && s != fastly.ScopeGlobalRead
	})
}

// difference says how a token differs from the old one, "" if it doesn't. Unless the lifetime is
// zero, it may expire earlier than requested, as an account can limit lifetimes, but not later.
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
		return "it expires later than requested (is the clock right?)"
	}
	return ""
}

func sorted[S ~[]E, E ~string](s S) S { return slices.Compact(slices.Sorted(slices.Values(s))) }
