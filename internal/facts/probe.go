package facts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Probe sends the requests of the checks, and keeps what they share. It is not safe
// for concurrent use.
type Probe struct {
	URL       string            // without a slash at the end
	Transport http.RoundTripper // nil: [http.DefaultTransport]
	Name      string            // of the tokens that checks make, without its number

	// Credentials; empty: none. The key is of scope global, and of the user who logs
	// in.
	Key             string
	PurgeToken      string // of purge scopes only; the first create sets it
	AutomationToken string // of the key's customer
	OtherKey        string // of scope global, and of another user of the customer
	Username        string
	Password        string
	Code            func(context.Context) (string, error) // a new one-time password each time; nil: none

	Services []string // two of the account; fewer: made-up ones

	Write   bool // check facts that change something
	Sudo    bool // send the password to POST /sudo
	Harmful bool // check harmful facts

	Wait func(context.Context, time.Duration) error // until so much time has passed for the API

	responses map[string]*response // of steps that are taken once
	log       []counted
	clock     time.Time // of the last response
	received  time.Time // when that came
	creates   int
	live      map[string]string // names by ID of the tokens that checks made, until they are revoked
	twoFactor bool              // the user needs one-time passwords
}

// counted is what a response said of the rate limit.
type counted struct {
	read             bool
	remaining, reset int
	ok               bool
}

func (p *Probe) has() Need {
	n := Superuser // as far as is known
	for need, key := range map[Need]string{
		Key: p.Key, PurgeToken: p.PurgeToken, AutomationToken: p.AutomationToken, OtherKey: p.OtherKey,
	} {
		if key != "" {
			n |= need
		}
	}
	if p.Username != "" && p.Password != "" {
		n |= Login
		if p.Sudo {
			n |= Sudo
		}
	}
	return n
}

// send sends a request, with header fields in pairs. It follows no redirect and
// asks for no compression, unless told to.
func (p *Probe) send(ctx context.Context, method, path, body string, header ...string) *response {
	req, err := http.NewRequestWithContext(ctx, method, p.URL+path, strings.NewReader(body))
	if err != nil {
		return &response{err: cantTell("%v", err)}
	}
	defaults := []string{"Accept", jsonType, "Accept-Encoding", "identity", "User-Agent", "verify-api"}
	header = append(defaults, header...)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{
		Transport:     p.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	resp, err := client.Do(req)
	if err != nil {
		return &response{err: cantTell("the request failed: %v", errors.Unwrap(err))} // without the URL
	}
	received, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return &response{err: cantTell("the response was cut off: %v", err)}
	}
	r := &response{status: resp.StatusCode, header: resp.Header, body: received}
	p.note(method, r)
	return r
}

// note keeps what later checks look at.
func (p *Probe) note(method string, r *response) {
	if date := r.date(); !date.IsZero() {
		p.clock, p.received = date, time.Now()
	}
	remaining, err1 := strconv.Atoi(r.header.Get("Fastly-RateLimit-Remaining"))
	reset, err2 := strconv.Atoi(r.header.Get("Fastly-RateLimit-Reset"))
	p.log = append(p.log, counted{method == http.MethodGet, remaining, reset, err1 == nil && err2 == nil})
	if method == http.MethodPost && r.status < 300 {
		p.add(r.object())
	}
}

func (p *Probe) add(made object) {
	if p.live == nil {
		p.live = map[string]string{}
	}
	if id := made.text("id"); id != "" {
		p.live[id] = made.text("name")
	}
}

// get sends a GET with the key.
func (p *Probe) get(ctx context.Context, path string) *response {
	return p.send(ctx, http.MethodGet, path, "", "Fastly-Key", p.Key)
}

// self is the key's own token; nil without a key.
func (p *Probe) self(ctx context.Context) object {
	if p.Key == "" {
		return nil
	}
	return get("/tokens/self")(ctx, p).object()
}

// now is the API's time to the second, as far as it is known.
func (p *Probe) now() time.Time {
	now := time.Now()
	if !p.clock.IsZero() {
		now = p.clock.Add(time.Since(p.received))
	}
	return now.UTC().Truncate(time.Second)
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	bulkType = "application/vnd.api+json; ext=bulk"

	lifetime = 10 * time.Minute // of each token
)

// creation is a request for a token.
type creation struct {
	form        url.Values
	query       url.Values
	json        map[string]any // the body is JSON, with these instead of the scope
	header      []string       // in pairs
	contentType string
}

