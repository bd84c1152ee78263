package fastly_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// createdWith is a created token with other fields before its access token.
func createdWith(fields string) string {
	return `{"id":"` + someID + `","name":"deploy",` + fields + `,"access_token":"` + someKey + `","user_id":"u"}`
}

// brokenCreated are responses to a create that are wrong in some way, and hold
// an access token.
var brokenCreated = map[string]string{
	"number for a name":            createdWith(`"user_id2":7,"customer_id":7`),
	"object for a customer":        createdWith(`"customer_id":{"id":"x"}`),
	"list for an address":          createdWith(`"ip":[]`),
	"boolean for an agent":         createdWith(`"user_agent":true`),
	"bad time":                     createdWith(`"created_at":"yesterday"`),
	"number for a time":            createdWith(`"expires_at":1893456000`),
	"object for a scope":           createdWith(`"scope":{}`),
	"number in scopes":             createdWith(`"scopes":[7]`),
	"string for services":          createdWith(`"services":"x"`),
	"object in services":           createdWith(`"services":[{}]`),
	"duplicate name":               createdWith(`"customer_id":"a","customer_id":"b"`),
	"duplicate unknown name":       createdWith(`"x":1,"x":2`),
	"duplicate name in an object":  createdWith(`"x":{"y":{"z":1,"z":2}}`),
	"duplicate name of the name":   `{"id":"` + someID + `","name":"deploy","name":"deploy","access_token":"` + someKey + `"}`,
	"duplicate access token":       `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `","access_token":"` + someKey + `"}`,
	"access token, then empty":     `{"id":"` + someID + `","access_token":"` + someKey + `","access_token":""}`,
	"access token, then a number":  `{"id":"` + someID + `","access_token":"` + someKey + `","access_token":7}`,
	"invalid UTF-8":                createdWith(`"customer_id":"` + "\xff" + `"`),
	"lone surrogate":               createdWith(`"customer_id":"\ud800"`),
	"bad escape":                   createdWith(`"customer_id":"\q"`),
	"line break in a string":       createdWith("\"customer_id\":\"a\nb\""),
	"trailing comma":               strings.TrimSuffix(createdJSON, "}") + ",}",
	"missing comma":                createdWith(`"customer_id":"x" "x":1`),
	"unquoted junk before":         "HTTP proxy says hello " + createdJSON,
	"junk in braces before":        "{oops} " + createdJSON,
	"two byte order marks":         "\ufeff\ufeff" + createdJSON,
	"XSSI prefix":                  ")]}',\n" + createdJSON,
	"unquoted junk after":          createdJSON + " and goodbye",
	"HTML after":                   createdJSON + "<script>track()</script>",
	"second object after":          createdJSON + `{"msg":"x"}`,
	"unquoted junk within":         createdWith(`junk`),
	"unquoted value":               createdWith(`"customer_id":x`),
	"ends behind it":               `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"`,
	"ends in the next name":        `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `","expi`,
	"ends in the next value":       `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `","expires_at":"20`,
	"in a list":                    "[" + createdJSON + "]",
	"in an object":                 `{"data":` + createdJSON + `}`,
	"in JSON:API":                  `{"data":{"id":"` + someID + `","attributes":{"name":"deploy","access_token":"` + someKey + `"}}}`,
	"spaces everywhere":            "{ \"id\" : \"" + someID + "\" , \"name\" : \"deploy\" , \"access_token\"\t:\n\"" + someKey + "\" , } ",
	"more than 1 MiB behind it":    strings.TrimSuffix(createdJSON, "}") + `,"x":"` + strings.Repeat("x", 2<<20) + `"}`,
	"more than 1 MiB of spaces":    createdJSON + strings.Repeat(" ", 2<<20),
	"single quotes elsewhere":      createdWith(`'x':'y'`),
	"too deep":                     createdWith(`"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)),
	"spaces, and junk before":      "{ \"id\" : \"" + someID + "\" , junk, \"access_token\"\t:\n\"" + someKey + "\" } ",
	"name that ends like it":       `{"id":"` + someID + `",x,"my_access_token":"another","access_token":"` + someKey + `"}`,
	"duplicate empty name":         createdWith(`"":1,"":2`),
	"unquoted value before":        `{"id":"` + someID + `","name":"deploy","bad":x,"access_token":"` + someKey + `"}`,
	"name without a value before":  `{"id":"` + someID + `","access_token" "access_token":"` + someKey + `"}`,
	"name as a value before":       `{"id":"` + someID + `","x":"access_token","access_token":"` + someKey + `",}`,
	"text like a field before":     `{"id":"` + someID + `","x":"\"access_token\":","bad":x,"access_token":"` + someKey + `"}`,
	"quotes of the access token":   `{"id":"` + someID + `",x,"access_token":"` + strings.Replace(someKey, "K", `\u004b`, 1) + `"}`,
	"no ID":                        `{"x":{"id":"` + someID + `"},"access_token":"` + someKey + `"}`,
	"empty ID":                     `{"id":"","x":{"id":"` + someID + `"},"access_token":"` + someKey + `"}`,
	"ID of another type":           `{"x":[{"id":"` + someID + `"}],"id":7,"access_token":"` + someKey + `"}`,
	"access token in another name": `{"id":"` + someID + `","access_token":null,"token":{"access_token":"` + someKey + `"}}`,
}

func TestAccessTokenIsRecoveredFromBrokenResponses(t *testing.T) {
	t.Parallel()
	for name, body := range brokenCreated {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, body)
			created, err := srv.client(t, quickRetry).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
			srv.request(t)
			require.Error(t, err)
			require.NotNil(t, created, "with %v", err)
			assert.Equal(t, someKey, created.AccessToken.Reveal(), "access token")
			assert.Equal(t, someID, created.ID, "ID")
			assert.ErrorContains(t, err, "the response is not what the API sends")
			assert.ErrorContains(t, err, "its access token is in the response")
			assert.NotContains(t, err.Error(), someKey)
			assertOneLine(t, err)
		})
	}
}

// A server that fails after it created the token, or a proxy that changes the status.
func TestAccessTokenOfAnErrorToACreateLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 303, 400, 403, 422, 429, 500, 503, 599} {
		for name, body := range map[string]string{
			"created":      createdJSON,
			"with message": `{"msg":"failed for ` + someKey + `","detail":"` + someKey + `","id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"}`,
			"in JSON:API":  `{"errors":[{"title":"failed"}],"data":{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"}}`,
			"within text":  "upstream failed: " + createdJSON,
		} {
			t.Run(strconv.Itoa(status)+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := newStub(t, status, http.Header{"X-Token": {someKey}}, body)
				created, err := srv.client(t, quickRetry, fastly.WithAPIKey(canaryKey)).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
				srv.request(t)
				assert.Nil(t, created)
				response := responseError(t, err)
				assert.Equal(t, status, response.StatusCode)
				assert.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				assert.ErrorContains(t, err, "a token may have been created: before you create it again, look for the name")
				for _, text := range []string{fmt.Sprintf("%+v", response), err.Error()} {
					assert.NotContains(t, text, someKey)
				}
			})
		}
	}
}

