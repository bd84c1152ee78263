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
	x.clients = []*fastly.Client{x.Client}
	if fresh != nil && (x.otherUser || mayClean(x.Old.Scopes)) {
		x.clients = append(x.clients, fresh)
	}
}

// connect returns a client that uses the key, until close.
func (x *run) connect(key fastly.Secret) (*fastly.Client, error) {
	connect := x.Connect
	if connect == nil {
		connect = func(key fastly.Secret) (*fastly.Client, error) {
			return fastly.NewClient(fastly.WithAPIKey(key.Reveal()))
		}
	}
	client, err := connect(key)
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

// checkNew checks that New works and has the rights of the old token.
func (x *run) checkNew(ctx context.Context, key fastly.Secret, expires time.Time) error {
	client, err := x.connect(key)
	if err != nil {
		return fmt.Errorf("the client for the new token: %w", err)
	}
	x.use(client)
	return repeat(ctx, looks, func() (again bool, err error) {
		t, err := client.Tokens.GetTokenCurrent(ctx)
		if err != nil {
			return true, fmt.Errorf("the new token %s does not work: %w", x.New.ID, err)
		}
		if t.UserID != x.Old.UserID {
			x.otherUser = true
			x.use(client)
		}
		if what := difference(t, &x.Old, expires); what != "" || t.ID != x.New.ID {
			return false, fmt.Errorf("the new token %s is not like the old one %s: %s", x.New.ID, x.Old.ID, cmp.Or(what, "the API says that it is token "+t.ID))
		}
		x.New = *t
		return false, nil
	})
}

// confirm reports whether New is in use and works.
func (x *run) confirm(ctx context.Context) (bool, error) {
	if x.Handover.Get != nil {
		key, err := x.held(ctx)
		return key != "", err
	}
	if x.keyErr != nil {
		return false, fmt.Errorf("the client's key does not work; if it is token %s, run again with the new token as the key: %w", x.Old.ID, x.keyErr)
	}
	t, err := x.Client.Tokens.GetToken(ctx, x.New.ID)
	if errors.Is(err, fastly.ErrNotFound) {
		return false, nil
	}
	return err == nil && !t.Expired(time.Now()), err
}

// held returns the key at the destination of the handover if it is New's and works,
// else "".
func (x *run) held(ctx context.Context) (fastly.Secret, error) {
	key, err := x.Handover.Get(ctx)
	if err != nil || key == "" {
		return "", err
	}
	client, err := x.connect(key)
	if errors.Is(err, fastly.ErrInvalidArgument) {
		return "", nil // it is not a token
	}
	if err != nil {
		return "", err
	}
	err = repeat(ctx, looks, func() (again bool, err error) {
		t, err := client.Tokens.GetTokenCurrent(ctx)
		if err == nil && t.ID == x.New.ID {
			x.use(client)
			x.confirmed = true
		}
		return err != nil, err
	})
	switch {
	case x.confirmed:
		return key, nil
	case rejected(err):
		return "", nil
	}
	return "", err
}

// expiry returns when the new token is to expire, zero for never.
func (x *run) expiry() (time.Time, error) {
	lifetime := x.Lifetime
	if lifetime == 0 {
		switch old := &x.Old; {
		case old.ExpiresAt.IsZero():
			return time.Time{}, nil
		case old.CreatedAt.IsZero() || !old.ExpiresAt.After(old.CreatedAt):
			return time.Time{}, fmt.Errorf("the API does not say what lifetime token %s has: set Lifetime", old.ID)
		default:
			lifetime = old.ExpiresAt.Sub(old.CreatedAt)
		}
	}
	return time.Now().Add(lifetime).UTC().Truncate(time.Second), nil
}

// mayClean reports whether a key with the scopes may be able to list and revoke
// tokens. Undocumented scopes may.
func mayClean(scopes fastly.Scopes) bool {
	return slices.ContainsFunc(scopes, func(s fastly.Scope) bool {
		return s != fastly.ScopePurgeSelect && s != fastly.ScopePurgeAll && s != fastly.ScopeGlobalRead
	})
}

// difference says how a new token differs from the old one, "" if it doesn't. It
// may expire earlier than requested: an account can limit lifetimes.
func difference(t, old *fastly.TokenResponse, expires time.Time) string {
	switch {
	case t.UserID != old.UserID:
		return "it belongs to another user"
	case !slices.Equal(sorted(t.Scopes), sorted(old.Scopes)):
		return fmt.Sprintf("it has scopes %q, not %q", t.Scopes, old.Scopes)
	case !slices.Equal(sorted(t.Services), sorted(old.Services)):
		return fmt.Sprintf("it is for the services %q, not %q (none means all)", t.Services, old.Services)
	case !expires.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(expires.Add(time.Minute))):
		return "it expires later than requested"
	}
	return ""
}

func sorted[S ~[]E, E ~string](s S) S {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
