package facts

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const sudoRequired = "You must POST /sudo to access this endpoint"

// creates are the facts of POST /tokens, except with a confirmed key.
var creates = each(Login, Writes, []Fact{
	{ID: "create", Says: "`POST /tokens` with `username` and `password` in the form, and no other credentials, " +
		"returns 200 and a token. It needs no `POST /sudo`.",
		By: reference, Check: has(created, "access_token")},
	{ID: "create-fields", Says: "A created token has `id`, `name`, `user_id`, `customer_id`, `service_id`, `expires_at`, " +
		"`created_at`, `updated_at`, `scope`, `services` and `access_token`.",
		By: recording, Check: has(created, "id", "name", "user_id", "customer_id", "service_id",
			"expires_at", "created_at", "updated_at", "scope", "services", "access_token")},
	{ID: "create-access-token", Says: "An access token is 32 letters, digits, `-` and `_`.",
		By: recording, Check: shows(created, matches(`^[0-9A-Za-z_-]{32}$`, "access_token"))},
	{ID: "create-scope", Says: "`scope` of the form is the scope of the token.",
		By: reference, Check: shows(created, hasScope("purge_select"), "scope")},
	{ID: "create-expires-at", Says: "`expires_at` of the form, RFC 3339 in UTC, is when the token ends.",
		By: reference, Check: shows(created, func(t, _ object) bool {
			ends, err1 := time.Parse(time.RFC3339, t.text("expires_at"))
			starts, err2 := time.Parse(time.RFC3339, t.text("created_at"))
			return err1 == nil && err2 == nil && (ends.Sub(starts)-lifetime).Abs() < time.Minute
		}, "created_at", "expires_at")},
	{ID: "create-works", Says: "A created token is valid at once, and `GET /tokens/self` returns it whatever its scope.",
		By: inference, Check: status(200, using(created, asIt("/tokens/self")))},
	{ID: "create-listed", Says: "It is in the list of its user.",
		By: reference, Needs: Key, Check: listed(created, true)},
	{ID: "two-factor", Says: "With two-factor authentication, a create without `Fastly-OTP` is a 400 with the `code` `2fa.verify`.",
		By: reference, Check: refused(400, "", "2fa.verify", withoutCode)},
	{ID: "two-factor-msg", Says: "Its `msg` is `2fa.verify`, too.",
		By: programs, Check: refused(400, "2fa.verify", "", withoutCode)},
	{ID: "two-factor-text", Says: "Its `msg` or `detail` has the words `Invalid one-time password`.",
		By: programs, Check: says(400, withoutCode, func(t, _ object) bool {
			return strings.Contains(t.text("msg")+t.text("detail"), "Invalid one-time password")
		}, "msg", "detail")},
	{ID: "two-factor-code", Says: "With a valid `Fastly-OTP` it makes a token.",
		By: reference, Check: after(status(400, withoutCode), status(200, created))},
	{ID: "create-basic", Says: "User name and password by HTTP Basic create a token, too.",
		By: basicDocs, Check: has(basic, "access_token")},
	{ID: "basic-reads", Says: "They authenticate no other request: with them, `GET /tokens` is a 401.",
		By: inference, Check: status(401, loggedIn(func(ctx context.Context, p *Probe) *response {
			return p.send(ctx, http.MethodGet, "/tokens", "", "Authorization", p.basic())
		}))},
	{ID: "create-scopes", Says: "`scope` holds several scopes, separated by spaces.",
		By: reference, Check: shows(basic, hasScope("purge_all purge_select", "purge_select purge_all"), "scope")},
	{ID: "create-services", Says: "`services[]`, once for each service, limits the token to these; `service_id` is the last.",
		By: reference, Check: func(ctx context.Context, p *Probe) error {
			return shows(limited, func(t, _ object) bool {
				services, _ := t.texts("services")
				return slices.Equal(services, p.services()) && t.text("service_id") == last(services)
			}, "services", "service_id")(ctx, p)
		}},
	{ID: "create-all-services", Says: "Without them it is for all services of the customer: its `services` is empty.",
		By: reference, Check: shows(created, forAllServices, "services")},
	{ID: "create-misspelled", Says: "`services=`, `services[0]=` and `service_id=` don't limit a token: they are ignored, or refused.",
		By: programs, Check: orRefused(create(func(p *Probe, c *creation) {
			for _, name := range []string{"services", "services[0]", "service_id"} {
				c.form.Set(name, p.services()[0])
			}
		}), func(made step) check { return shows(made, forAllServices, "services") })},
	{ID: "create-json", Says: "A create can be JSON, with `scopes` as an array.",
		By: adobe, Check: shows(jsonScopes, hasScope("purge_select"), "scope")},
	{ID: "create-json-scope", Says: "Or with `scope` as a string.",
		By: adobe, Check: shows(jsonScope, hasScope("purge_select"), "scope")},
	{ID: "create-no-credentials", Says: "A create without credentials is a 400 with the `code` `invalid_request`.",
		By: reference, Check: refused(400, "", "invalid_request", attempt(func(_ *Probe, c *creation) { c.noLogin() }))},
	{ID: "create-by-key", Says: "A key alone creates no token: a 403 with the `msg` `" + sudoRequired + "`.",
		By: goClient, Needs: Key, Check: needsSudo(byKey)},
	{ID: "create-empty-basic", Says: "`Authorization: Basic Og==`, an empty pair, beside a key counts as none: the same 403.",
		By: generated, Needs: Key, Check: needsSudo(func(p *Probe, c *creation) {
			c.noLogin("Fastly-Key", p.Key, "Authorization", "Basic Og==")
		})},
	{ID: "create-by-both", Says: "A key beside a login in the form wins, and needs `POST /sudo`: the same 403.",
		By: inference, Needs: Key, Check: after(status(200, created), needsSudo(func(p *Probe, c *creation) {
			c.header = []string{"Fastly-Key", p.Key}
		}))},
})