// The words of an error stay as they are, and so does what it means.
func TestAccessTokenOfAnErrorHasTheFormOfOne(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]string{
		"a word": "expired", "a sentence": "is missing or invalid, as the access token is", "empty": "", "the client's own key": canaryKey,
	} {
		srv := newStub(t, http.StatusUnauthorized, nil, `{"msg":"Token 3Riw expired at 2019-05-01T09:00:00Z","access_token":"`+token+`"}`)
		created, err := srv.client(t, fastly.WithAPIKey(canaryKey)).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		srv.request(t)
		assert.Nil(t, created, name)
		assertMatches(t, err, fastly.ErrUnauthorized, fastly.ErrTokenExpired)
		assert.EqualError(t, err, "fastly: POST /tokens: 401 Token 3Riw expired at 2019-05-01T09:00:00Z"+hintExpired, name)
	}
}

// An access token that can't be found by its name is not shown, either.
func TestAccessTokenAnywhereInAnErrorIsNotShown(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"cut off behind it": `{"id":"` + someID + `","access_token":"` + someKey,
		"JSON in JSON":      `{"msg":"upstream: {\"id\":\"x\",\"access_token\":\"` + someKey + `\"}"}`,
		"HTML":              `<title>{&quot;access_token&quot;:&quot;` + someKey + `&quot;}</title>`,
		"a Go map":          `map[access_token:` + someKey + ` id:x]`,
		"a second one":      `{"access_token":"pending","data":{"access_token":"` + someKey + `"}}`,
	} {
		srv := newStub(t, http.StatusInternalServerError, nil, body)
		_, err := srv.client(t, fastly.WithAPIKey(canaryKey)).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, name)
		assert.NotContains(t, fmt.Sprintf("%v %+v", err, responseError(t, err)), someKey, name)
		assert.Contains(t, responseError(t, err).Body, "[REDACTED]", name)
	}
}

