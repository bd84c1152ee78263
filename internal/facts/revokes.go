package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	readOnly      = "Read only tokens are not allowed to access this endpoint."
	limitExceeded = "You have exceeded your hourly rate limit. " +
		"Please contact support@fastly.com if you think this is a mistake."
	wrongPassword = "not the password" // #nosec G101 -- of nobody
)

// revokes are the facts of tokens that are revoked, expired or limited by their
// scope, and of the rate limit.
var revokes = each(Key|Login, Writes, []Fact{
	{ID: "revoke", Says: "`DELETE /tokens/{id}` returns 204.",
		By: reference, Check: status(204, revoked)},
	{ID: "revoke-no-vary", Says: "A 204 has no `Vary`.",
		By: recording, Check: field("Vary", `^$`, revoked)},
	{ID: "revoke-no-sudo", Says: "A revoke needs no `POST /sudo`.",
		By: goClient, Check: after(unconfirmed, status(204, using(jsonScope, revokeIt)))},
	{ID: "revoke-again", Says: "To revoke it again is a 404.",
		By: reference, Check: after(status(204, revoked), status(404, using(jsonScopes, revokeIt)))},
	{ID: "revoked-get", Says: "So is `GET /tokens/{id}` of a revoked token.",
		By: inference, Check: after(status(204, revoked), status(404, using(jsonScopes, getIt)))},
	{ID: "revoked-list", Says: "No list has a revoked token.",
		By: inference, Check: after(status(204, revoked), listed(jsonScopes, false))},
	{ID: "revoked-key", Says: "The key of a revoked token is a 401.",
		By: inference, Check: after(status(204, revoked), status(401, using(jsonScopes, asIt("/tokens/self"))))},
	{ID: "revoke-bulk-none", Says: "A bulk revoke with a token that does not exist, or is revoked already, is a 404.",
		By: inference, Check: after(status(204, revoked), status(404, bulkWithRevoked))},
	{ID: "revoke-bulk-rest", Says: "It then revokes none of its tokens.",
		By: inference, Check: after(status(404, bulkWithRevoked), status(200, using(created, getIt)))},
	{ID: "read-only", Says: "A token of scope `global:read` revokes nothing: a 403 with the `msg` `" + readOnly + "`",
		By: programs, Check: refused(403, readOnly, "", using(reader, revokeUnknown))},
	{ID: "read-only-list", Says: "It may list tokens.",
		By: reference, Check: status(200, using(reader, asIt("/tokens")))},
	{ID: "revoke-self-purge", Says: "A token of a purge scope can't revoke itself: a 403.",
		By: inference, Check: status(403, revokePurger)},
	{ID: "others-list", Says: "`GET /customer/{id}/tokens` is a 200 to a superuser, and a 403 to any other user.",
		By: inference, Needs: OtherKey, Check: byOther(200, func(ctx context.Context, p *Probe, made object) *response {
			return as(p.OtherKey, "/customer/"+made.text("customer_id")+"/tokens")(ctx, p)
		})},
	{ID: "others-get", Says: "So is `GET /tokens/{id}` of another user's token.",
		By: inference, Needs: OtherKey, Check: byOther(200, func(ctx context.Context, p *Probe, made object) *response {
			return as(p.OtherKey, "/tokens/"+made.text("id"))(ctx, p)
		})},
	{ID: "others-bulk", Says: "A bulk revoke of another user's token is a 204 to a superuser, and a 403 to any other user.",
		By: reference, Needs: OtherKey, Check: byOther(204, func(ctx context.Context, p *Probe, made object) *response {
			return p.revokeBulk(ctx, p.OtherKey, made.text("id"))
		})},
	{ID: "others-revoke", Says: "So is `DELETE /tokens/{id}`.",
		By: inference, Needs: OtherKey, Check: after(status(403, revokePurger),
			byOther(204, func(ctx context.Context, p *Probe, _ object) *response {
				return p.revoke(ctx, p.OtherKey, purger(ctx, p).object().text("id"))
			}))},
	{ID: "revoke-bulk", Says: "`DELETE /tokens` with `" + bulkType + "` and `{\"data\":[{\"type\":\"token\",\"id\":\"…\"}]}` revokes " +
		"these tokens: 204.",
		By: reference, Check: status(204, using(created, func(ctx context.Context, p *Probe, _ object) *response {
			return p.revokeBulk(ctx, p.Key, slices.Sorted(maps.Keys(p.live))...) // no check needs them after this
		}))},
	{ID: "revoke-self", Says: "`DELETE /tokens/self` revokes the key's own token: 204.",
		By: reference, Check: status(204, revokeSelf)},
	{ID: "expired", Says: "The key of an expired token is a 401.",
		By: programs, Check: status(401, expired)},
	{ID: "expired-text", Says: "Its `msg` is like `Token 3Riw… expired at 2019-05-01T09:00:00Z`.",
		By: programs, Check: says(401, expired,
			matches(`^Token [0-9A-Za-z]+ expired at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`, "msg"), "msg")},
	{ID: "rate-limit", Says: "The response to a request that is no read has `Fastly-RateLimit-Remaining`, at most 5,000.",
		By: recording, Check: field("Fastly-RateLimit-Remaining", `^([0-4]?\d{1,3}|5000)$`, revoked)},
	{ID: "rate-limit-reset", Says: "And `Fastly-RateLimit-Reset`: Unix seconds, at most an hour ahead.",
		By: recording, Check: resetsWithinAnHour(revoked)},
	{ID: "rate-limit-counts", Says: "Each such request takes one off, a create as well as a revoke.",
		By: recording, Check: after(status(204, revoked), takesOneOff(false))},
	{ID: "rate-limit-reads", Says: "Reads between them take nothing off.",
		By: recording, Check: after(status(204, revoked), takesOneOff(true))},
})

