package facts

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	unknownID = "0000000000000000000000"
	timeForm  = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)$`
	wrongKey  = "00000000000000000000000000000000"

	missingCredentials = "Provided credentials are missing or invalid" // #nosec G101 -- a message
)

var list, self = get("/tokens"), get("/tokens/self")

// reads are the facts of the endpoints that read, and of what a token looks like.
var reads = each(Key, Reads, []Fact{
	{ID: "self", Says: "`GET /tokens/self` returns 200 and the key's own token.",
		By: reference, Check: has(self, "id", "created_at")},
	{ID: "get", Says: "`GET /tokens/{id}` returns 200 and the token, as `GET /tokens/self` shows it.",
		By: reference, Check: shows(selfByID, same(sameFields...), sameFields...)},
	{ID: "get-unknown", Says: "`GET /tokens/{id}` with an unknown ID is a 404.",
		By: reference, Check: status(404, get("/tokens/"+unknownID))},
	{ID: "not-found-text", Says: "Its `msg` is `Record not found`.",
		By: programs, Check: refused(404, "Record not found", "", get("/tokens/"+unknownID))},
	{ID: "list", Says: "`GET /tokens` returns 200 and an array with the key's token in it.",
		By: reference, Check: some(list, same("id"))},
	{ID: "list-owner", Says: "All tokens of `GET /tokens` are those of the key's user.",
		By: reference, Check: every(list, same("user_id"), "user_id")},
	{ID: "list-unpaginated", Says: "Lists have no pages: no `Link` header leads to a next one.",
		By: reference, Check: field("Link", `^$`, list)},
	{ID: "list-order", Says: "Lists are not in order of creation.",
		By: recording, Check: listOrder},
	{ID: "list-at-most-100", Says: "A user has at most 100 active tokens.",
		By: reference, Check: func(ctx context.Context, p *Probe) error {
			all, err := list(ctx, p).list()
			if len(all) > 100 {
				return fmt.Errorf("the list has %d tokens", len(all))
			}
			return err
		}},
	{ID: "list-no-secrets", Says: "No list shows an access token.",
		By: reference, Check: every(list, func(t, _ object) bool { return t["access_token"] == nil })},
	{ID: "customer", Says: "`GET /customer/{id}/tokens` returns 200 and an array with the superuser's token in it.",
		By: reference, Needs: Superuser, Check: some(ofCustomer, same("id"))},
	{ID: "customer-owner", Says: "All tokens of `GET /customer/{id}/tokens` are that customer's.",
		By: reference, Needs: Superuser, Check: every(ofCustomer, same("customer_id"), "customer_id")},
	{ID: "customer-users", Says: "They are those of all users of the customer.",
		By: reference, Needs: Superuser, Check: after(some(ofCustomer, ofAnother), every(list, same("user_id")))},
	{ID: "customer-other", Says: "The list of another customer is a 403, whether or not there is one.",
		By: inference, Check: status(403, get("/customer/"+unknownID+"/tokens"))},
	{ID: "token-fields", Says: "A token has `id`, `user_id`, `customer_id`, `name`, `last_used_at`, `created_at`, `expires_at`, `ip`, " +
		"`user_agent`, `sudo_expires_at`, `scopes`, `scope`, `services` and `service_id`.",
		By: recording, Check: every(list, func(t, _ object) bool { return t.has(tokenFields...) }, tokenFields...)},
	{ID: "token-ids", Says: "IDs of tokens, users and customers are 22 letters and digits, some 21.",
		By: recording, Check: every(list, matches(`^[0-9A-Za-z]{21,22}$`, "id", "user_id", "customer_id"),
			"id", "user_id", "customer_id")},
	{ID: "token-scopes", Says: "`scopes` is an array, and `scope` the same in one string, separated by spaces.",
		By: recording, Check: every(list, func(t, _ object) bool {
			scopes, ok := t.texts("scopes")
			return ok && strings.Join(scopes, " ") == t.text("scope")
		}, "scopes", "scope")},
	{ID: "token-services", Says: "`services` is an array of IDs.",
		By: reference, Check: every(list, func(t, _ object) bool {
			_, ok := t.texts("services")
			return ok
		}, "services")},
	{ID: "token-service-id", Says: "`service_id` is the last of the services, and null without any.",
		By: recording, Check: every(list, func(t, _ object) bool {
			services, _ := t.texts("services")
			return t.text("service_id") == last(services)
		}, "services", "service_id")},
	{ID: "token-times", Says: "Times are RFC 3339, to the second, with `Z` or `+00:00`; null, absent or empty if not set.",
		By: recording, Check: every(list, matches(timeForm, tokenTimes...),
			tokenTimes...)},
	{ID: "token-last-use", Says: "`last_used_at` of a token in use is less than an hour ago; it sometimes lags by minutes.",
		By: recording, Check: func(ctx context.Context, p *Probe) error {
			at, err := time.Parse(time.RFC3339, p.self(ctx).text("last_used_at"))
			if err != nil || p.now().Sub(at).Abs() > time.Hour {
				return self(ctx, p).or(fmt.Errorf("last_used_at is %.50q", p.self(ctx).text("last_used_at")))
			}
			return nil
		}},
	{ID: "token-client", Says: "A token in use shows the IP address and the `User-Agent` of a client that used it.",
		By: reference, Check: shows(self, func(t, _ object) bool {
			_, err := netip.ParseAddr(t.text("ip"))
			return err == nil && t.text("user_agent") != ""
		})},
	{ID: "token-of-a-session", Says: "A token named `manage.fastly.com browser session` is a session of the web interface, of scope `global`.",
		By: programs, Check: after(some(list, isSession), every(list, func(t, self object) bool {
			return !isSession(t, self) || t.text("scope") == "global"
		}, "scope"))},
	{ID: "current-user", Says: "`GET /current_user` returns 200 and the key's user: `id`, `login`, `customer_id` and `role`.",
		By: goClient, Check: has(get("/current_user"), "id", "login", "customer_id", "role")},
	{ID: "current-user-ids", Says: "Its `id` and `customer_id` are the `user_id` and `customer_id` of the user's tokens.",
		By: goClient, Check: shows(get("/current_user"), func(u, self object) bool {
			return u.text("id") == self.text("user_id") && u.text("customer_id") == self.text("customer_id")
		}, "id", "customer_id")},
})

// automation are the facts of automation tokens, which belong to no user.
var automation = []Fact{
	{ID: "automation-self", Says: "With the key of an automation token, `GET /tokens/self` returns 200 and that token.",
		By: programs, Needs: AutomationToken, Check: has(automationToken, "id")},
	{ID: "automation-no-user", Says: "It has no `user_id`, or an empty one.",
		By: programs, Needs: AutomationToken, Check: shows(automationToken, func(t, _ object) bool {
			return t["user_id"] == nil || t["user_id"] == ""
		}, "user_id")},
	{ID: "automation-times", Says: "What is not set in it may be an empty string, times included.",
		By: recording, Needs: AutomationToken, Check: shows(automationToken, matches(timeForm, tokenTimes...), tokenTimes...)},
	{ID: "automation-revoke", Says: "`DELETE /tokens/{id}` revokes it: 204.",
		By: recording, Needs: Key | AutomationToken, Effect: Harms, Check: status(204, using(automationToken, revokeIt))},
}

// responses are the facts of authentication, errors and header fields.
var responses = []Fact{
	{ID: "no-key", Says: "A request without credentials is a 401.",
		By: reference, Check: status(401, as("", "/tokens"))},
	{ID: "no-key-text", Says: "Its `msg` is `" + missingCredentials + "`.",
		By: programs, Check: refused(401, missingCredentials, "", as("", "/tokens"))},
	{ID: "wrong-key", Says: "A wrong key is a 401; no other source confirms the 403 of the reference for an invalid token.",
		By: programs, Check: status(401, as(wrongKey, "/tokens/self"))},
	{ID: "unknown-path", Says: "An unknown path is a 404 to a request with a key.",
		By: inference, Needs: Key, Check: status(404, get("/no-such-path"))},
	{ID: "unknown-path-no-key", Says: "Without a key it is a 401: the key is checked first.",
		By: inference, Check: status(401, as("", "/no-such-path"))},
	{ID: "current-user-no-key", Says: "`GET /current_user` without a key is a 401.",
		By: goClient, Check: status(401, as("", "/current_user"))},
	{ID: "error-json", Says: "An error is a JSON object with the string `msg`, often with the string `detail`.",
		By: programs, Needs: Key, Check: says(404, get("/tokens/"+unknownID), func(t, _ object) bool {
			return t.text("msg") != "" && (t["detail"] == nil || t.text("detail") != "")
		}, "msg", "detail")},
	{ID: "error-type", Says: "The `Content-Type` of an error is `application/json`, sometimes `text/plain`.",
		By: programs, Check: field("Content-Type", `^(application/json|text/plain)\b`, as("", "/tokens"))},
	{ID: "error-served-by", Says: "An error, too, has `X-Served-By`, which Fastly's support asks for.",
		By: programs, Check: field("X-Served-By", `.`, as("", "/tokens"))},
	{ID: "gzip", Says: "A body is compressed if the client asks for gzip.",
		By: recording, Needs: Key, Check: field("Content-Encoding", `^gzip$`, gzipped)},
	header("Content-Type", `^application/json\b`, "is `application/json`"),
	header("Content-Encoding", `^$`, "is absent if the client does not ask for gzip"),
	header("Content-Length", `^$`, "is absent"),
	header("Cache-Control", `\bno-store\b`, "is `no-store`"),
	header("Pragma", `^no-cache$`, "is `no-cache`"),
	header("Server", `.`, "is there; it varies by year and endpoint"),
	header("Status", `^200( OK)?$`, "repeats the status: `200 OK`"),
	header("Vary", `\bAccept-Encoding\b`, "is `Accept-Encoding`"),
	header("Strict-Transport-Security", `^max-age=\d+`, "has a `max-age`"),
	header("Via", `\bvarnish\b`, "names `varnish`"),
	header("Accept-Ranges", `^bytes(, bytes)?$`, "is `bytes`"),
	header("X-Served-By", `^cache-.*, cache-`, "names two caches"),
	header("X-Cache", `^MISS, MISS$`, "is `MISS, MISS`"),
	header("X-Cache-Hits", `^0, 0$`, "is `0, 0`"),
	header("X-Envoy-Upstream-Service-Time", `^\d+$`, "is a number, since 2026"),
	header("X-Timer", `^S\d+\.\d+,VS\d+,VE\d+$`, "has the form `S1610624204.628303,VS0,VE158`"),
	header("Fastly-RateLimit-Remaining", `^$`, "is absent from the response to a read"),
}

// header is the fact that a field of a response with a body has a form.
func header(name, form, says string) Fact {
	return Fact{ID: "header-" + strings.ToLower(name), By: recording, Needs: Key,
		Says:  "With a body, the header field `" + name + "` " + says + ".",
		Check: field(name, form, self)}
}

var (
	sameFields  = []string{"id", "name", "user_id", "customer_id", "scope", "created_at"}
	tokenTimes  = []string{"created_at", "expires_at", "last_used_at", "sudo_expires_at", "updated_at", "deleted_at"}
	tokenFields = []string{
		"id", "user_id", "customer_id", "name", "last_used_at", "created_at", "expires_at", "ip", "user_agent",
		"sudo_expires_at", "scopes", "scope", "services", "service_id",
	}
)

func gzipped(ctx context.Context, p *Probe) *response {
	return p.send(ctx, http.MethodGet, "/tokens", "", "Fastly-Key", p.Key, "Accept-Encoding", "gzip")
}

func ofAnother(t, self object) bool { return t.text("user_id") != self.text("user_id") }

func automationToken(ctx context.Context, p *Probe) *response {
	return as(p.AutomationToken, "/tokens/self")(ctx, p)
}

func isSession(t, _ object) bool { return t.text("name") == "manage.fastly.com browser session" }

// matches reports whether the strings that are there have a form.
func matches(form string, names ...string) func(t, self object) bool {
	re := regexp.MustCompile(form)
	return func(t, _ object) bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			return t.text(name) != "" && !re.MatchString(t.text(name))
		})
	}
}

func last(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func selfByID(ctx context.Context, p *Probe) *response {
	return get("/tokens/"+p.self(ctx).text("id"))(ctx, p)
}

// ofCustomer lists the tokens of the key's customer.
func ofCustomer(ctx context.Context, p *Probe) *response {
	r := get("/customer/"+p.self(ctx).text("customer_id")+"/tokens")(ctx, p)
	if r.status == 403 {
		return &response{err: cantTell("the key's user may not be a superuser: the status is %s", r.seen())}
	}
	return r
}

func listOrder(ctx context.Context, p *Probe) error {
	all, err := list(ctx, p).list()
	var created []string
	for _, t := range all {
		created = append(created, t.text("created_at"))
	}
	inOrder := slices.IsSorted(created)
	slices.Sort(created)
	if err == nil && len(slices.Compact(created)) < 6 { // fewer may be in order by chance
		return cantTell("it needs six tokens that were created at different times: the user has %d", len(slices.Compact(created)))
	}
	if err == nil && inOrder {
		return fmt.Errorf("the list has %d tokens, in order of creation", len(all))
	}
	return err
}
