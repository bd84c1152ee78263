package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/fastly-tokens/fastly/internal/facts"
	"github.com/fastly-tokens/fastly/internal/terminal"
)

// private replaces what is private by words such as id-3, the same each time.
type private struct {
	words   map[string]string // by value
	secrets []string          // credentials, in each form in which a server may repeat one
	next    map[string]int
}

func newPrivate(p *facts.Probe) *private {
	r := &private{words: map[string]string{}, next: map[string]int{}}
	r.secret("key", p.Key)
	r.secret("purge-token", p.PurgeToken)
	r.secret("automation-token", p.AutomationToken)
	r.secret("other-key", p.OtherKey)
	r.secret("password", p.Password)
	r.secret("login", p.Username)
	if p.Username != "" {
		r.secret("basic", p.Username+":"+p.Password)
	}
	return r
}

func (r *private) secret(kind, value string) {
	if value == "" {
		return
	}
	word := r.word(kind, value)
	for _, form := range []string{
		value, url.QueryEscape(value), url.PathEscape(value), html.EscapeString(value),
		base64.StdEncoding.EncodeToString([]byte(value)),
	} {
		r.words[form] = word
		r.secrets = append(r.secrets, form)
	}
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
}

func (r *private) word(kind, value string) string {
	if value != "" && r.words[value] == "" {
		r.next[kind]++
		r.words[value] = fmt.Sprintf("%s-%d", kind, r.next[kind])
	}
	return r.words[value]
}

var forms = []struct {
	kind string
	form *regexp.Regexp
}{
	{"login", regexp.MustCompile(`[^\s"'<>(),;:=&]+(@|%40)[\w.-]+`)},
	{"token", regexp.MustCompile(`[0-9A-Za-z_-]{30,}`)},
	{"id", regexp.MustCompile(`[0-9A-Za-z]{20,}`)},
	{"ip", regexp.MustCompile(`\d{1,3}(\.\d{1,3}){3}|(?i)[0-9a-f]*:[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*|[0-9a-f]*::[0-9a-f:.]*`)},
}

// text returns a line without what is private in it. A short secret may be part of any
// word: a line with one is withheld.
func (r *private) text(s string) string {
	for _, value := range r.secrets { // long ones first
		if len(value) < 6 && strings.Contains(s, value) {
			return "(withheld)"
		}
		s = strings.ReplaceAll(s, value, r.words[value])
	}
	for _, f := range forms {
		s = f.form.ReplaceAllStringFunc(s, func(value string) string { return r.word(f.kind, value) })
	}
	return terminal.Escape(s)
}

// public are the fields of which the text is shown. Others are replaced.
var public = strings.Fields(`msg detail details title code status errors scope scopes role type expires_at created_at
	updated_at deleted_at last_used_at sudo_expires_at expiry_time`)

// value returns a JSON value without what is private in it.
func (r *private) value(field string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		shown := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			shown[r.text(name)] = r.value(name, v[name])
		}
		return shown
	case []any:
		shown := []any{}
		for _, value := range v {
			shown = append(shown, r.value(field, value))
		}
		return shown
	case string:
		if slices.Contains(public, field) || strings.HasPrefix(v, "verify-api") {
			return r.text(v)
		}
		if field == "access_token" {
			r.secret(field, v)
		}
		if strings.HasSuffix(field, "id") || strings.HasPrefix(field, "services") {
			field = "id"
		}
		return r.word(r.text(field), v)
	case float64:
		return "number"
	}
	return v
}

// body returns a body in one line.
func (r *private) body(h http.Header, body []byte) string {
	var v any
	form, err := url.ParseQuery(string(body))
	if h.Get("Content-Type") == "application/x-www-form-urlencoded" && err == nil {
		body, _ = json.Marshal(form) // never fails
	}
	if json.Unmarshal(body, &v) != nil {
		return fmt.Sprintf("(%d bytes)", len(body))
	}
	shown, _ := json.Marshal(r.value("", v)) // never fails
	return string(shown)
}

// path returns a path with its IDs replaced.
func (r *private) path(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if !slices.Contains(strings.Fields("tokens self customer current_user sudo no-such-path"), part) {
			parts[i] = r.word("id", part)
		}
	}
	return strings.Join(parts, "/")
}

// shown are the header fields of which the value is shown.
var shown = strings.Fields(`Accept-Ranges Cache-Control Content-Encoding Content-Length Content-Type Date
	Fastly-Ratelimit-Remaining Fastly-Ratelimit-Reset Link Pragma Retry-After Server Status Strict-Transport-Security Vary
	Via X-Cache X-Cache-Hits X-Timer`)

// record adds a request and its response, nil for none, to the transcript.
func (g *guard) record(req *http.Request, sent []byte, resp *http.Response, received []byte) {
	fmt.Fprintf(&g.transcript, "%s\n> %s %s %s\n", g.fact.ID, req.Method, g.private.path(req.URL.Path), g.private.body(req.Header, sent))
	if resp == nil {
		g.transcript.WriteString("< no response\n")
		return
	}
	fmt.Fprintf(&g.transcript, "< %d %s\n", resp.StatusCode, g.private.body(resp.Header, received))
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		value := "(withheld)"
		if slices.Contains(shown, name) {
			value = g.private.text(strings.Join(resp.Header.Values(name), ", "))
		}
		fmt.Fprintf(&g.transcript, "<   %s: %s\n", g.private.text(name), value)
	}
}