// byOther checks what the other key does with a token: it gets this status, or a 403
// if its user is no superuser.
func byOther(want int, then func(context.Context, *Probe, object) *response) check {
	return func(ctx context.Context, p *Probe) error {
		key, user := as(p.OtherKey, "/tokens/self")(ctx, p).object(), as(p.OtherKey, "/current_user")(ctx, p).object()
		if !same("customer_id")(key, p.self(ctx)) || !ofAnother(key, p.self(ctx)) || key.text("scope") != "global" {
			return cantTell("the other key is not of scope global, or not of another user of the same customer")
		}
		if user.text("role") == "superuser" {
			return status(want, using(reader, then))(ctx, p)
		}
		return status(http.StatusForbidden, using(reader, then))(ctx, p)
	}
}

// sudo are the facts of POST /sudo.
var sudo = each(Key|Sudo, Writes, []Fact{
	{ID: "sudo", Says: "`POST /sudo` with a key and, in JSON, `username` and `password` returns 200 and `expiry_time`.",
		By: reference, Check: has(confirmed, "expiry_time")},
	{ID: "sudo-time", Says: "That is five minutes ahead, and of the form `2021-01-14T11:52:45+00:00`.",
		By: recording, Check: func(ctx context.Context, p *Probe) error {
			r := confirmed(ctx, p)
			text := r.object().text("expiry_time")
			until, err := time.Parse("2006-01-02T15:04:05+00:00", text)
			if err != nil || (until.Sub(r.date())-5*time.Minute).Abs() > 10*time.Second {
				return r.or(fmt.Errorf("expiry_time is %.50q", text))
			}
			return nil
		}},
	{ID: "sudo-form", Says: "It takes a form, too.",
		By: recording, Check: has(confirmByForm, "expiry_time")},
	{ID: "sudo-password", Says: "The password alone is enough.",
		By: programs, Check: has(confirm(func(p *Probe) object { return object{"password": p.Password} }), "expiry_time")},
	{ID: "sudo-shows", Says: "The key's token then shows `sudo_expires_at`, and no other token of the user does.",
		By: recording, Check: after(status(200, confirmed), every(freshList, func(t, self object) bool {
			return (t.text("sudo_expires_at") != "") == (t.text("id") == self.text("id"))
		}, "sudo_expires_at"))},
	{ID: "sudo-create", Says: "A key of scope `global` that `POST /sudo` has confirmed creates tokens: 200.",
		By: goClient, Check: after(status(200, confirmed), has(create(byKey), "access_token"))},
	{ID: "sudo-expiry-time", Says: "`expiry_time` of the request sets when the confirmation ends.",
		By: reference, Check: func(ctx context.Context, p *Probe) error {
			want := p.now().Add(2 * time.Minute)
			return shows(confirm(func(p *Probe) object {
				return object{"username": p.Username, "password": p.Password, "expiry_time": stamp(want)}
			}), func(t, _ object) bool {
				got, err := time.Parse(time.RFC3339, t.text("expiry_time"))
				return err == nil && got.Equal(want)
			}, "expiry_time")(ctx, p)
		}},
})

