package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo"
)

const (
	// cleanUpTimeout bounds what is done after the program was told to end.
	cleanUpTimeout = time.Minute
	// tries is how often the API is asked for what may take it a moment: a
	// new token to work, or one whose create was cut off to turn up.
	tries = 4
)

// rotation is the replacement of one token, begun or taken up again.
type rotation struct {
	world
	settings
	*journal
	client      *fastly.Client
	connectWith func(fastly.Secret) (*fastly.Client, error)
	lines       *demo.Printer

	// me is the token of client, nil if it doesn't work (any more).
	me *fastly.TokenResponse
	// fresh is a client with the new token, if the program holds that.
	fresh *fastly.Client
}

func (r *rotation) run(ctx context.Context) error {
	if r.leftover != "" && len(r.Asked) == 0 {
		return errors.New("-leftover: there is nothing left over: run again without it")
	}
	me, err := r.client.Tokens.GetTokenCurrent(ctx)
	if err == nil {
		r.me = me
	}
	if r.Phase == "" {
		if err != nil {
			return err
		}
		return r.begin(ctx)
	}
	if err != nil && !refused(err) {
		return err
	}
	r.say("A rotation of token %s is under way (%s); going on with it.", r.Old.ID, r.Phase)
	return r.resume(ctx, err)
}

// begin looks at the old token and writes down what is going to happen.
func (r *rotation) begin(ctx context.Context) error {
	old := r.me
	if r.id != "" && r.id != r.me.ID {
		var err error
		if old, err = r.client.Tokens.GetToken(ctx, r.id); err != nil {
			return err
		}
	}
	switch {
	case old.UserID != r.me.UserID:
		return fmt.Errorf("token %s belongs to another user: only that one can make a token in its place", old.ID)
	case len(old.Scopes) == 0:
		return fmt.Errorf("the API does not say what scopes token %s has", old.ID)
	}
	if _, err := expiry(old, r.ttl, time.Now()); err != nil {
		return err
	}
	tokens, err := r.client.Tokens.ListTokensUser(ctx)
	if err != nil {
		return err
	}
	r.record = record{
		Phase: phaseIdle, Started: time.Now().UTC(), Old: *old, Out: r.out, Marker: rand.Text()[:16],
	}
	if old.ID == r.me.ID {
		r.KeyProof = proof(r.Marker, r.key)
	}
	for _, t := range tokens {
		if t.Name == old.Name {
			r.Known = append(r.Known, t.ID)
		}
	}
	if err := r.save(); err != nil {
		return also(err, r.giveUp())
	}
	r.at("begun")
	return r.renew(ctx)
}

// resume goes on where an earlier run ended. keyErr says what is wrong with the
// key, if anything is.
func (r *rotation) resume(ctx context.Context, keyErr error) error {
	if err := r.checkSame(); err != nil {
		return err
	}
	if r.Out != "" && r.Phase != phaseIdle && r.Phase != phaseCreating {
		held, err := r.fileHoldsNew(ctx)
		if err != nil {
			return err
		}
		if held {
			if err := syncDir(filepath.Dir(r.Out)); err != nil {
				return err
			}
			return r.handedOver(ctx)
		}
	}
	if r.Phase == phaseHanded {
		gone, err := r.newIsGone(ctx)
		if err != nil {
			return err
		}
		if !gone {
			return r.finish(ctx)
		}
		r.say("Token %s was handed over, but revoked since.", r.New)
		r.New = ""
	}
	if keyErr != nil {
		return keyErr
	}
	if r.Out != "" {
		if err := removeFile(r.tempFile()); err != nil {
			return err
		}
	}
	switch r.Phase {
	case phaseCreating:
		if _, err := r.sweep(ctx, 1); err != nil {
			return err
		}
	case phaseCreated:
		if err := r.discardNew(ctx); err != nil {
			return err
		}
	case phaseHanding:
		if r.Out != "" {
			if err := r.discardNew(ctx); err != nil {
				return err
			}
			break
		}
		r.say("The command may have taken token %s: it is revoked once the command has taken another one.", r.New)
		r.Stale, r.New = append(r.Stale, r.New), ""
	}
	r.Phase = phaseIdle
	if err := r.save(); err != nil {
		return err
	}
	return r.renew(ctx)
}

