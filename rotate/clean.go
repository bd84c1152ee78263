package rotate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/internal/clock"
)

// cleanupTimeout bounds each step that continues after the caller's context has ended.
const cleanupTimeout = time.Minute

// cleaner finds and revokes the tokens with a name that nobody holds.
type cleaner struct {
	name     string
	owner    fastly.TokenResponse // a token of the user whose tokens the clients see; without ID if not known
	clients  []*fastly.Client     // that list and revoke, the best first
	keep     []string             // IDs of tokens with the name that somebody may hold
	lost     int                  // creates whose token, if any, was not found
	left     []stray              // tokens to revoke
	byID     bool                 // revoke nothing that is known by its name alone: no old token confirms that
	revoked  []string
	patience time.Duration // left to look for what the API may show with a delay
}

// stray is a token that nobody holds.
type stray struct {
	id string
	// seen says that the API has shown it to a client of the cleaner. Before, a 404 proves nothing:
	// the token may be too new, or another user's.
	seen  bool
	tried bool // a revoke of this run may have been processed
	found bool // in a list, and not in a response to a create
}

// clean reports whether nothing is left to revoke, as far as is known.
func (c *cleaner) clean() bool { return c.lost == 0 && len(c.left) == 0 }

func (c *cleaner) ids() (ids []string) {
	for _, s := range c.left {
		ids = append(ids, s.id)
	}
	return ids
}

func (c *cleaner) add(s stray) {
	if s.id != "" && !slices.Contains(c.ids(), s.id) {
		c.left = append(c.left, s)
	}
}

// settle revokes every token with the name except those to keep, and looks for those of lost
// creates. When ctx ends, it looks once more. It is not an error if a lost token does not show up.
func (c *cleaner) settle(ctx context.Context) (err error) {
	looking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(cleanupTimeout, cancel) })()
	done := false
	if ctx.Err() == nil {
		done, err = clock.Repeat(ctx, &c.patience, func() (done, same bool, err error) {
			done, err = c.look(looking)
			return done, done, err
		})
	}
	if ctx.Err() != nil && !done {
		_, err = c.look(looking)
	}
	return err
}

// look lists and revokes once. It is done if nothing is left, or no later look will be better.
func (c *cleaner) look(ctx context.Context) (done bool, err error) {
	refused, listErr := c.find(ctx)
	revokeErr := c.revokeLeft(ctx)
	if c.clean() || c.byID && listErr == nil && revokeErr == nil && c.lost <= len(c.left) {
		return true, nil
	}
	return refused, also(listErr, revokeErr)
}

// find adds the tokens of a list that nobody holds. refused says that no later list will be better.
func (c *cleaner) find(ctx context.Context) (refused bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout/2) // what is known by its ID needs time, too
	defer cancel()
	tokens, err := c.list(ctx)
	for _, t := range tokens { // of a part, too
		if t.Name != c.name || slices.Contains(c.keep, t.ID) || slices.Contains(c.revoked, t.ID) {
			continue
		}
		c.add(stray{id: t.ID, found: true})
		i := slices.Index(c.ids(), t.ID)
		c.left[i].seen = true
	}
	return len(tokens) == 0 && (isRefused(err) || errors.Is(err, fastly.ErrInvalidResponse)), err
}

func (c *cleaner) revokeLeft(ctx context.Context) (all error) {
	left := c.left
	c.left = nil
	for _, s := range left {
		if s.found && c.byID {
			c.left = append(c.left, s)
			continue
		}
		done, err := c.revoke(ctx, &s)
		if err != nil {
			c.left = append(c.left, s)
			all = also(all, err)
			continue
		}
		c.revoked = append(c.revoked, s.id)
		if s.found && (done || s.tried) {
			c.lost = max(c.lost-1, 0)
		}
	}
	return all
}

// list returns the tokens of the user. With an error, they are not all.
func (c *cleaner) list(ctx context.Context) (tokens []fastly.TokenResponse, all error) {
	for _, client := range c.clients {
		some, err := client.Tokens.ListTokensUser(ctx)
		tokens = append(tokens, some...)
		if err == nil {
			return tokens, nil
		}
		all = also(all, err)
	}
	return tokens, cmp.Or(all, errNoClient)
}

// revoke makes sure that a token no longer works. Done says that this call has revoked it.
func (c *cleaner) revoke(ctx context.Context, s *stray) (done bool, all error) {
	for _, client := range c.clients {
		err := client.Tokens.RevokeToken(ctx, s.id)
		switch {
		case err == nil:
			return true, nil
		case isGone(err) && (s.tried || s.seen):
			return done, nil
		}
		done = done || isDead(err) && errors.Is(err, fastly.ErrOutcomeUnknown) // the key has revoked itself
		s.tried = s.tried || !isRefused(err)
		all = also(all, err)
	}
	return false, cmp.Or(all, errNoClient)
}

var errNoClient = errors.New("there is no key to clean up with")

// errOtherUser means that the API does not show the new token to the clients.
var errOtherUser = errors.New("the new token belongs to another user than the key")

// checkOwner returns an error, and ends the patience, if a new token belongs to another user or
// customer than those whose tokens the clients see.
func (c *cleaner) checkOwner(t *fastly.TokenResponse) error {
	differs := func(a, b string) bool { return a != "" && b != "" && a != b }
	if differs(t.UserID, c.owner.UserID) || differs(t.CustomerID, c.owner.CustomerID) {
		c.patience = 0
		return errOtherUser
	}
	return nil
}

