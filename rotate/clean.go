package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
)

const (
	// cleanupTimeout bounds what continues after the caller's context has ended.
	cleanupTimeout = time.Minute
	// looks is how often to ask the API for something that it may show with a
	// delay, such as a token whose create was cut off. The first pause doubles
	// after each look.
	looks      = 4
	firstPause = 250 * time.Millisecond
)

// cleaner finds and revokes the tokens with a name that nobody holds.
type cleaner struct {
	name      string
	clients   []*fastly.Client // that list and revoke, the best first
	keep      []string         // IDs of tokens with the name that somebody may hold
	lost      int              // creates whose token, if any, was not found
	left      []string         // IDs of tokens to revoke
	otherUser bool             // left may be of a user whose tokens the API hides: its 404 proves nothing
	revoked   []string
}

// clean reports whether nothing is left to revoke, as far as is known.
func (c *cleaner) clean() bool { return c.lost == 0 && len(c.left) == 0 }

// sweep revokes every token with the name except those to keep. It looks until
// that succeeds and no token is lost, at most n times, even if ctx has ended.
func (c *cleaner) sweep(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return repeat(ctx, n, func() (again bool, err error) {
		err = c.look(ctx)
		return err != nil || c.lost > 0, err
	})
}

// look lists the tokens once and revokes what is left.
func (c *cleaner) look(ctx context.Context) error {
	var tokens []fastly.TokenResponse
	err := c.each(func(client *fastly.Client) (err error) {
		tokens, err = client.Tokens.ListTokensUser(ctx)
		return err
	})
	known := slices.Concat(c.keep, c.left, c.revoked)
	for _, t := range tokens {
		if t.Name == c.name && !slices.Contains(known, t.ID) {
			c.left = append(c.left, t.ID)
			c.lost = max(c.lost-1, 0)
		}
	}
	for _, id := range slices.Clone(c.left) {
		err = also(err, c.revoke(ctx, id))
	}
	return err
}

// revoke makes sure that a token no longer works.
func (c *cleaner) revoke(ctx context.Context, id string) error {
	err := c.each(func(client *fastly.Client) error {
		err := client.Tokens.RevokeToken(ctx, id)
		if errors.Is(err, fastly.ErrNotFound) && !c.otherUser {
			return nil
		}
		return err
	})
	if err == nil {
		c.left = slices.DeleteFunc(c.left, func(left string) bool { return left == id })
		c.revoked = append(c.revoked, id)
	}
	return err
}

// each calls f with one client after another until it succeeds.
func (c *cleaner) each(f func(*fastly.Client) error) error {
	if len(c.clients) == 0 {
		return errors.New("there is no client to clean up with")
	}
	var all error
	for _, client := range c.clients {
		err := f(client)
		if err == nil {
			return nil
		}
		all = also(all, err)
	}
	return all
}

// repeat calls f up to n times, with a pause between calls, until it says not to
// call it again. It returns the last error.
func repeat(ctx context.Context, n int, f func() (again bool, err error)) error {
	for pause := firstPause; ; pause *= 2 {
		again, err := f()
		if n--; !again || n == 0 {
			return err
		}
		if clock.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// rejected reports whether the API rejected the key.
func rejected(err error) bool {
	return errors.Is(err, fastly.ErrUnauthorized) || errors.Is(err, fastly.ErrForbidden)
}

// also joins errors in one line.
func also(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil || errors.Is(err, more) || err.Error() == more.Error():
		return err
	}
	return fmt.Errorf("%w; then: %w", err, more)
}