// checkSame refuses to finish a rotation in another way than it was begun.
func (r *rotation) checkSame() error {
	same := r.id == r.Old.ID
	if r.id == "" {
		// Begun with the key itself, which may be the new one by now.
		same = r.KeyProof != "" && (r.me == nil || slices.Contains(append(r.Stale, r.Old.ID, r.New), r.me.ID))
	}
	switch {
	case !same:
		return fmt.Errorf("the state file %s is of a rotation of token %s, which is to be finished first, with -id %[2]s; or use another -state", r.path, r.Old.ID)
	case r.me != nil && r.me.UserID != r.Old.UserID:
		return fmt.Errorf("token %s belongs to another user than the key", r.Old.ID)
	case r.Out != r.out && r.Out != "":
		return fmt.Errorf("the rotation of token %s was begun with -out %s", r.Old.ID, r.Out)
	case r.Out != r.out:
		return fmt.Errorf("the rotation of token %s was begun with a command, not with -out", r.Old.ID)
	}
	return nil
}

// renew makes a new token and hands it over. The record is idle.
func (r *rotation) renew(ctx context.Context) error {
	created, err := r.create(ctx)
	if err != nil {
		return err
	}
	if r.fresh, err = r.connectWith(created.AccessToken); err == nil {
		err = r.checkNew(ctx, created.ExpiresAt)
	}
	if err != nil {
		return r.undo(ctx, err)
	}
	r.at("checked")
	r.Phase = phaseHanding
	if err := r.save(); err != nil {
		return r.undo(ctx, err)
	}
	r.at("handing over")
	if r.Out != "" {
		err = r.replaceFile(created.AccessToken, r.at)
	} else {
		err = r.runCommand(ctx, r.command, created.AccessToken)
	}
	switch {
	case errors.Is(err, errPerhaps):
		return err
	case err != nil:
		return r.undo(ctx, err)
	}
	r.at("handed over")
	return r.handedOver(ctx)
}

// create makes a token and writes down its ID.
func (r *rotation) create(ctx context.Context) (*fastly.TokenCreatedResponse, error) {
	for try := 1; ; try++ {
		expires, err := expiry(&r.Old, r.ttl, time.Now())
		if err != nil {
			return nil, also(err, r.giveUp())
		}
		req := r.login
		req.Name, req.Scopes, req.Services, req.ExpiresAt = r.Old.Name, r.Old.Scopes, r.Old.Services, expires
		r.Phase, r.Asked = phaseCreating, append(r.Asked, expires)
		if err := r.save(); err != nil {
			r.Asked = r.Asked[:len(r.Asked)-1]
			return nil, also(err, r.giveUp())
		}
		r.at("creating")
		created, err := r.client.Tokens.CreateToken(ctx, &req)
		r.at("answered")
		r.identify(ctx, created)
		switch {
		case created != nil && created.ID != "":
			r.answered()
			r.Phase, r.New = phaseCreated, created.ID
			if saveErr := r.save(); saveErr != nil {
				return nil, r.undo(ctx, saveErr)
			}
			if created.AccessToken != "" {
				created.ExpiresAt = expires
				r.say("Created token %s %q: %s, expires %s.", created.ID, r.Old.Name, demo.Text(r.Old.Scopes.String()), stamp(expires))
				return created, nil
			}
			if ctx.Err() != nil || try == 2 {
				return nil, r.undo(ctx, err)
			}
			r.say("The answer to the create broke off before the access token.")
			if err := r.discardNew(ctx); err != nil {
				return nil, err
			}
		case errors.Is(err, fastly.ErrOutcomeUnknown):
			found, sweepErr := r.sweep(ctx, tries)
			if sweepErr != nil || found == 0 {
				return nil, also(err, sweepErr)
			}
			if ctx.Err() != nil || try == 2 {
				return nil, also(err, r.giveUp())
			}
		default:
			r.answered()
			return nil, also(err, r.giveUp())
		}
	}
}

// identify asks whose ID it is if an answer broke off before it.
func (r *rotation) identify(ctx context.Context, created *fastly.TokenCreatedResponse) {
	if created == nil || created.ID != "" || created.AccessToken == "" {
		return
	}
	client, err := r.connectWith(created.AccessToken)
	if err != nil {
		return // no more is known than that a token may have been made
	}
	if t, err := client.Tokens.GetTokenCurrent(ctx); err == nil {
		created.ID = t.ID
	}
}

// answered strikes out the create that was asked for last.
func (r *rotation) answered() { r.Asked = r.Asked[:len(r.Asked)-1] }