// isRefused reports whether the API did not process a request.
func isRefused(err error) bool {
	response, ok := errors.AsType[*fastly.GenericTokenError](err)
	return ok && response.StatusCode/100 == 4 && response.StatusCode != http.StatusRequestTimeout &&
		!errors.Is(err, fastly.ErrInvalidResponse) || errors.Is(err, fastly.ErrInvalidArgument)
}

// isGone reports whether the API says that a token does not exist.
func isGone(err error) bool { return says(err, http.StatusNotFound) }

// isDead reports whether the API says that a key does not work.
func isDead(err error) bool { return says(err, http.StatusUnauthorized) }

// isKnown reports whether the API says that a key may not do something: the key works.
func isKnown(err error) bool { return says(err, http.StatusForbidden) }

// says reports whether err is a response of the API with the status. Gateways send other forms of
// errors, but no "msg".
func says(err error, status int) bool {
	response, ok := errors.AsType[*fastly.GenericTokenError](err)
	if !ok || response.StatusCode != status {
		return false
	}
	var body struct{ Msg string }
	return json.Unmarshal([]byte(response.Body), &body) == nil && body.Msg != ""
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

// revokeStrays revokes all tokens of this rotation but New.
func (x *run) revokeStrays(ctx context.Context) error {
	x.clean.keep = []string{x.record.New.ID}
	for _, id := range x.record.Kept {
		x.clean.add(stray{id: id, seen: true})
	}
	err := x.settle(ctx)
	alone := x.me != nil && x.me.ID == x.record.Old.ID && len(x.clean.clients) == 1
	if err != nil && len(x.clean.left) == 0 && !alone && ctx.Err() == nil {
		// A list that fails is no reason to leave the old token working.
		x.report, err = also(x.report, err), nil
	}
	return err
}

func (x *run) revokeOld(ctx context.Context) error {
	id := x.record.Old.ID
	if x.record.OldRevoked {
		return nil
	}
	old := stray{id: id, seen: true}
	done, err := clock.Repeat(ctx, &x.clean.patience, func() (bool, bool, error) {
		done, err := x.clean.revoke(ctx, &old)
		return done, err == nil || isRefused(err), err
	})
	if err != nil {
		return err
	}
	x.clean.revoked = append(x.clean.revoked, id)
	x.record.OldRevoked = true
	x.log.InfoContext(ctx, "the old token is revoked", "token", id)
	if done {
		return nil
	}
	others := x.others(ctx, held{})
	if others != "" || !x.record.Old.Expired(time.Now()) {
		x.warn(ctx, fmt.Errorf("token %s was gone: unless this rotation has revoked it before, another one has rotated it; token %s is in use here%s", id, x.record.New.ID, others))
	}
	return nil
}

// warn makes Run return err although it goes on, and logs it, in case of a crash.
func (x *run) warn(ctx context.Context, err error) {
	x.report = also(x.report, err)
	x.log.InfoContext(ctx, "another run may interfere", "error", err)
}

// unclearError is an error to which Run adds which token is in use.
type unclearError struct{ error }

func (e unclearError) Unwrap() error { return e.error }

// note makes err unclear if it says that the old token is gone, or the key, which may be that
// token's.
func note(err error) error {
	switch {
	case isDead(err):
		return unclearError{fmt.Errorf("the client's key is rejected: %w", err)}
	case isGone(err):
		return unclearError{err}
	}
	return err
}

// errGone adds which token is in use to an error: another run may have been faster.
func (x *run) errGone(ctx context.Context, err error, unclear unclearError) error {
	there, lookErr := x.look(ctx, false)
	why, old := "another run may have rotated the token; ", x.record.Old.ID
	isInPlace := there.token != nil && there.token.ID == cmp.Or(old, x.r.TokenID)
	isAnotherKey := isDead(unclear) && old != "" && !x.record.Own
	hasExpired := errors.Is(unclear, fastly.ErrTokenExpired) || x.record.Old.Expired(time.Now())
	switch {
	case isInPlace, isAnotherKey, hasExpired:
		why = ""
	case old == "" && isGone(unclear):
		why = "no such token: if it existed, another run may have rotated it; "
	case old == "" && x.r.TokenID != "":
		why = "if it is that of token " + x.r.TokenID + ", another run may have rotated that; "
	}
	return fmt.Errorf("%w; %s%s%s", err, why, x.inPlace(there, lookErr), x.others(ctx, there))
}

// others names the tokens elsewhere that rotations may have made of the old one.
func (x *run) others(ctx context.Context, there held) string {
	if x.record.Old.ID == "" {
		return "" // it was not read
	}
	var text strings.Builder
	if made := append(x.clean.ids(), x.record.Kept...); x.gone != nil && len(made) > 0 {
		fmt.Fprintf(&text, "; as the old token is gone, no run revokes token %s: revoke by hand what is not in use, and run again, with the ID of one that is in use", strings.Join(made, ", "))
	}
	tokens, err := x.clean.list(ctx)
	for _, t := range tokens {
		named := t.ID == x.record.Old.ID || there.token != nil && t.ID == there.token.ID || slices.Contains(x.clean.revoked, t.ID)
		if !named && x.isLikeOld(&t) {
			text.WriteString("; token " + t.ID + " is like it, and may be in use elsewhere")
		}
	}
	if err != nil {
		text.WriteString("; others could not be listed")
	}
	return text.String()
}