// purges are the facts of tokens of purge scopes.
var purges = []Fact{
	{ID: "purge-token", Says: "A token of a purge scope can't list tokens: a 403.",
		By: reference, Needs: PurgeToken, Check: status(403, asPurgeToken("/tokens"))},
	{ID: "purge-token-text", Says: "To a purge token, `GET /current_user` is a 403 with the `msg` `Access denied to purge token`.",
		By: goClient, Needs: PurgeToken, Check: refused(403, "Access denied to purge token", "", asPurgeToken("/current_user"))},
}

// created is the first create by login. It is tried without a one-time password
// first, which shows whether the user needs one.
var created = once("created", func(ctx context.Context, p *Probe) *response {
	r := once("without code", attempt(func(*Probe, *creation) {}))(ctx, p)
	p.twoFactor = needsCode(r)
	if p.twoFactor {
		r = p.createWithCode(ctx, func(*Probe, *creation) {})
	}
	if p.PurgeToken == "" {
		p.PurgeToken = r.object().text("access_token")
	}
	return r
})

func needsCode(r *response) bool {
	t := r.object()
	return slices.Contains([]string{t.text("code"), t.text("msg")}, "2fa.verify") ||
		strings.Contains(t.text("msg"), "Invalid one-time password")
}

func withoutCode(ctx context.Context, p *Probe) *response {
	created(ctx, p)
	if !p.twoFactor {
		return &response{err: cantTell("the user has no two-factor authentication")}
	}
	return p.responses["without code"]
}

// create is another create by login, with changes.
func create(change func(*Probe, *creation)) step {
	return loggedIn(func(ctx context.Context, p *Probe) *response { return p.createWithCode(ctx, change) })
}