// checkNew makes sure that the new token works and is what the old one was.
func (r *rotation) checkNew(ctx context.Context, expires time.Time) error {
	for try := 1; ; try++ {
		t, err := r.fresh.Tokens.GetTokenCurrent(ctx)
		switch {
		case err == nil && t.ID != r.New:
			return fmt.Errorf("the API takes the new token %s for %s", r.New, t.ID)
		case err == nil && (!alike(t, &r.Old) || !t.ExpiresAt.Equal(expires)):
			return fmt.Errorf("the new token %s is not what the old one is: %s on %d services, expires %s",
				t.ID, demo.Text(t.Scopes.String()), len(t.Services), stamp(t.ExpiresAt))
		case err == nil:
			r.say("Token %s works.", r.New)
			return nil
		case try == tries || !refused(err):
			return fmt.Errorf("the new token %s does not work: %w", r.New, err)
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

func (r *rotation) wait(ctx context.Context) error {
	select {
	case <-time.After(r.pause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sweep looks for tokens of creates that had no answer, up to looks times, and
// revokes them. It is an error if it can't tell whose a token is.
func (r *rotation) sweep(ctx context.Context, looks int) (found int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	var own, unsure []fastly.TokenResponse
	for look := range looks {
		if look > 0 {
			if err := r.wait(ctx); err != nil {
				return 0, err
			}
		}
		tokens, err := r.client.Tokens.ListTokensUser(ctx)
		if err != nil {
			return 0, err
		}
		if own, unsure = leftovers(tokens, &r.record); len(own)+len(unsure) > 0 {
			break
		}
	}
	if own, err = r.decide(own, unsure); err != nil {
		return 0, err
	}
	for _, t := range own {
		if err := r.revoke(ctx, t.ID); err != nil {
			return 0, err
		}
		r.say("A create had no answer; token %s, which it made, is revoked.", t.ID)
		if i := slices.IndexFunc(r.Asked, t.ExpiresAt.Equal); i >= 0 {
			r.Asked = slices.Delete(r.Asked, i, i+1)
		}
	}
	return len(own), r.save()
}

// decide adds to own what the user says of the tokens that are not certain.
func (r *rotation) decide(own, unsure []fastly.TokenResponse) ([]fastly.TokenResponse, error) {
	ids := make([]string, len(unsure))
	for i, t := range unsure {
		ids[i] = t.ID
	}
	if len(ids) > 0 && r.leftover != "none" && !slices.Contains(ids, r.leftover) {
		return nil, fmt.Errorf("a create had no answer, and what it may have made can't be told for certain from somebody else's: it may be token %s; "+
			"look at when that was created and last used, then add -leftover %s to have it revoked, or -leftover none if it is not of this rotation",
			strings.Join(ids, " or "), ids[0])
	}
	for _, t := range unsure {
		if t.ID == r.leftover {
			own = append(own, t)
		} else {
			r.Known = append(r.Known, t.ID)
		}
	}
	switch {
	case r.leftover == "none" || r.leftover == "":
	case slices.ContainsFunc(own, func(t fastly.TokenResponse) bool { return t.ID == r.leftover }):
		r.leftover = "" // that was all it was for
	default:
		return nil, fmt.Errorf("-leftover: token %s is not left over from this rotation: run again without it", r.leftover)
	}
	return own, nil
}

// fileHoldsNew reports whether the new token is in its file, and works.
func (r *rotation) fileHoldsNew(ctx context.Context) (bool, error) {
	token, err := readSecret(r.Out)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	client, err := r.connectWith(token)
	if errors.Is(err, fastly.ErrInvalidArgument) {
		return false, nil // something else than a token
	}
	if err != nil {
		return false, err
	}
	t, err := client.Tokens.GetTokenCurrent(ctx)
	if refused(err) {
		return false, nil
	}
	if err != nil || t.ID != r.New {
		return false, err
	}
	r.fresh = client
	return true, nil
}

// newIsGone reports whether somebody has revoked the token that was handed over.
// Without a key that works nobody can say.
func (r *rotation) newIsGone(ctx context.Context) (bool, error) {
	if r.me == nil || r.me.ID == r.New {
		return false, nil
	}
	_, err := r.client.Tokens.GetToken(ctx, r.New)
	if errors.Is(err, fastly.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// handedOver writes down that the new token is the one in use.
func (r *rotation) handedOver(ctx context.Context) error {
	r.say("Token %s is handed over%s.", r.New, r.where())
	r.Phase = phaseHanded
	if err := r.save(); err != nil {
		return err
	}
	r.at("noted")
	return r.finish(ctx)
}

// finish revokes what the new token replaces. Being told to end does not stop
// it: it is the shortest way to an end.
func (r *rotation) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if len(r.Asked) > 0 {
		if _, err := r.sweep(ctx, 1); err != nil {
			return err
		}
		// That was the last look: the key may be gone soon.
		r.Asked = nil
		if err := r.save(); err != nil {
			return err
		}
	}
	// The old one last: it may be the key.
	for _, id := range append(slices.Clone(r.Stale), r.Old.ID) {
		if err := r.revoke(ctx, id); err != nil {
			return err
		}
		r.say("Revoked token %s.", id)
		r.at("revoked")
	}
	if err := r.remove(); err != nil {
		return err
	}
	r.at("done")
	return nil
}

// revoke makes sure that a token does not work any more.
func (r *rotation) revoke(ctx context.Context, id string) error {
	clients := []*fastly.Client{r.client}
	if r.fresh != nil {
		clients = append(clients, r.fresh)
		if id == r.Old.ID && r.KeyProof != "" {
			// If the answer is lost, the key can't see any more that it is
			// gone itself; the new token can.
			slices.Reverse(clients)
		}
	}
	var all error
	for _, client := range clients {
		err := client.Tokens.RevokeToken(ctx, id)
		if err == nil || errors.Is(err, fastly.ErrNotFound) {
			return nil
		}
		if client == r.client && id == r.Old.ID && r.KeyProof == proof(r.Marker, r.key) &&
			(errors.Is(err, fastly.ErrUnauthorized) || r.me == nil && refused(err)) {
			return nil // the key is the token itself
		}
		all = also(all, err)
	}
	return all
}

// discardNew revokes the new token, which nobody has got.
func (r *rotation) discardNew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if err := r.revoke(ctx, r.New); err != nil {
		return err
	}
	r.say("Token %s was not handed over, and is revoked.", r.New)
	r.Phase, r.New, r.fresh = phaseIdle, "", nil
	return r.save()
}

// undo makes a failed step undone, and those before it.
func (r *rotation) undo(ctx context.Context, cause error) error {
	if r.Phase == phaseHanding {
		// It is certain that nobody has the token.
		r.Phase = phaseCreated
		if err := r.save(); err != nil {
			return also(cause, err)
		}
	}
	if err := r.discardNew(ctx); err != nil {
		return also(cause, err)
	}
	return also(cause, r.giveUp())
}

// giveUp forgets the rotation if nothing of it is left.
func (r *rotation) giveUp() error {
	if len(r.Stale)+len(r.Asked) == 0 {
		return r.remove()
	}
	r.Phase = phaseIdle
	return r.save()
}

// left is what an unfinished rotation has left behind, empty if nothing.
func (r *record) left() string {
	old := fmt.Sprintf("token %s still works", r.Old.ID)
	switch r.Phase {
	case phaseCreating:
		return fmt.Sprintf("a token named %q may have been made that nobody holds, to be revoked; %s", r.Old.Name, old)
	case phaseCreated:
		return fmt.Sprintf("token %s is made, but not handed over, and to be revoked; %s", r.New, old)
	case phaseHanding:
		return fmt.Sprintf("token %s may have been handed over; %s", r.New, old)
	case phaseHanded:
		return fmt.Sprintf("token %s is handed over and works; still to be revoked: %s", r.New, strings.Join(append(slices.Clone(r.Stale), r.Old.ID), " "))
	case phaseIdle:
		if len(r.Stale) > 0 {
			old = fmt.Sprintf("the command may have taken token %s; %s", strings.Join(r.Stale, " or "), old)
		}
		return "no new token is handed over; " + old
	}
	return ""
}

// where says which file has the token, if it is one.
func (r *record) where() string {
	if r.Out == "" {
		return ""
	}
	return ": " + r.Out
}

func (r *rotation) say(format string, args ...any) { r.lines.Printf(format+"\n", args...) }

// expiry is when the new token expires: after as long a life as the old one's,
// or ttl. Zero means never.
func expiry(old *fastly.TokenResponse, ttl time.Duration, now time.Time) (time.Time, error) {
	if ttl == 0 {
		if old.ExpiresAt.IsZero() {
			return time.Time{}, nil
		}
		if ttl = old.ExpiresAt.Sub(old.CreatedAt); old.CreatedAt.IsZero() || ttl < time.Second {
			return time.Time{}, fmt.Errorf("the API does not say how long token %s was to live: use -ttl", old.ID)
		}
	}
	return now.Add(ttl).UTC().Truncate(time.Second), nil
}

// proof tells whether a key is the same as before without giving it away.
func proof(marker string, key fastly.Secret) string {
	mac := hmac.New(sha256.New, []byte(marker))
	mac.Write([]byte(key.Reveal()))
	return hex.EncodeToString(mac.Sum(nil))
}

// also joins errors in one line.
func also(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil, err.Error() == more.Error():
		return err
	}
	return fmt.Errorf("%w; then: %w", err, more)
}

// refused reports whether err, of a look at a token by itself, means that it does
// not work.
func refused(err error) bool {
	return errors.Is(err, fastly.ErrUnauthorized) || errors.Is(err, fastly.ErrForbidden)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