// Nothing but a create makes an access token, and nothing shows one.
func TestAccessTokenOfAnErrorIsNotShown(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusBadRequest, nil, createdJSON)
	client := srv.client(t, fastly.WithAPIKey(canaryKey))
	for _, op := range operations {
		response := responseError(t, op.do(t.Context(), client))
		assert.Contains(t, response.Body, "[REDACTED]", op.name)
		assert.NotContains(t, response.Body, someKey, op.name)
		assert.NotContains(t, response.Error(), someKey, op.name)
	}
}

// One field can't be read, but the others can.
func TestCreatedTokenKeepsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	srv := newStub(t, http.StatusOK, nil, `{"id":"`+someID+`","created_at":"2030-01-02T03:04:05Z","expires_at":{"odd":true},"scope":"purge_all purge_select","name":"deploy","access_token":"`+someKey+`","customer_id":"c"}`)
	created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.EqualError(t, err, `fastly: POST /tokens: the response is not what the API sends: its field /expires_at has an unexpected type; `+
		"the token was created, and its access token is in the response: keep it, or revoke the token")
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, "the token is known to exist")
	assert.Equal(t, &fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{
			ID: someID, Name: "deploy", CustomerID: "c", Scopes: fastly.Scopes{"purge_all", "purge_select"}, CreatedAt: date(1),
		},
		AccessToken: someKey,
	}, created)
}

func TestCreatedTokenHasNoTimeThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	body := `{"id":"` + someID + `","expires_at":"9999-12-31T23:59:59-01:00","access_token":"` + someKey + `"}`
	created, err := newStub(t, http.StatusOK, nil, body).client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.ErrorContains(t, err, "its field /expires_at is not an RFC 3339 time")
	assert.Equal(t, &fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: someID}, AccessToken: someKey}, created)
}

func TestCreatedTokenWithoutAccessTokenKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, accessToken := range []string{``, `,"access_token":""`, `,"access_token":null`, `,"access_token":7`, `,"access_token":["` + someKey + `"]`, `,"x":1,"x":2`} {
		srv := newStub(t, http.StatusOK, nil, `{"id":"`+someID+`","scopes":["global"],"scope":"","expires_at":"2030-04-02T03:04:05Z"`+accessToken+`}`)
		created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		assertMatches(t, err, fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse)
		require.NotNil(t, created, accessToken)
		assert.Equal(t, fastly.TokenCreatedResponse{
			TokenResponse: fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"global"}, ExpiresAt: date(4)},
		}, *created, accessToken)
	}
}

// TestRecoveredAccessTokenOfATruncatedResponse cuts a response at each byte.
func TestRecoveredAccessTokenOfATruncatedResponse(t *testing.T) {
	t.Parallel()
	before := `{"id":"` + someID + `","access_token":"` + someKey + `"`
	whole := before + `,"name":"deploy","services":["` + someService + `"]}`
	for keep := range len(whole) {
		srv := newStub(t, http.StatusOK, http.Header{"Content-Length": {strconv.Itoa(len(whole))}}, whole[:keep])
		created, err := srv.client(t, quickRetry).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
		srv.request(t)
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, "cut behind %d bytes", keep)
		assert.ErrorContains(t, err, "the response was truncated")
		assert.NotContains(t, err.Error(), someKey[:10])
		if keep >= len(before) {
			require.NotNil(t, created, "cut behind %d bytes", keep)
			assert.Equal(t, someKey, created.AccessToken.Reveal())
			assert.Equal(t, someID, created.ID)
		} else if created != nil {
			assert.Empty(t, created.AccessToken, "part of an access token is none")
			assert.Equal(t, someID, created.ID, "part of an ID is none")
		}
	}
}