// harmful are the facts that only a test server should see checked. The last ones
// leave the user locked and the rate limit used up.
var harmful = each(Key|Login, Harms, []Fact{
	{ID: "default-scope", Says: "A create without `scope` makes a token of scope `global`.",
		By: reference, Check: shows(bare, hasScope("global"), "scope")},
	{ID: "default-end", Says: "A create without `expires_at` makes a token that never expires: `expires_at` is null.",
		By: recording, Check: shows(bare, func(t, _ object) bool { return t["expires_at"] == nil }, "expires_at")},
	{ID: "create-invalid-scope", Says: "An unknown scope is a 400 with the `code` `invalid_scope`.",
		By: reference, Check: refused(400, "", "invalid_scope", create(func(_ *Probe, c *creation) {
			c.form.Set("scope", "no_such_scope")
		}))},
	{ID: "create-invalid-time", Says: "An `expires_at` that is no time is a 422.",
		By: reference, Check: status(422, create(func(_ *Probe, c *creation) { c.form.Set("expires_at", "soon") }))},
	{ID: "create-untyped", Says: "A form without a `Content-Type` makes no wider token than it asks for.",
		By: inference, Check: orRefused(create(func(_ *Probe, c *creation) { c.contentType = "" }), asAsked)},
	{ID: "create-query", Says: "Nor does a create with fields in the query.",
		By: inference, Check: orRefused(create(func(p *Probe, c *creation) {
			login := url.Values{"username": {p.Username}, "password": {p.Password}}
			c.noLogin()
			c.query, c.form = c.form, login
		}), asAsked)},
	{ID: "wrong-code", Says: "A wrong one-time password is a 400 with the `code` `2fa.verify`.",
		By: reference, Check: after(status(400, withoutCode), refused(400, "", "2fa.verify", attempt(wrongCode)))},
	{ID: "wrong-password", Says: "A wrong password is a 400 with the `code` `invalid_grant`.",
		By: reference, Check: refused(400, "", "invalid_grant", attempt(func(_ *Probe, c *creation) {
			c.form.Set("password", wrongPassword)
		}))},
	{ID: "wrong-user", Says: "So is a wrong user name.",
		By: reference, Check: refused(400, "", "invalid_grant", attempt(func(_ *Probe, c *creation) {
			c.form.Set("username", "nobody@example.com")
		}))},
	{ID: "sudo-wrong-password", Says: "A wrong password at `POST /sudo` is a 403.",
		By: reference, Needs: Key | Sudo, Check: status(403, confirm(func(*Probe) object {
			return object{"password": wrongPassword}
		}))},
	{ID: "locked", Says: "After many wrong passwords, a create is a 400 with the `code` `account_locked`.",
		By: reference, Check: refused(400, "", "account_locked", locked)},
	{ID: "locked-keys", Says: "The keys of a locked user still work.",
		By: inference, Check: after(refused(400, "", "account_locked", locked), status(200, freshList))},
	{ID: "limited", Says: "Past the rate limit, a request that is no read is a 429.",
		By: programs, Check: status(429, exhausted)},
	{ID: "limited-text", Says: "Its `msg` is `" + limitExceeded + "`",
		By: programs, Check: refused(429, limitExceeded, "", exhausted)},
	{ID: "limited-reset", Says: "It has `Fastly-RateLimit-Reset`, at most an hour ahead.",
		By: programs, Check: resetsWithinAnHour(exhausted)},
})

var (
	revoked = once("revoked", using(jsonScopes, revokeIt))
	reader  = once("reader", create(func(_ *Probe, c *creation) { c.form.Set("scope", "global:read") }))
	purger  = once("purger", create(func(*Probe, *creation) {}))

	revokePurger    = once("revoke purger", using(purger, itself))
	bulkWithRevoked = once("bulk with revoked", using(created, func(ctx context.Context, p *Probe, made object) *response {
		return p.revokeBulk(ctx, p.Key, made.text("id"), jsonScopes(ctx, p).object().text("id"))
	}))

	confirmed = once("confirmed", confirm(func(p *Probe) object {
		return object{"username": p.Username, "password": p.Password}
	}))
	bare = once("bare", create(func(_ *Probe, c *creation) {
		c.form.Del("scope")
		c.form.Del("expires_at")
	}))
)

func revokeIt(ctx context.Context, p *Probe, made object) *response {
	return p.revoke(ctx, p.Key, made.text("id"))
}

func getIt(ctx context.Context, p *Probe, made object) *response {
	r := p.get(ctx, "/tokens/"+made.text("id"))
	if r.status == http.StatusNotFound {
		delete(p.live, made.text("id"))
	}
	return r
}

func revokeUnknown(ctx context.Context, p *Probe, made object) *response {
	return p.revoke(ctx, made.text("access_token"), unknownID)
}