// loggedIn takes a step only if the first login has worked: a password that is wrong
// is sent once.
func loggedIn(s step) step {
	return using(created, func(ctx context.Context, p *Probe, _ object) *response { return s(ctx, p) })
}

func byKey(p *Probe, c *creation) { c.noLogin("Fastly-Key", p.Key) }

// attempt is a create without a one-time password.
func attempt(change func(*Probe, *creation)) step {
	return func(ctx context.Context, p *Probe) *response {
		c := p.newCreation()
		change(p, c)
		return p.create(ctx, c)
	}
}

var (
	basic = once("basic", create(func(p *Probe, c *creation) {
		c.noLogin("Authorization", p.basic())
		c.form.Set("scope", "purge_all purge_select")
	}))
	jsonScopes = once("scopes", create(func(_ *Probe, c *creation) {
		c.json = map[string]any{"scopes": []string{"purge_select"}}
	}))
	jsonScope = once("scope", create(func(_ *Probe, c *creation) {
		c.json = map[string]any{"scope": "purge_select"}
	}))
	freshList step = func(ctx context.Context, p *Probe) *response { return p.get(ctx, "/tokens") }
)

// limited creates a token that is limited to two services.
var limited = once("limited", func(ctx context.Context, p *Probe) *response {
	r := create(func(p *Probe, c *creation) { c.form["services[]"] = p.services() })(ctx, p)
	if len(p.Services) < 2 && r.err == nil && r.status != 200 {
		return &response{err: cantTell("it needs the IDs of two services of the account: the status is %s", r.seen())}
	}
	return r
})

func (p *Probe) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.Username+":"+p.Password))
}

func (p *Probe) services() []string {
	if len(p.Services) >= 2 {
		return p.Services[:2]
	}
	return []string{"1AbCdEfGhIjKlMnOpQrStV", "2AbCdEfGhIjKlMnOpQrStV"}
}

func forAllServices(t, _ object) bool {
	services, _ := t.texts("services")
	return len(services) == 0
}

func hasScope(wanted ...string) func(t, self object) bool {
	return func(t, _ object) bool { return slices.Contains(wanted, t.text("scope")) }
}

// listed checks whether a token that was made is in the list of its user.
func listed(made step, want bool) check {
	return func(ctx context.Context, p *Probe) error {
		id := ""
		list := using(made, func(ctx context.Context, p *Probe, made object) *response {
			id = made.text("id")
			return p.get(ctx, "/tokens")
		})
		all, err := list(ctx, p).list()
		if got := slices.ContainsFunc(all, func(t object) bool { return t.text("id") == id }); err == nil && got != want {
			err = fmt.Errorf("the list has the token: %t; it has %d in all", got, len(all))
		}
		return err
	}
}

// asIt reads a path with a token that was made.
func asIt(path string) func(context.Context, *Probe, object) *response {
	return func(ctx context.Context, p *Probe, made object) *response {
		return as(made.text("access_token"), path)(ctx, p)
	}
}

func asPurgeToken(path string) step {
	return func(ctx context.Context, p *Probe) *response { return as(p.PurgeToken, path)(ctx, p) }
}

// unconfirmed checks that the key is not confirmed by POST /sudo.
func unconfirmed(ctx context.Context, p *Probe) error {
	self := p.get(ctx, "/tokens/self")
	until, err := time.Parse(time.RFC3339, self.object().text("sudo_expires_at"))
	if err == nil && until.After(p.now()) {
		return cantTell("POST /sudo has confirmed the key until %s", stamp(until))
	}
	return self.is(200)
}

// needsSudo checks that a create with a key is refused, unless the key is confirmed.
func needsSudo(change func(*Probe, *creation)) check {
	return after(unconfirmed, refused(403, sudoRequired, "", func(ctx context.Context, p *Probe) *response {
		r := attempt(change)(ctx, p)
		if needsCode(r) {
			return &response{err: cantTell("the API asked for a one-time password first")}
		}
		return r
	}))
}