// newCreation asks, by login, for a token that can do little and ends soon.
func (p *Probe) newCreation() *creation {
	p.creates++
	return &creation{contentType: formType, form: url.Values{
		"name":       {fmt.Sprintf("%s %d", p.Name, p.creates)},
		"scope":      {"purge_select"},
		"expires_at": {stamp(p.now().Add(lifetime))},
		"username":   {p.Username},
		"password":   {p.Password},
	}}
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05Z") }

// noLogin takes the login out of the form, for other credentials in the header.
func (c *creation) noLogin(header ...string) {
	c.form.Del("username")
	c.form.Del("password")
	c.header = header
}

func (p *Probe) create(ctx context.Context, c *creation) *response {
	path, body := "/tokens", c.form.Encode()
	if c.query != nil {
		path += "?" + c.query.Encode()
	}
	if c.json != nil {
		for _, name := range []string{"name", "expires_at", "username", "password"} {
			c.json[name] = c.form.Get(name)
		}
		marshaled, _ := json.Marshal(c.json) // never fails
		body, c.contentType = string(marshaled), jsonType
	}
	if c.contentType != "" {
		c.header = append(c.header, "Content-Type", c.contentType)
	}
	return p.send(ctx, http.MethodPost, path, body, c.header...)
}

// createWithCode sends a create with a new one-time password, if the user needs one.
func (p *Probe) createWithCode(ctx context.Context, change func(*Probe, *creation)) *response {
	if p.twoFactor && p.Code == nil {
		return &response{err: cantTell("the user has two-factor authentication, and there is no one-time password")}
	}
	var code string
	if p.twoFactor {
		var err error
		if code, err = p.Code(ctx); err != nil {
			return &response{err: cantTell("there is no one-time password: %v", err)}
		}
	}
	c := p.newCreation()
	change(p, c)
	if code != "" {
		c.header = append(c.header, "Fastly-OTP", code)
	}
	return p.create(ctx, c)
}

// revoke revokes a token that checks made, and notes that it is gone.
func (p *Probe) revoke(ctx context.Context, key, id string) *response {
	r := p.send(ctx, http.MethodDelete, "/tokens/"+url.PathEscape(id), "", "Fastly-Key", key)
	if r.status == 204 || r.status == 404 && key == p.Key && r.object().text("msg") != "" {
		delete(p.live, id)
	}
	return r
}

// revokeBulk revokes tokens that checks made, all in one request.
func (p *Probe) revokeBulk(ctx context.Context, key string, ids ...string) *response {
	data := []map[string]string{}
	for _, id := range ids {
		data = append(data, map[string]string{"type": "token", "id": id})
	}
	body, _ := json.Marshal(map[string]any{"data": data}) // never fails
	r := p.send(ctx, http.MethodDelete, "/tokens", string(body),
		"Content-Type", bulkType, "Accept", bulkType, "Fastly-Key", key)
	if r.status == 204 {
		maps.DeleteFunc(p.live, func(id, _ string) bool { return slices.Contains(ids, id) })
	}
	return r
}

// CanRevoke checks that the key may revoke the tokens that the login creates.
func (p *Probe) CanRevoke(ctx context.Context) error {
	scopes, _ := p.self(ctx).texts("scopes")
	if !slices.Contains(scopes, "global") {
		return errors.New("the API key does not have the scope global, which it needs to revoke tokens")
	}
	user := get("/current_user")(ctx, p).object().text("login")
	if user != "" && !strings.EqualFold(user, p.Username) {
		return errors.New("the API key and the login belong to different users, so that the key may not be able to revoke the tokens")
	}
	return nil
}

// Live returns how many tokens of checks are not revoked yet.
func (p *Probe) Live() int { return len(p.live) }

// CleanUp revokes the tokens that checks made, even if the response was lost, and
// returns the names by ID of those that are left. sure reports whether the list of
// tokens could be read, which shows those whose response was lost.
func (p *Probe) CleanUp(ctx context.Context) (left map[string]string, sure bool) {
	if p.creates == 0 {
		return nil, true
	}
	listed, err := p.get(ctx, "/tokens").list()
	for _, t := range listed {
		if strings.HasPrefix(t.text("name"), p.Name+" ") {
			p.add(t)
		}
	}
	for id := range p.live {
		p.revoke(ctx, p.Key, id)
	}
	return p.live, err == nil
}
