package facts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// response is what a step got; err, if it got none.
type response struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// or returns err, unless there was no response.
func (r *response) or(err error) error {
	if r.err != nil {
		return r.err
	}
	return err
}

// date is when the response was sent, by the API's clock.
func (r *response) date() time.Time {
	date, _ := http.ParseTime(r.header.Get("Date")) // zero without one
	return date
}

func (r *response) is(status int) error {
	if r.status != status {
		return r.or(fmt.Errorf("the status is %s instead of %d", r.seen(), status))
	}
	return nil
}

// seen is the status, and what an error says.
func (r *response) seen() string {
	t := r.object()
	if r.status < 300 || t == nil {
		return strconv.Itoa(r.status)
	}
	return fmt.Sprintf("%d (msg %.200q, code %.50q)", r.status, t.text("msg"), t.text("code"))
}

// object returns the body as an object, or nil.
func (r *response) object() (t object) {
	if json.Unmarshal(r.body, &t) != nil {
		return nil
	}
	return t
}

// list returns the tokens of a list.
func (r *response) list() (all []object, err error) {
	if err := r.is(200); err != nil {
		return nil, err
	}
	if json.Unmarshal(r.body, &all) != nil || all == nil {
		return nil, fmt.Errorf("the body is not a JSON array of objects")
	}
	return all, nil
}

// object is a JSON object.
type object map[string]any

// text returns a string, or "" if the value is none.
func (t object) text(name string) string {
	s, _ := t[name].(string)
	return s
}

// texts returns an array of strings, and whether the value is one.
func (t object) texts(name string) (all []string, ok bool) {
	values, ok := t[name].([]any)
	for _, v := range values {
		s, isText := v.(string)
		all, ok = append(all, s), ok && isText
	}
	return all, ok
}

// show describes fields: of those that may be private, the form of the value.
func (t object) show(names []string) string {
	var shown []string
	for _, name := range names {
		value := fmt.Sprintf("%.100q", fmt.Sprint(t[name]))
		if !slices.Contains(public, name) {
			value = "like " + regexp.MustCompile(`[\p{L}]`).ReplaceAllString(regexp.MustCompile(`\d`).ReplaceAllString(value, "9"), "x")
		}
		shown = append(shown, name+" is "+value)
	}
	return strings.Join(shown, ", ")
}

var public = append([]string{"scope", "scopes", "msg", "detail", "expiry_time"}, tokenTimes...)

// step takes a step: most send one request.
type step func(context.Context, *Probe) *response

// once makes a step that is taken once.
func once(name string, s step) step {
	return func(ctx context.Context, p *Probe) *response {
		if p.responses[name] == nil {
			r := s(ctx, p)
			if p.responses == nil {
				p.responses = map[string]*response{}
			}
			p.responses[name] = r
		}
		return p.responses[name]
	}
}

// get asks with the key, once for each path.
func get(path string) step {
	return once(path, func(ctx context.Context, p *Probe) *response { return p.get(ctx, path) })
}

// as asks with another key, or none.
func as(key, path string) step {
	return once(path+" "+key, func(ctx context.Context, p *Probe) *response {
		if key == "" {
			return p.send(ctx, http.MethodGet, path, "")
		}
		return p.send(ctx, http.MethodGet, path, "", "Fastly-Key", key)
	})
}

// using takes a step with the token that another has made.
func using(made step, then func(context.Context, *Probe, object) *response) step {
	return func(ctx context.Context, p *Probe) *response {
		r := made(ctx, p)
		err := r.is(http.StatusOK)
		if err == nil && r.object().text("id") == "" {
			err = errors.New("its response has no ID")
		}
		if err != nil {
			return &response{err: follows(err)}
		}
		return then(ctx, p, r.object())
	}
}

type check = func(context.Context, *Probe) error

// status checks the status.
func status(want int, of step) check {
	return func(ctx context.Context, p *Probe) error { return of(ctx, p).is(want) }
}

// refused checks an error: its status and, unless they are empty, msg and code.
func refused(status int, msg, code string, of step) check {
	return func(ctx context.Context, p *Probe) error {
		r := of(ctx, p)
		t := r.object()
		if r.status == status && (msg == "" || t.text("msg") == msg) && (code == "" || t.text("code") == code) {
			return nil
		}
		return r.or(fmt.Errorf("the status is %s", r.seen()))
	}
}

// field checks a header field.
func field(name, form string, of step) check {
	return func(ctx context.Context, p *Probe) error {
		r := of(ctx, p)
		value := strings.Join(r.header.Values(name), ", ")
		if !regexp.MustCompile(form).MatchString(value) {
			return r.or(fmt.Errorf("%s is %.200q", name, value))
		}
		return r.err
	}
}

// has checks that a 200 is an object with these fields.
func has(of step, names ...string) check {
	return shows(of, func(t, _ object) bool { return t.has(names...) }, names...)
}

func (t object) has(names ...string) bool {
	for _, name := range names {
		if _, ok := t[name]; !ok {
			return false
		}
	}
	return true
}

// shows checks the object of a 200. If it is not as it should be, these fields say
// what was seen. ok gets the key's own token, too.
func shows(of step, ok func(t, self object) bool, names ...string) check {
	return says(http.StatusOK, of, ok, names...)
}

// says is shows for another status.
func says(status int, of step, ok func(t, self object) bool, names ...string) check {
	return func(ctx context.Context, p *Probe) error {
		self := p.self(ctx)
		r := of(ctx, p)
		if err := r.is(status); err != nil {
			return err
		}
		if t := r.object(); t == nil || !ok(t, self) {
			return fmt.Errorf("%s", t.show(names))
		}
		return nil
	}
}

// every checks each token of a list.
func every(of step, ok func(t, self object) bool, names ...string) check {
	return func(ctx context.Context, p *Probe) error {
		self := p.self(ctx)
		all, err := of(ctx, p).list()
		for i, t := range all {
			if !ok(t, self) {
				return fmt.Errorf("token %d of %d: %s", i+1, len(all), t.show(names))
			}
		}
		return err
	}
}

// some checks that a token of a list is as it should be.
func some(of step, ok func(t, self object) bool) check {
	return func(ctx context.Context, p *Probe) error {
		self := p.self(ctx)
		all, err := of(ctx, p).list()
		for _, t := range all {
			if ok(t, self) {
				return nil
			}
		}
		if err == nil {
			err = fmt.Errorf("the list has no such token; it has %d in all", len(all))
		}
		return err
	}
}

// same reports whether these fields of two tokens are the same.
func same(names ...string) func(t, self object) bool {
	return func(t, self object) bool {
		for _, name := range names {
			if t.text(name) != self.text(name) {
				return false
			}
		}
		return true
	}
}

// after checks that something has come about, or else can't tell what follows.
func after(first, then check) check {
	return func(ctx context.Context, p *Probe) error {
		if err := first(ctx, p); err != nil {
			return follows(err)
		}
		return then(ctx, p)
	}
}

// follows is the error of a check that follows a step that failed.
func follows(err error) error {
	if _, ok := errors.AsType[unknown](err); ok {
		return err
	}
	return cantTell("a step before it failed: %v", err)
}

// orRefused checks a 200; an error that says no is right, too.
func orRefused(of step, then func(step) check) check {
	return func(ctx context.Context, p *Probe) error {
		r := of(ctx, p)
		if r.status >= 400 && r.status < 500 {
			return nil
		}
		return then(func(context.Context, *Probe) *response { return r })(ctx, p)
	}
}