// An access token at another place may be another token's.
func TestAccessTokenFromAnotherPlaceIsUnverified(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"user":{"access_token":"another"},"id":"5Yo3XX"}`,
		`{"access_token":"","user":{"access_token":"another"},"id":"5Yo3XX"}`,
		`{"x":{"access_token":""},"user":{"access_token":"another"},"id":"5Yo3XX"}`,
	} {
		srv := newStub(t, http.StatusOK, nil, body)
		created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		assertMatches(t, err, fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse)
		require.ErrorContains(t, err, "; a token was created, and what may be its access token is in the response: test it before you rely on it")
		assert.Equal(t, "another", created.AccessToken.Reveal())
		assert.Equal(t, "5Yo3XX", created.ID)
	}
}

// Each of these names begins another search.
func TestRecoveryTakesLinearTime(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{`"access_token":{`, `"id":{`, `"id":"`, `"access_token":"\\`, `"access_token":[`, `"access_token":"" `} {
		t.Run(unit, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, "{"+strings.Repeat(unit, 1<<20/len(unit)-1))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it takes a fraction of a second
			defer cancel()
			_, err := srv.client(t).Tokens.CreateToken(ctx, &fastly.CreateTokenRequest{})
			require.ErrorContains(t, err, "not what the API sends")
			require.NoError(t, ctx.Err(), "the search was too slow")
		})
	}
}

// errorBodies are bodies of any form, with what GenericTokenError makes of each.
var errorBodies = map[string]errorCase{
	// The body decides, not its type.
	"JSON as text": {
		status: 404, contentType: typeText, body: `{"msg":"Record not found","detail":"Cannot load token"}`,
		msg: "Record not found", detail: "Cannot load token", text: "404 Record not found: Cannot load token",
	},
	"JSON of no type": {
		status: 404, body: ` {"msg":"Record not found"}` + "\r\n", msg: "Record not found", text: "404 Record not found",
	},
	"text as JSON": {
		status: 400, contentType: typeJSON, body: "Bad Request\n", msg: "Bad Request", text: "400 Bad Request", foreign: true,
	},

	// Other forms seen behind the same host.
	"text": {
		status: 503, contentType: typeText, body: "  upstream connect error\n", msg: "upstream connect error", text: "503 upstream connect error",
	},
	"JSON:API": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":[{"title":"Forbidden","detail":"No access to it","code":"forbidden"},{"title":"Second"}]}`,
		msg: "Forbidden", detail: "No access to it; Second", code: "forbidden", text: "400 Forbidden: No access to it; Second (forbidden)",
	},
	"JSON:API with msg": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":[{"title":"First","detail":"of errors","code":"1"}],"msg":"Own"}`,
		msg: "Own", detail: "First; of errors", code: "1", text: "400 Own: First; of errors (1)",
	},
	"msg in errors": {
		status: 400, contentType: typeJSON, body: `{"errors":[{"msg":"First","title":"other"},{"msg":"Second"}]}`, msg: "First", detail: "Second", text: "400 First: Second",
	},
	"JSON:API with null first": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":[null,null,{"title":"Third"}]}`, msg: "Third", text: "400 Third",
	},
	"JSON:API without errors": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":[]}`, text: `400 {"errors":[]}`, foreign: true,
	},
	"JSON:API of nulls": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":[null]}`, text: `400 {"errors":[null]}`, foreign: true,
	},
	"JSON:API with text": {
		status: 400, contentType: typeJSONAPI, body: `{"errors":["no","", 7,"never"]}`, msg: "no", detail: "never", text: "400 no: never",
	},
	"title and errors of text": {
		status: 400, contentType: typeJSON, body: `{"title":"An error occurred","status":400,"errors":["role is invalid","so is name"]}`,
		msg: "An error occurred", detail: "role is invalid; so is name", text: "400 An error occurred: role is invalid; so is name",
	},
	"details": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","details":"expires_at is odd"}`,
		msg: "Bad request", detail: "expires_at is odd", text: "400 Bad request: expires_at is odd",
	},
	"errors of text alone": {
		status: 404, contentType: typeJSON, body: `{"errors":"no such thing"}`, msg: "no such thing", text: "404 no such thing",
	},
	"one-time password in errors": {
		status: 400, contentType: typeJSON, body: `{"title":"Bad","errors":["Invalid One-Time Password: again"]}`, msg: "Bad", detail: "Invalid One-Time Password: again",
		is: []error{fastly.ErrOTPRequired}, text: "400 Bad: Invalid One-Time Password: again" + hintOTP,
	},
	"JSON:API in JSON:API": { // to any depth, reading it would take seconds
		status: 400, contentType: typeJSONAPI, body: `{"errors":[{"errors":[{"title":"no"}]}]}`, text: `400 {"errors":[{"errors":[{"title":"no"}]}]}`, foreign: true,
	},
	"errors of an object": {
		status: 400, contentType: typeJSON, body: `{"errors":{"title":"no"}}`, msg: "no", text: "400 no",
	},
	"RFC 9457": {
		status: 400, contentType: typeProblem, body: `{"type":"about:blank","title":"Bad Request","detail":"expires_at is odd","status":400}`,
		msg: "Bad Request", detail: "expires_at is odd", text: "400 Bad Request: expires_at is odd",
	},
	"RFC 9457, status of its own": {
		status: 502, contentType: typeProblem, body: `{"title":"Not here","status":404}`, msg: "Not here", text: "502 Not here",
	},
	"title and msg": {
		status: 400, contentType: typeJSON, body: `{"title":"Title","msg":"Message"}`, msg: "Message", text: "400 Message",
	},
	"HTML": {
		status: 502, contentType: typeHTML, body: "<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway &amp; co</title></head><body><h1>Sorry</h1></body></html>",
		msg: "502 Bad Gateway & co", text: "502 502 Bad Gateway & co",
	},
	"HTML, upper case": {
		status: 503, contentType: typeHTML, body: `<HTML><TITLE lang="en">Guru Meditation</TITLE></HTML>`, msg: "Guru Meditation", text: "503 Guru Meditation",
	},
	"HTML, mixed case": {
		status: 503, contentType: typeHTML, body: `<Html><Title>Guru Meditation</Title></Html>`, msg: "Guru Meditation", text: "503 Guru Meditation",
	},
	"HTML, not ASCII": {
		// Some upper-case letters are longer than their lower-case ones.
		status: 503, contentType: typeHTML, body: "<html>İȺ\xff<title>İÄ Ⱥ</title>", msg: "İÄ Ⱥ", text: "503 İÄ Ⱥ",
	},
	"HTML with an empty title": {
		status: 502, contentType: typeHTML, body: "<html><title> </title></html>", text: "502 Bad Gateway",
	},
	"HTML without title": {
		status: 502, contentType: typeHTML, body: "<html><body>\nSorry\n</body></html>", text: "502 Bad Gateway",
	},
	"HTML that ends in its title": {
		status: 502, contentType: typeHTML, body: "<html><title>502 Bad", text: "502 Bad Gateway",
	},
	"HTML that ends in its tag": {
		status: 502, contentType: typeHTML, body: "<html><title", text: "502 Bad Gateway",
	},
	"HTML with an end alone": {
		status: 502, contentType: typeHTML, body: "<html></title>", text: "502 Bad Gateway",
	},
	"HTML with its end in the tag": {
		status: 502, contentType: typeHTML, body: "<title </title>x", text: "502 Bad Gateway",
	},

	// Nothing, and odd things.
	"empty":       {status: 404, contentType: typeJSON, text: "404 Not Found", foreign: true},
	"white space": {status: 404, contentType: typeJSON, body: " \r\n\t", text: "404 Not Found", foreign: true},
	"empty, of a status without a name": {
		status: 599, text: "599 (no reason given)",
	},
	"empty object": {status: 400, contentType: typeJSON, body: `{}`, text: "400 {}", foreign: true},
	"nulls": {
		status: 400, contentType: typeJSON, body: `{"msg":null,"detail":null,"code":null}`, text: `400 {"msg":null,"detail":null,"code":null}`, foreign: true,
	},
	"empty strings": {
		status: 404, contentType: typeJSON, body: `{"msg":"","detail":"","code":"","title":"Not here"}`, msg: "Not here", text: "404 Not here",
	},
	"numbers": {
		status: 400, contentType: typeJSON, body: `{"msg":"Bad request","code":1234}`, msg: "Bad request", code: "1234", text: "400 Bad request (1234)",
	},
	"objects where text belongs": {
		status: 400, contentType: typeJSON, body: `{"msg":{"en":"Bad"},"detail":["Bad request"],"code":true}`,
		text: `400 {"msg":{"en":"Bad"},"detail":["Bad request"],"code":true}`, foreign: true,
	},
	"escaped names": {
		status: 400, contentType: typeJSON, body: `{"\u006dsg":"Bad request"}`, msg: "Bad request", text: "400 Bad request",
	},
	"names in other objects": {
		status: 400, contentType: typeJSON, body: `{"x":{"msg":"other"},"y":[{"msg":"other"}],"msg":"Bad request","Msg":"other"}`,
		msg: "Bad request", text: "400 Bad request",
	},
	"duplicate names": {
		status: 404, contentType: typeJSON, body: `{"msg":"Record not found","msg":"Record not found"}`, msg: "Record not found", text: "404 Record not found",
	},
	"number for msg": {status: 404, contentType: typeJSON, body: `{"msg":404}`, text: `404 {"msg":404}`, foreign: true},
	"empty msg":      {status: 401, contentType: typeJSON, body: `{"msg":"","detail":"no"}`, detail: "no", text: "401 no", foreign: true},
	"other case":     {status: 404, contentType: typeJSON, body: `{"Msg":"no","Title":"no"}`, text: `404 {"Msg":"no","Title":"no"}`, foreign: true},
	"message": {
		status: 403, contentType: typeJSON, body: `{"message":"Forbidden"}`, text: `403 {"message":"Forbidden"}`, foreign: true,
	},
	"error of OAuth": {
		status: 401, contentType: typeJSON, body: `{"error":"invalid_token","error_description":"no"}`,
		text: `401 {"error":"invalid_token","error_description":"no"}`, foreign: true,
	},
	"default backend": {status: 404, contentType: typeText, body: "default backend - 404", msg: "default backend - 404", text: "404 default backend - 404", foreign: true},
	"nginx": {
		status: 401, contentType: typeHTML, body: "<html><head><title>401 Authorization Required</title></head></html>",
		msg: "401 Authorization Required", text: "401 401 Authorization Required", foreign: true,
	},
	"page that speaks of sudo": {
		status: 403, contentType: typeHTML, body: "<title>POST /sudo: credentials are missing or invalid, expired at, invalid one-time password</title>",
		msg:  "POST /sudo: credentials are missing or invalid, expired at, invalid one-time password",
		text: "403 POST /sudo: credentials are missing or invalid, expired at, invalid one-time password", foreign: true,
	},
	"page of a 503 that speaks of sudo": {status: 503, contentType: typeText, body: "POST /sudo", msg: "POST /sudo", text: "503 POST /sudo", foreign: true},
	"code alone that looks known":       {status: 400, contentType: typeJSON, body: `{"code":"2fa.verify"}`, code: "2fa.verify", text: "400 Bad Request (2fa.verify)", foreign: true},
	"JSON that ends in its message": {
		status: 404, contentType: typeJSON, body: `{"msg":"Record not f`, msg: "Record not f", text: "404 Record not f",
	},
	"JSON that ends early": {
		status: 404, contentType: typeJSON, body: `{"msg":"Record not found","detail":"Cannot lo`, msg: "Record not found", detail: "Cannot lo",
		text: "404 Record not found: Cannot lo",
	},
	"JSON that breaks": {
		status: 404, contentType: typeJSON, body: `{"msg":"Record not found" "detail":"Cannot load token"}`, msg: "Record not found", text: "404 Record not found",
	},
	"array": {
		status: 400, contentType: typeJSON, body: `["Bad request"]`, msg: `["Bad request"]`, text: `400 ["Bad request"]`, foreign: true,
	},
	"control characters": {
		status: 400, contentType: typeJSON, body: `{"msg":"one\r\ntwo\u001b[31m\u202e"}`, msg: "one\r\ntwo\x1b[31m\u202e", text: `400 one\r\ntwo\x1b[31m\u202e`,
	},
	"not UTF-8": {
		status: 400, contentType: typeText, body: "caf\xe9", msg: "caf\xe9", text: "400 caf\ufffd", foreign: true,
	},
	"not UTF-8, in JSON": {
		status: 400, contentType: typeJSON, body: `{"msg":"caf` + "\xe9" + `"}`, msg: "caf\ufffd", text: "400 caf\ufffd",
	},
	"white space around the message": {
		status: 400, contentType: typeJSON, body: `{"msg":" Bad request ","detail":" no\t"}`, msg: " Bad request ", detail: " no\t", text: "400 Bad request :  no",
	},
	"message of white space": {
		status: 400, contentType: typeJSON, body: `{"msg":" \n"}`, msg: " \n", text: "400 Bad Request", foreign: true,
	},
}

