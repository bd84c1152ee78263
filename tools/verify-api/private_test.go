package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly/internal/facts"
)

func TestTextShowsNothingPrivate(t *testing.T) {
	t.Parallel()
	p := &facts.Probe{Name: "verify-api x", Key: "kkkkkkkkkkkk", Username: "jane", Password: `correct "horse" & more`}
	for text, want := range map[string]string{
		"Record not found":                           "Record not found",
		"the key kkkkkkkkkkkk is wrong":              "the key key-1 is wrong",
		`the password correct "horse" & more`:        "the password password-1",
		"correct &#34;horse&#34; &amp; more":         "password-1",
		"correct+%22horse%22+%26+more":               "password-1",
		"Basic amFuZTpjb3JyZWN0ICJob3JzZSIgJiBtb3Jl": "Basic basic-1",
		"Token 0123456789ABCDEFGHIJkl expired":       "Token id-1 expired",
		"mail me at joe@example.org, please":         "mail me at login-2, please",
		"from 198.51.100.7 and 2001:db8::7":          "from ip-1 and ip-2",
		"S1610624204.628303,VS0,VE158":               "S1610624204.628303,VS0,VE158",
		"Wed, 02 Jan 2030 12:00:00 GMT":              "Wed, 02 Jan 2030 12:00:00 GMT",
		"2030-01-02T12:00:00+00:00":                  "2030-01-02T12:00:00+00:00",
		"a\x1b[31mb":                                 `a\x1b[31mb`,
		"hello jane":                                 "(withheld)", // shorter than a secret should be
	} {
		assert.Equal(t, want, newPrivate(p).text(text), text)
	}
}

func TestBodyShowsKnownFieldsOnly(t *testing.T) {
	t.Parallel()
	r := newPrivate(&facts.Probe{Key: "kkkkkkkkkkkk"})
	jsonBody := http.Header{"Content-Type": {"application/json"}}
	assert.JSONEq(t,
		`[{"created_at":"2030-01-02T12:00:00Z","id":"id-1","more":{"phone":"phone-1"},"name":"name-1","scopes":["global"],"user_id":"id-2"},`+
			`{"expires_at":null,"id":"id-1","n":"number","name":"verify-api ab 1","services":["id-3"]}]`,
		r.body(jsonBody, []byte(`[{"id":"A","user_id":"B","name":"Jane","created_at":"2030-01-02T12:00:00Z","scopes":["global"],"more":{"phone":"1"}},`+
			`{"id":"A","name":"verify-api ab 1","services":["C"],"expires_at":null,"n":42}]`)))
	assert.JSONEq(t, `{"password":["password-1"],"scope":["purge_all"]}`,
		r.body(http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte("password=x&scope=purge_all")))
	assert.Equal(t, "(14 bytes)", r.body(http.Header{"Content-Type": {"text/html"}}, []byte("<html>A</html>")))
}