// itself revokes a token by itself.
func itself(ctx context.Context, p *Probe, made object) *response {
	r := p.revoke(ctx, made.text("access_token"), "self")
	if r.status == http.StatusNoContent {
		delete(p.live, made.text("id"))
	}
	return r
}

// revokeSelf revokes a token by itself. Where it would do harm, that is no token of
// scope global.
func revokeSelf(ctx context.Context, p *Probe) *response {
	if p.Harmful {
		return using(bare, itself)(ctx, p)
	}
	r := revokePurger(ctx, p)
	if r.status == http.StatusForbidden {
		return &response{err: cantTell("the scope of the token may not be enough: the status is %s", r.seen())}
	}
	return r
}

// expired is the response to the key of a token that expired while the check waited.
var expired = once("expired", using(create(func(p *Probe, c *creation) {
	c.form.Set("expires_at", stamp(p.now().Add(time.Minute)))
}), func(ctx context.Context, p *Probe, made object) *response {
	if err := p.Wait(ctx, time.Minute+2*time.Second); err != nil {
		return &response{err: cantTell("%v", err)}
	}
	return asIt("/tokens/self")(ctx, p, made)
}))

// resetsWithinAnHour checks when the rate limit of a response ends.
func resetsWithinAnHour(of step) check {
	return func(ctx context.Context, p *Probe) error {
		r := of(ctx, p)
		text := r.header.Get("Fastly-RateLimit-Reset")
		seconds, err := strconv.ParseInt(text, 10, 64)
		ahead := time.Unix(seconds, 0).Sub(r.date())
		if err != nil || ahead < -time.Minute || ahead > time.Hour+time.Minute {
			return r.or(fmt.Errorf("the reset is %.30q in a response of %s", text, stamp(r.date())))
		}
		return nil
	}
}

// takesOneOff checks by how much the rate limit fell between two requests that are
// no reads, with reads between them or without.
func takesOneOff(withReads bool) check {
	return func(_ context.Context, p *Probe) error {
		byOne, byMore, reads := 0, 0, 0
		var before counted
		for _, c := range p.log {
			if c.read {
				reads++
				continue
			}
			fell := before.remaining - c.remaining
			if c.ok && before.ok && c.reset == before.reset && withReads == (reads > 0) {
				switch {
				case fell == 1:
					byOne++
				case fell < 1, withReads && fell == reads+1:
					return fmt.Errorf("it went from %d to %d, with %d reads between", before.remaining, c.remaining, reads)
				default:
					byMore++ // other programs may use the account
				}
			}
			before, reads = c, 0
		}
		if byOne <= byMore {
			return cantTell("other programs may use the account: it fell by one %d times, and by more %d times", byOne, byMore)
		}
		return nil
	}
}

// confirm sends POST /sudo with the fields in JSON.
func confirm(fields func(*Probe) object) step {
	return loggedIn(func(ctx context.Context, p *Probe) *response {
		body, _ := json.Marshal(fields(p)) // never fails
		return p.confirm(ctx, jsonType, string(body))
	})
}

var confirmByForm = loggedIn(func(ctx context.Context, p *Probe) *response {
	form := url.Values{"username": {p.Username}, "password": {p.Password}}
	return p.confirm(ctx, formType, form.Encode())
})

func (p *Probe) confirm(ctx context.Context, contentType, body string) *response {
	return p.send(ctx, http.MethodPost, "/sudo", body, "Content-Type", contentType, "Fastly-Key", p.Key)
}

func wrongCode(_ *Probe, c *creation) { c.header = []string{"Fastly-OTP", "wrong"} }

// asAsked checks that a token is no wider than newCreation asks for.
func asAsked(made step) check {
	return shows(made, func(t, _ object) bool {
		return t.text("scope") == "purge_select" && t.text("expires_at") != ""
	}, "scope", "expires_at")
}

// locked is the first response to a wrong password that is not invalid_grant.
var locked = once("locked", func(ctx context.Context, p *Probe) (r *response) {
	for range 12 {
		r = attempt(func(_ *Probe, c *creation) { c.form.Set("password", wrongPassword) })(ctx, p)
		if r.object().text("code") != "invalid_grant" {
			break
		}
	}
	return r
})

// exhausted uses up the rate limit, if that takes at most 300 requests.
var exhausted = once("exhausted", func(ctx context.Context, p *Probe) *response {
	for range 300 {
		r := p.revoke(ctx, p.Key, unknownID)
		if r.err != nil || r.status == 429 {
			return r
		}
	}
	return &response{err: cantTell("300 requests did not use up the rate limit")}
})