func TestErrorBodyOfEachForm(t *testing.T) {
	t.Parallel()
	for name, c := range errorBodies {
		t.Run(name, c.check)
	}
}

func TestErrorBodyIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 1<<20)
	for name, body := range map[string]string{
		"text": long,
		"JSON": `{"msg":"` + long + `","detail":"` + long + `"}`,
		"HTML": "<title>" + long[:4<<10] + "</title>" + long,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusBadRequest, nil, body)
			_, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
			got := responseError(t, err)
			assert.Equal(t, body[:64<<10], got.Body)
			assert.LessOrEqual(t, len(got.Msg), 64<<10)
			want := fastly.ErrInvalidResponse
			if name == "JSON" {
				want = fastly.ErrBadRequest
			}
			assertMatches(t, err, want)
			assert.Less(t, len(err.Error()), 1<<10+120)
			assert.Contains(t, err.Error(), "…")
			assertOneLine(t, err)
		})
	}
}

func TestErrorBodyThatBreaksOffIsKept(t *testing.T) {
	t.Parallel()
	const whole = `{"msg":"Record not found","detail":"Cannot load token"}`
	srv := newStub(t, http.StatusNotFound, http.Header{"Content-Length": {strconv.Itoa(len(whole))}}, whole[:40])
	_, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
	assertMatches(t, err, fastly.ErrNotFound)
	got := responseError(t, err)
	assert.Equal(t, whole[:40], got.Body)
	assert.Equal(t, "Record not found", got.Msg)
}

// TestSwitchedProtocolDoesNotHoldTheCall has an unsolicited 101, and then silence
// on an open connection.
func TestSwitchedProtocolDoesNotHoldTheCall(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				go func() {
					defer close(closed)
					_, err := fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
					assert.NoError(t, err)
					_, err = conn.Read(make([]byte, 1)) // until the client closes
					assert.Error(t, err)
					assert.NoError(t, conn.Close())
				}()
			})
			c := srv.client(t)
			done := make(chan error, 1)
			go func() { done <- op.do(t.Context(), c) }()
			select {
			case err := <-done:
				assert.Equal(t, http.StatusSwitchingProtocols, responseError(t, err).StatusCode)
				assert.Equal(t, op.kind == fastly.KindCreate, errors.Is(err, fastly.ErrOutcomeUnknown), "outcome unknown: %v", err)
			case <-time.After(time.Minute):
				require.Fail(t, "the call hangs")
			}
			select {
			case <-closed:
			case <-time.After(time.Minute):
				require.Fail(t, "the connection was not closed")
			}
		})
	}
}
