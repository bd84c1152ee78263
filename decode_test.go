package fastly_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// invalidResponses describe neither a token nor a list of tokens.
var invalidResponses = map[string]string{
	"empty":                   "",
	"spaces":                  " \n\t ",
	"null":                    "null",
	"string":                  `"x"`,
	"number":                  "7",
	"boolean":                 "true",
	"HTML":                    "<!DOCTYPE html><html><title>Sign in</title></html>",
	"text":                    "OK",
	"list of a list":          "[[]]",
	"list with null":          "[" + tokenJSON + ",null]",
	"list with a string":      "[" + tokenJSON + `,"x"]`,
	"list with an empty":      "[" + tokenJSON + ",{}]",
	"list that ends early":    "[" + tokenJSON,
	"list with a comma":       "[" + tokenJSON + ",]",
	"list, and more":          "[" + tokenJSON + "] x",
	"two lists":               "[" + tokenJSON + "][" + tokenJSON + "]",
	"list without commas":     "[" + tokenJSON + tokenJSON + "]",
	"empty object":            "{}",
	"error in a 200":          `{"msg":"Record not found"}`,
	"ID of null":              `{"id":null,"name":"deploy"}`,
	"empty ID":                `{"id":"","name":"deploy"}`,
	"ID of another type":      `{"id":7}`,
	"token in an object":      `{"data":` + tokenJSON + `}`,
	"token that ends early":   strings.TrimSuffix(tokenJSON, "}"),
	"token cut in a string":   tokenJSON[:len(tokenJSON)-4],
	"token, and more":         tokenJSON + " x",
	"two tokens":              tokenJSON + tokenJSON,
	"token in quotes":         `"` + tokenJSON + `"`,
	"lone surrogate in an ID": `{"id":"` + someID + `\ud800"}`,
	"invalid UTF-8 in an ID":  `{"id":"` + someID + "\xff" + `"}`,
	"invalid scope":           `{"id":"` + someID + `","scope":"purge_\udc00"}`,
	"invalid service":         `{"id":"` + someID + `","services":["` + "\xc3" + `"]}`,
	"invalid legacy service":  `{"id":"` + someID + `","service_id":"\udfff"}`,
	"invalid user":            `{"id":"` + someID + `","user_id":"` + "\xed\xa0\x80" + `"}`,
	"invalid customer":        `{"id":"` + someID + `","customer_id":"\ud83d\u0041"}`,
	"two byte order marks":    "\ufeff\ufeff" + tokenJSON,
	"byte order mark inside":  "[\ufeff" + tokenJSON + "]",
	"half a byte order mark":  "\xef\xbb" + tokenJSON,
	"limit of another type":   `{"id":"x","limit_services":"yes"}`,
	"limit of a number":       `{"id":"x","limit_services":1}`,
	"single quotes":           `{'id':'x'}`,
	"comment":                 `{"id":"x"/* */}`,
	"control character":       "{\"id\":\"x\",\"name\":\"a\nb\"}",
	"bad time":                `{"id":"x","created_at":"yesterday"}`,
	"time without a zone":     `{"id":"x","created_at":"2030-01-02T03:04:05"}`,
	"time of another type":    `{"id":"x","expires_at":1893456000}`,
	"time past year 9999":     `{"id":"x","expires_at":"9999-12-31T23:59:59-01:00"}`,
	"time of a date":          `{"id":"x","expires_at":"2030-01-02"}`,
	"time with words":         `{"id":"x","expires_at":"2030-01-02 03:04:05 o'clock UTC"}`,
	"time of day 25":          `{"id":"x","expires_at":"2030-01-02 25:04:05 UTC"}`,
	"time in UTC alone":       `{"id":"x","expires_at":"UTC"}`,
	"time before year 0":      `{"id":"x","expires_at":"0000-01-01T00:00:00+01:00"}`,
	"time of a space":         `{"id":"x","expires_at":" "}`,
	"scope of another type":   `{"id":"x","scope":7}`,
	"scope in an object":      `{"id":"x","scopes":[{"scope":"global"}]}`,
	"string for services":     `{"id":"x","services":"` + someService + `"}`,
	"service of an object":    `{"id":"x","services":[{}]}`,
	"name of an object":       `{"id":"x","name":{"x":1}}`,
	"too deep":                strings.Repeat("[", 20000),
	"token too deep":          `{"id":"x","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}",

	"duplicate name":          `{"id":"` + someID + `","id":"` + otherID + `"}`,
	"duplicate, escaped":      `{"id":"` + someID + `","\u0069d":"` + otherID + `"}`,
	"duplicate, unknown":      `{"id":"` + someID + `","x":1,"x":2}`,
	"duplicate, in an object": `{"id":"` + someID + `","x":{"y":1,"y":2}}`,
	"duplicate, in an array":  `{"id":"` + someID + `","x":[[],[{"y":1,"z":{},"y":2}]]}`,
	"duplicate, null":         `{"id":"` + someID + `","ip":null,"ip":null}`,
	"duplicate, empty name":   `{"id":"` + someID + `","":1,"":2}`,
	"duplicate, last":         `{"id":"` + someID + `","x":[` + strings.Repeat(`{"y":1,"z":2},`, 1000) + `{"y":1,"y":1}]}`,
}

// listsOf returns body, and if that is an object lists with it.
func listsOf(body string) []string {
	if strings.HasPrefix(body, "{") {
		return []string{body, "[" + body + "]", "[" + tokenJSON + "," + body + "]", "[" + body + "," + tokenJSON + "]"}
	}
	return []string{body}
}

func TestInvalidResponseIsAnError(t *testing.T) {
	t.Parallel()
	for name, body := range invalidResponses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusOK, nil, body)
			c := srv.client(t, quickRetry)
			check := func(err error, want ...error) {
				t.Helper()
				require.ErrorContains(t, err, "the response is not what the API sends: ")
				assert.NotErrorAs(t, err, new(*fastly.GenericTokenError), "a 2xx")
				assertMatches(t, err, append(want, fastly.ErrInvalidResponse)...)
				assertOneLine(t, err)
			}
			token, err := c.Tokens.GetToken(t.Context(), someID)
			check(err)
			assert.Nil(t, token)
			token, err = c.Tokens.GetTokenCurrent(t.Context())
			check(err)
			assert.Nil(t, token)
			created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
			check(err, fastly.ErrOutcomeUnknown)
			if created != nil {
				assert.NotEmpty(t, created.ID, "what else would it be good for")
				assert.NotContains(t, created.ID, "\ufffd")
				assert.Empty(t, created.AccessToken)
			}
			assert.Len(t, srv.requests(), 3, "none of them is retried")

			for _, body := range listsOf(body) {
				srv := newStub(t, http.StatusOK, nil, body)
				c := srv.client(t, quickRetry)
				list, err := c.Tokens.ListTokensUser(t.Context())
				check(err)
				again, err := c.Tokens.ListTokensCustomer(t.Context(), someCustomer)
				check(err)
				assert.Equal(t, list, again)
				if !strings.Contains(body, tokenJSON) || strings.HasPrefix(body, "{") {
					assert.Nil(t, list, "nothing could be read")
				}
				for _, token := range list {
					assert.Equal(t, fastly.TokenResponse{ID: someID, Name: "deploy", Scopes: fastly.Scopes{"global"}}, token)
				}
				assert.Len(t, srv.requests(), 2, "none of them is retried")
			}
		})
	}
}

func TestErrorSaysWhatIsInvalid(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                               "it is empty",
		"[]":                             "it is not a JSON object",
		"null":                           "it is not a JSON object",
		"{}":                             "it has no token ID",
		`{"id":"`:                        "its JSON ends too early",
		`{"id":"x"`:                      "its JSON ends too early",
		"<html>Please log in</html>":     "it is not JSON" + hintForeign,
		`{"id":"x","x":01}`:              "it is not valid JSON at byte 15",
		`{"id":"x","id":"y"}`:            "it is not valid JSON at byte 10",
		`{"id":"x"} {}`:                  "there is more after its end",
		`{"id":"x"}]`:                    "there is more after its end",
		`{"id":"x","ip":7,"name":{}}`:    "its field /ip has an unexpected type",
		`{"id":"x","services":"a"}`:      "its field /services has an unexpected type",
		`{"id":"x","expires_at":"soon"}`: "its field /expires_at is not an RFC 3339 time",
	} {
		_, err := newStub(t, http.StatusOK, nil, body).client(t).Tokens.GetToken(t.Context(), someID)
		require.EqualError(t, err, "fastly: GET /tokens/"+someID+": the response is not what the API sends: "+want, "response: %s", body)
	}
	_, err := newStub(t, http.StatusOK, nil, "{}").client(t).Tokens.ListTokensUser(t.Context())
	require.ErrorContains(t, err, "it is not a JSON array")
	_, err = newStub(t, http.StatusOK, nil, `[{"id":"x"},{"id":"y","services":["a",1]}]`).client(t).Tokens.ListTokensUser(t.Context())
	require.ErrorContains(t, err, "its field /1/services/1 has an unexpected type")
	_, err = newStub(t, http.StatusOK, nil, `{"id":"x"}`).client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.ErrorContains(t, err, "it has no access token")
}

// TestInvalidResponseIsNotQuoted has access tokens in responses that can't be
// read.
func TestInvalidResponseIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"access_token":"` + canaryAccess + `"`, `{"id":7,"access_token":"` + canaryAccess + `"}`, `["` + canaryAccess + `"]`,
		`{"id":"x","created_at":"` + canaryAccess + `","access_token":"` + canaryAccess + `"}`, `"` + canaryAccess + `"`, canaryAccess,
		`{"id":"x","` + canaryAccess + `":1,"` + canaryAccess + `":2}`, `{"id":"x"}` + canaryAccess, "<html><title>" + canaryAccess,
		`{"scope":{"` + canaryAccess + `":1},"services":"` + canaryAccess + `"}`, `{"id":"\x` + canaryAccess + `"}`,
	} {
		srv := newStub(t, http.StatusOK, nil, body)
		c := srv.client(t)
		for _, op := range operations {
			err := op.do(t.Context(), c)
			if op.kind == fastly.KindRead || op.kind == fastly.KindCreate {
				require.Error(t, err, "%s of %s", op.name, body)
			}
			assertNoSecret(t, err)
			if err != nil {
				assertOneLine(t, err)
			}
		}
	}
}

// TestDuplicateNameOfEachFieldIsAnError has each name twice: next to itself and
// far away, with its own value and another, as it is and escaped.
func TestDuplicateNameOfEachFieldIsAnError(t *testing.T) {
	t.Parallel()
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(fullTokenJSON), &fields))
	fields["scopes"] = json.RawMessage(`["purge_all"]`)
	fields["service_id"] = json.RawMessage(`"` + someService + `"`)
	fields["access_token"] = json.RawMessage(`"` + someKey + `"`)
	fields["role"] = json.RawMessage(`"engineer"`) // unknown
	for name, value := range fields {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var others strings.Builder
			for other, value := range fields {
				if other != name {
					fmt.Fprintf(&others, `"%s":%s,`, other, value)
				}
			}
			escaped := fmt.Sprintf(`\u%04x`, name[0]) + name[1:]
			for _, format := range []string{
				`{"%[1]s":%[3]s,"%[1]s":%[3]s,%[4]s"x":1}`, `{"%[1]s":%[3]s,%[4]s"%[1]s":%[3]s}`, `{%[4]s"%[1]s":null,"%[1]s":%[3]s}`,
				`{"%[2]s":%[3]s,%[4]s"%[1]s":%[3]s}`, `{"%[1]s":%[3]s,%[4]s"%[2]s":""}`,
			} {
				body := fmt.Sprintf(format, name, escaped, value, others.String())
				c := newStub(t, http.StatusOK, nil, body).client(t)
				_, err := c.Tokens.GetToken(t.Context(), someID)
				require.ErrorContains(t, err, "it is not valid JSON", "response: %s", body)
				created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
				require.ErrorContains(t, err, "it is not valid JSON", "response: %s", body)
				require.NotNil(t, created)
				assert.Equal(t, someKey, created.AccessToken.Reveal(), "response: %s", body)

				c = newStub(t, http.StatusOK, nil, "["+tokenJSON+","+body+"]").client(t)
				_, err = c.Tokens.ListTokensUser(t.Context())
				require.ErrorContains(t, err, "it is not valid JSON", "list with: %s", body)
			}
		})
	}
}

func TestTheSameNameInDifferentObjectsIsNoDuplicate(t *testing.T) {
	t.Parallel()
	body := `{"x":[{"id":"1","id2":"2"},{"id":"1"}],"id":"` + someID + `","y":{"id":"3","x":{"id":"4"}}}`
	c := newStub(t, http.StatusOK, nil, body).client(t)
	token, err := c.Tokens.GetToken(t.Context(), someID)
	require.NoError(t, err)
	assert.Equal(t, fastly.TokenResponse{ID: someID}, *token)
	c = newStub(t, http.StatusOK, nil, "["+body+","+body+"]").client(t)
	list, err := c.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []fastly.TokenResponse{*token, *token}, list)
}

// validTokens are forms in which the API may send a token, with what they mean.
var validTokens = map[string]struct {
	json string
	want fastly.TokenResponse
}{
	"every field":              {fullTokenJSON, fullToken},
	"an ID alone":              {`{"id":"` + someID + `"}`, fastly.TokenResponse{ID: someID}},
	"an unknown scope":         {`{"id":"` + someID + `","scope":"brand:new"}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"brand:new"}}},
	"several scopes":           {`{"id":"` + someID + `","scope":"purge_all purge_select global:read"}`, fastly.TokenResponse{ID: someID, Scopes: fullToken.Scopes}},
	"scopes with more spaces":  {`{"id":"` + someID + `","scope":" purge_all\n purge_select "}`, fastly.TokenResponse{ID: someID, Scopes: fullToken.Scopes[:2]}},
	"scopes of both forms":     {`{"id":"` + someID + `","scope":"purge_all","scopes":["purge_all"]}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all"}}},
	"the other form first":     {`{"id":"` + someID + `","scopes":["global"],"scope":"purge_all"}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all"}}},
	"scopes as an array alone": {`{"id":"` + someID + `","scope":null,"scopes":["purge_all","global:read"]}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all", "global:read"}}},
	"scope as an array":        {`{"id":"` + someID + `","scope":["purge_all","global:read"]}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all", "global:read"}}},
	"scopes as a string":       {`{"id":"` + someID + `","scopes":"purge_all global:read"}`, fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all", "global:read"}}},
	"empty scopes":             {`{"id":"` + someID + `","scope":"","scopes":[]}`, fastly.TokenResponse{ID: someID}},
	"no services":              {`{"id":"` + someID + `"}`, fastly.TokenResponse{ID: someID}},
	"empty services":           {`{"id":"` + someID + `","services":[]}`, fastly.TokenResponse{ID: someID, Services: []string{}}},
	"the legacy service":       {`{"id":"` + someID + `","service_id":"` + someService + `"}`, fastly.TokenResponse{ID: someID, Services: []string{someService}}},
	"services and the legacy":  {`{"id":"` + someID + `","services":["` + otherService + `"],"service_id":"` + someService + `"}`, fastly.TokenResponse{ID: someID, Services: []string{otherService}}},
	"none, and the legacy":     {`{"id":"` + someID + `","service_id":"` + someService + `","services":[]}`, fastly.TokenResponse{ID: someID, Services: []string{someService}}},
	"nulls": {`{"id":"` + someID + `","name":null,"user_id":null,"customer_id":null,"scope":null,"scopes":null,"services":null,
		"service_id":null,"created_at":null,"updated_at":null,"deleted_at":null,"expires_at":null,"last_used_at":null,
		"sudo_expires_at":null,"ip":null,"user_agent":null}`, fastly.TokenResponse{ID: someID}},
	"empty strings": {`{"id":"` + someID + `","name":"","user_id":"","customer_id":"","scope":"","scopes":"",
		"service_id":"","created_at":"","updated_at":"","deleted_at":"","expires_at":"","last_used_at":"",
		"sudo_expires_at":"","ip":"","user_agent":"","role":"","tls_access":""}`, fastly.TokenResponse{ID: someID}},
	"nulls and empty strings in arrays": {
		`{"id":"` + someID + `","scopes":["",null,"purge_all",""],"services":[null,"` + someService + `","",null]}`,
		fastly.TokenResponse{ID: someID, Scopes: fastly.Scopes{"purge_all"}, Services: []string{someService}},
	},
	"nothing else in arrays": {`{"id":"` + someID + `","scope":[""],"scopes":[null],"services":[""]}`, fastly.TokenResponse{ID: someID, Services: []string{}}},
	"empty, and the legacy":  {`{"id":"` + someID + `","services":[""],"service_id":"` + someService + `"}`, fastly.TokenResponse{ID: someID, Services: []string{someService}}},
	"unknown fields":         {`{"new":{"deep":[1,{"id":"other"}]},"id":"` + someID + `","more":[null,true,-1.5e3],"tls":false}`, fastly.TokenResponse{ID: someID}},
	"similar names":          {`{"ID":"x","Id":"x","id ":"x","id":"` + someID + `","_id":"x","namE":"x"}`, fastly.TokenResponse{ID: someID}},
	"limited to services":    {`{"id":"` + someID + `","limit_services":true,"services":["` + someService + `"]}`, fastly.TokenResponse{ID: someID, LimitServices: true, Services: []string{someService}}},
	"limited to none":        {`{"id":"` + someID + `","limit_services":true,"services":[]}`, fastly.TokenResponse{ID: someID, LimitServices: true, Services: []string{}}},
	"not limited":            {`{"id":"` + someID + `","limit_services":false}`, fastly.TokenResponse{ID: someID}},
	"limit of null":          {`{"id":"` + someID + `","limit_services":null}`, fastly.TokenResponse{ID: someID}},
	"limit of empty text":    {`{"id":"` + someID + `","limit_services":""}`, fastly.TokenResponse{ID: someID}},
	"an escaped name":        {`{"\u0069\u0064":"` + someID + `","n\u0061me":"deploy"}`, fastly.TokenResponse{ID: someID, Name: "deploy"}},
	"an offset of zero":      {`{"id":"` + someID + `","created_at":"2030-01-02T03:04:05+00:00"}`, fastly.TokenResponse{ID: someID, CreatedAt: date(1)}},
	"another offset":         {`{"id":"` + someID + `","created_at":"2030-01-02T05:04:05+02:00"}`, fastly.TokenResponse{ID: someID, CreatedAt: date(1)}},
	"fractions of seconds":   {`{"id":"` + someID + `","created_at":"2030-01-02T03:04:05.000Z"}`, fastly.TokenResponse{ID: someID, CreatedAt: date(1)}},
	"the last second": {
		`{"id":"` + someID + `","expires_at":"9999-12-31T23:59:59Z"}`,
		fastly.TokenResponse{ID: someID, ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	},
	"escaped text":    {`{"id":"` + someID + `","name":"caf\u00e9 \"x\"\n\ud83d\ude00"}`, fastly.TokenResponse{ID: someID, Name: "café \"x\"\n😀"}},
	"braces in text":  {`{"name":"{\"id\":\"x\"}]","id":"` + someID + `"}`, fastly.TokenResponse{ID: someID, Name: `{"id":"x"}]`}},
	"white space":     {"{\r\n\t\"id\" : \"" + someID + "\" }\n ", fastly.TokenResponse{ID: someID}},
	"the ID last":     {`{"name":"deploy","id":"` + someID + `"}`, fastly.TokenResponse{ID: someID, Name: "deploy"}},
	"an ID like none": {`{"id":"é/.."}`, fastly.TokenResponse{ID: "é/.."}},
}

func TestEveryFormOfATokenIsRead(t *testing.T) {
	t.Parallel()
	for name, form := range validTokens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
				body := form.json
				switch {
				case r.Method == http.MethodPost:
					body = strings.Replace(form.json, "{", `{"access_token":"`+someKey+`",`, 1)
				case strings.HasSuffix(r.URL.Path, "/tokens"):
					body = "[" + form.json + `,{"id":"` + otherID + `"}]`
				}
				_, _ = io.WriteString(w, body)
			})
			c := srv.client(t)
			got, err := c.Tokens.GetToken(t.Context(), someID)
			require.NoError(t, err)
			assert.Equal(t, form.want, *got)
			got, err = c.Tokens.GetTokenCurrent(t.Context())
			require.NoError(t, err)
			assert.Equal(t, form.want, *got)

			want := []fastly.TokenResponse{form.want, {ID: otherID}}
			list, err := c.Tokens.ListTokensUser(t.Context())
			require.NoError(t, err)
			assert.Equal(t, want, list)
			list, err = c.Tokens.ListTokensCustomer(t.Context(), someCustomer)
			require.NoError(t, err)
			assert.Equal(t, want, list)

			created, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			require.NoError(t, err)
			assert.Equal(t, fastly.TokenCreatedResponse{TokenResponse: form.want, AccessToken: someKey}, *created)
		})
	}
}

// The API sends an access token in the response to a create only.
func TestAccessTokenOfAnyOtherResponseIsIgnored(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`"` + someKey + `"`, "7", "{}"} {
		c := newStub(t, http.StatusOK, nil, `{"id":"`+someID+`","access_token":`+value+`}`).client(t)
		token, err := c.Tokens.GetToken(t.Context(), someID)
		require.NoError(t, err)
		assert.Equal(t, fastly.TokenResponse{ID: someID}, *token)
	}
}

func TestUnknownFieldsOfEveryLengthAreIgnored(t *testing.T) {
	t.Parallel()
	var more strings.Builder
	for first := 'a'; first <= 'z'; first++ {
		for length := range 20 {
			fmt.Fprintf(&more, `,"%s":{"id":"x","in":[{"id":"y"},{"id":"{"}]}`, strings.Repeat(string(first), length+1))
		}
	}
	srv := newStub(t, http.StatusOK, nil, `{"name":"{deploy}"`+more.String()+`,"":null,"id":"`+someID+`"}`)
	token, err := srv.client(t).Tokens.GetToken(t.Context(), someID)
	require.NoError(t, err)
	assert.Equal(t, fastly.TokenResponse{ID: someID, Name: "{deploy}"}, *token)
}

func TestStringsOfEveryLengthAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	var names []string
	for length := range 40 {
		plain := strings.Repeat("x", length)
		names = append(names, plain)
		for at := range length + 1 {
			for _, odd := range []string{`"`, `\`, `\\`, `\"`, "\n", "é", "!", "#", "]", "}"} {
				names = append(names, plain[:at]+odd+plain[at:])
			}
		}
	}
	var list strings.Builder
	for i, name := range names {
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		fmt.Fprintf(&list, `,{"name":%s,"%s":%s,"id":"id%d"}`, quoted, strings.Repeat("y", i%30), quoted, i)
	}
	srv := newStub(t, http.StatusOK, nil, "["+list.String()[1:]+"]")
	tokens, err := srv.client(t).Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	require.Len(t, tokens, len(names))
	for i, token := range tokens {
		assert.Equal(t, names[i], token.Name)
		assert.Equal(t, fmt.Sprint("id", i), token.ID)
	}
}

func TestEmptyListIsNotNil(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"[]", " [ ] \n"} {
		c := newStub(t, http.StatusOK, nil, body).client(t)
		list, err := c.Tokens.ListTokensUser(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []fastly.TokenResponse{}, list)
		list, err = c.Tokens.ListTokensCustomer(t.Context(), someCustomer)
		require.NoError(t, err)
		assert.Equal(t, []fastly.TokenResponse{}, list)
	}
}

// A client that remembers anything of one list must not show it in the next.
func TestListsOfDifferentLengthsInTurn(t *testing.T) {
	t.Parallel()
	c := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[2])
		assert.NoError(t, err)
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(`{"id":"T%d","name":"n%d","ip":"192.0.2.%d","scope":"purge_all s%d","services":["S%d","S%d"]}`, i, i, i%250, i%3, i%5, i)
		}
		_, _ = io.WriteString(w, "["+strings.Join(items, ",")+"]")
	}).client(t)
	for _, n := range []int{0, 1, 8, 9, 3, 16, 17, 20, 48, 49, 112, 113, 1000, 1100, 1024, 1025, 4000, 7, 4000, 3000, 1500, 0, 2} {
		list, err := c.Tokens.ListTokensCustomer(t.Context(), strconv.Itoa(n))
		require.NoError(t, err)
		require.NotNil(t, list)
		require.Len(t, list, n)
		for i, token := range list {
			if want := (fastly.TokenResponse{
				ID: fmt.Sprintf("T%d", i), Name: fmt.Sprintf("n%d", i), IP: fmt.Sprintf("192.0.2.%d", i%250),
				Scopes:   fastly.Scopes{"purge_all", fastly.Scope(fmt.Sprintf("s%d", i%3))},
				Services: []string{fmt.Sprintf("S%d", i%5), fmt.Sprintf("S%d", i)},
			}); !assert.ObjectsAreEqual(want, token) {
				require.Equal(t, want, token, "number %d of %d", i, n)
			}
		}
	}
}

// Tokens of a list share strings, but nothing that can be changed.
func TestStringsThatRecurInAListAreKeptOnce(t *testing.T) {
	t.Parallel()
	const item = `{"id":"T%d","user_id":"U1","user_agent":"a tool","services":["S1"]}`
	list, err := newStub(t, http.StatusOK, nil, fmt.Sprintf("["+item+","+item+"]", 1, 2)).client(t).Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	first, second := list[0], list[1]
	for text, again := range map[string]string{first.UserID: second.UserID, first.UserAgent: second.UserAgent, first.Services[0]: second.Services[0]} {
		assert.Same(t, unsafe.StringData(text), unsafe.StringData(again), text)
	}
}

func TestTokensOfAListCanBeChangedOneByOne(t *testing.T) {
	t.Parallel()
	const item = `{"id":"T%d","scope":"purge_all purge_select","services":["S1","S2"]}`
	c := newStub(t, http.StatusOK, nil, fmt.Sprintf("["+item+","+item+","+item+"]", 1, 2, 3)).client(t)
	list, err := c.Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	list[0].Services[1] = "changed"
	list[0].Scopes[0] = "changed"
	list[0].Services = append(list[0].Services, "added")
	list[0].Scopes = append(list[0].Scopes, "added")
	for _, token := range list[1:] {
		assert.Equal(t, []string{"S1", "S2"}, token.Services)
		assert.Equal(t, fastly.Scopes{fastly.ScopePurgeAll, fastly.ScopePurgeSelect}, token.Scopes)
	}
}

// A revoke's 2xx needs no body, but a page of HTML is not from the API.
func TestRevokeRejectsContentOfTypeHTML(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"status":"ok"}`: "a page of HTML", "<p>": "not JSON", "": ""} {
		srv := newStub(t, http.StatusOK, http.Header{"Content-Type": {"Text/HTML; charset=utf-8"}}, body)
		for _, op := range operations {
			if op.method != http.MethodDelete {
				continue
			}
			err := op.do(t.Context(), srv.client(t))
			if want == "" { // frameworks name a type even if there is nothing
				require.NoError(t, err, op.name)
				continue
			}
			require.ErrorContains(t, err, "the response is not what the API sends: it is "+want, "%s: %q", op.name, body)
		}
	}
}

func TestRevokeAcceptsOnlyAnEmptyBodyOrJSON(t *testing.T) {
	t.Parallel()
	for body, applied := range map[string]bool{
		"": true, " ": true, "{}": true, `{"status":"ok"}`: true, `{"error":null,"errors":[]}`: true, "7": true, tokenJSON: true, `{"x":1,"x":2}`: true,
		strings.Repeat(" ", 70<<10) + "<": true, // beyond what is read
		"OK":                              false,
		"\xff":                            false,
		"{} OK":                           false,
		"\ufeff{}":                        true,
		"\ufeff":                          true,
		`{"status":`:                      false,
		"<html>Sign in</html>":            false,
		"<!DOCTYPE html>":                 false,
		" \r\n<?xml version=\"1.0\"?>":    false,
		"\ufeff<html>":                    false,
		"\xff\xfe<\x00h\x00t\x00":         false, // UTF-16
	} {
		for _, op := range operations {
			if op.method != http.MethodDelete {
				continue
			}
			err := op.do(t.Context(), newStub(t, http.StatusOK, nil, body).client(t))
			if applied {
				assert.NoError(t, err, "%s: %.100q", op.name, body)
				continue
			}
			want := "it is not JSON" + hintForeign
			if body == `{"status":` {
				want = "it is not JSON"
			}
			require.EqualError(t, err, "fastly: "+op.method+" "+op.path+": the response is not what the API sends: "+want+op.hintRevoked(), op.name)
			assertMatches(t, err, fastly.ErrInvalidResponse)
		}
	}
}

func TestRevokeIsNotDoneByAReportOfAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"error":"blocked by policy"}`, `{"message":"Forbidden"}`, `{"msg":"Record not found"}`,
		`{"title":"Forbidden","status":403}`, `{"errors":[{"detail":"no"}]}`, `{"errors":["no"]}`,
		`{"success":false,"errors":[{"code":7003,"message":"no"}]}`, `{"error":{"code":403}}`,
	} {
		for _, op := range operations {
			if op.method == http.MethodDelete {
				err := op.do(t.Context(), newStub(t, http.StatusOK, nil, body).client(t))
				assertMatches(t, err, fastly.ErrInvalidResponse)
				assert.ErrorContains(t, err, "it reports an error"+op.hintRevoked(), op.name)
			}
		}
	}
}

// net/http asks for gzip, and fails to undo it.
func TestPageThatIsNotCompressedAsItSaysIsNotTheAPIs(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		srv := newStub(t, http.StatusOK, http.Header{"Content-Encoding": {"gzip"}}, "<html><title>Sign in</title></html>")
		err := op.do(t.Context(), srv.client(t))
		require.ErrorIs(t, err, fastly.ErrInvalidResponse, op.name)
		if op.kind != fastly.KindCreate { // which net/http does not decompress
			require.ErrorContains(t, err, "it is not compressed, although it says so")
		}
		assert.Equal(t, op.kind == fastly.KindCreate, errors.Is(err, fastly.ErrOutcomeUnknown), op.name)
		srv.request(t)
	}
}

// The first part of a page is no more from the API than the whole of it.
func TestRevokeIsNotDoneByAPageThatIsCutOff(t *testing.T) {
	t.Parallel()
	for _, stall := range []bool{false, true} {
		for _, page := range []struct {
			mediaType, text string
			applied         bool
		}{
			{"text/html", "<html>Sign", false},
			{"text/html", "", false},
			{"text/plain", "too many gue", false},
			{"application/json", `{"status":`, true},
			{"application/json", "nul", true},
			{"", "", true},
		} {
			for _, op := range operations {
				if op.method != http.MethodDelete {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s %.3q, stall %v", op.name, page.mediaType, page.text, stall), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						tr := newPiped(t, false, func(w http.ResponseWriter, r *http.Request) {
							w.Header().Set("Content-Type", page.mediaType)
							w.Header().Set("Content-Length", "1000")
							_, _ = io.WriteString(w, page.text)
							assert.NoError(t, http.NewResponseController(w).Flush())
							if stall {
								<-r.Context().Done()
							}
						})
						err := op.do(t.Context(), mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("http://127.0.0.1"),
							fastly.WithHTTPClient(&http.Client{Transport: tr, Timeout: time.Minute})))
						if page.applied {
							assert.NoError(t, err)
							return
						}
						require.ErrorContains(t, err, "fastly: "+op.method+" "+op.path+": the response is not what the API sends: it is ")
						assertMatches(t, err, fastly.ErrInvalidResponse)
					})
				})
			}
		}
	}
}

// A byte that changed on its way makes the text look wrong, and a checksum tells why.
func TestReadOfACorruptResponseIsRetried(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		if op.kind != fastly.KindRead {
			continue
		}
		n := 0
		rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := respond(http.StatusOK, op.body)(r)
			if n++; n == 1 && err == nil {
				corrupt := strings.NewReader("x")
				resp.Body = io.NopCloser(iotest.DataErrReader(io.MultiReader(corrupt, iotest.ErrReader(gzip.ErrChecksum))))
			}
			return resp, err
		})
		c := mustClient(t, quickRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
		require.NoError(t, op.do(t.Context(), c), op.name)
		assert.Equal(t, 2, n, op.name)
	}
}

func TestFreeTextThatIsNoUnicodeIsReplaced(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`\ud83d`: "\ufffd", `a\ud83d`: "a\ufffd", `\ude00b`: "\ufffdb", `\ud83d\ud83d`: "\ufffd\ufffd", "caf\xe9": "caf\ufffd", "\xed\xa0\x80": "\ufffd\ufffd\ufffd",
		`\ud83d\ude00`: "\U0001f600", `\ufffd`: "\ufffd",
	} {
		body := `{"id":"` + someID + `","name":"` + text + `","user_agent":"` + text + `","x":"` + text + `","` + text + `":1}`
		token, err := newStub(t, http.StatusOK, nil, body).client(t).Tokens.GetToken(t.Context(), someID)
		require.NoError(t, err, body)
		assert.Equal(t, fastly.TokenResponse{ID: someID, Name: want, UserAgent: want}, *token)
		list, err := newStub(t, http.StatusOK, nil, "["+body+"]").client(t).Tokens.ListTokensUser(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []fastly.TokenResponse{*token}, list)
	}
}

func TestAccessTokenIsNotGuessed(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{`\ud83d`, "\xff", `\ufffd`} {
		body := `{"id":"` + someID + `","access_token":"` + someKey + broken + `"}`
		created, err := newStub(t, http.StatusOK, nil, body).client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		assertMatches(t, err, fastly.ErrOutcomeUnknown, fastly.ErrInvalidResponse)
		assert.Equal(t, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: someID}}, *created)
	}
}

func TestTimesAreReadInTheFormsOfTheField(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2030-01-02T03:04:05Z": at, "2030-01-02T03:04:05+00:00": at, "2030-01-02T05:04:05+02:00": at, "2030-01-02T05:04:05+0200": at,
		"2030-01-02 03:04:05Z": at, "2030-01-02 03:04:05 UTC": at, "2030-01-02 03:04:05 +0000": at, "2030-01-02 03:04:05+00": at,
		"2030-01-02T03:04:05 UTC": at, "2030-01-02T03:04:05UTC": at, "2030-01-02t03:04:05z": at, "2030-01-02 01:04:05 -02:00": at,
		"2030-01-02T03:04:05.25Z": at.Add(250 * time.Millisecond), "2030-01-02 03:04:05.123456789 UTC": at.Add(123456789),
		"2030-01-02 03:04:05.5+0000": at.Add(500 * time.Millisecond), "0000-01-02T03:04:05Z": at.AddDate(-2030, 0, 0),
	} {
		body := `{"id":"` + someID + `","expires_at":"` + text + `","created_at":"` + text + `"}`
		token, err := newStub(t, http.StatusOK, nil, body).client(t).Tokens.GetToken(t.Context(), someID)
		require.NoError(t, err, text)
		assert.Equal(t, fastly.TokenResponse{ID: someID, ExpiresAt: want, CreatedAt: want}, *token, text)
	}
}

// A list with an error is the part that could be read.
func TestListWithAnErrorIsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	token := func(id string) string { return `{"id":"` + id + `","name":"deploy"}` }
	for _, test := range []struct {
		body string
		want []string // IDs; nil: a nil list
		text string
	}{
		{"[", nil, "its JSON ends too early"},
		{"[]x", nil, "there is more after its end"},
		{"[" + token("a")[:12], nil, "its JSON ends too early"},
		{`[{"id":"a"}`, []string{"a"}, "its JSON ends too early"},
		{"[" + token("a") + "," + token("b")[:12], []string{"a"}, "its JSON ends too early"},
		{"[" + token("a") + ",null," + token("b") + "]", []string{"a", "b"}, "it is not a JSON object"},
		{"[" + token("a") + `,"x",7,[{"id":"c"}],` + token("b") + "]", []string{"a", "b"}, "it is not a JSON object"},
		{"[" + token("a") + `,{"id":7},` + token("b") + "]", []string{"a", "b"}, "its field /1/id has an unexpected type"},
		{`[{"id":"o","expires_at":"soon"},` + token("a") + "," + token("b") + "]", []string{"a", "b"}, "its field /0/expires_at is not an RFC 3339 time"},
		{`[{"id":"o","services":["a",1]},` + token("a") + `,{"id":"p","scope":7}]`, []string{"a"}, "its field /0/services/1 has an unexpected type"},
		{"[" + token("b") + `,{"id":"\ud83d"},` + token("a") + "]", []string{"b", "a"}, "its field /1/id is not valid Unicode"},
		{"[{},null]", nil, "it has no token ID"},
		{"[" + token("a") + "]]", []string{"a"}, "there is more after its end"},
		{"[" + token("a") + token("b") + "]", []string{"a"}, "it is not valid JSON at byte"},
		{"[" + token("a") + `,{"id":"b","id":"c"},` + token("d") + "]", []string{"a"}, "it is not valid JSON at byte"},
	} {
		srv := newStub(t, http.StatusOK, nil, test.body)
		list, err := srv.client(t, quickRetry).Tokens.ListTokensUser(t.Context())
		assertMatches(t, err, fastly.ErrInvalidResponse)
		require.ErrorContains(t, err, test.text, test.body)
		assert.Equal(t, test.want, ids(list), test.body)
		assert.Equal(t, test.want == nil, list == nil, test.body)
		srv.request(t)
	}
}

func TestListWhoseBodyEndsEarlyIsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{"": nil, "[": nil, "[" + tokenJSON[:20]: nil, "[" + tokenJSON: {someID}, "[" + tokenJSON + `,{"id":"x"`: {someID}} {
		srv := newStub(t, http.StatusOK, http.Header{"Content-Length": {"1000"}}, body)
		list, err := srv.client(t, quickRetry).Tokens.ListTokensUser(t.Context())
		assertMatches(t, err) // not ErrInvalidResponse
		require.ErrorContains(t, err, "the response was truncated")
		assert.Equal(t, want, ids(list), body)
		assert.Equal(t, want == nil, list == nil)
		assert.Len(t, srv.requests(), 4)
	}
}

func TestListWithANextPageIsNotComplete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		link []string
		next bool
	}{
		{[]string{`<https://api.fastly.com/tokens?page=2>; rel="next"`}, true},
		{[]string{`</tokens?page=2>;rel=next`}, true},
		{[]string{`</tokens?page=2>; REL="Next"`}, true},
		{[]string{`</tokens?a=1,2;rel=x>; title="a, b; rel=prev"; rel = "next"`}, true},
		{[]string{`</tokens>; rel="first prev", </tokens?page=2>; rel="last next"`}, true},
		{[]string{`</tokens>; rel="first"`, `</tokens?page=2>; rel="next"`}, true},
		{[]string{`</a>; rel=first , </b> ; rel=next ,`}, true},
		{[]string{`</tokens?page=2>; rel="next`}, true}, // broken, but who knows
		{[]string{`</tokens?page=2>; rel='next'`}, true},
		{[]string{`</tokens?page=2>; title="a<b"; rel="next"`}, true},
		{[]string{`</tokens?page=1>; rel="prev", </tokens?page=9>; rel="last"`}, false},
		{[]string{`</tokens?rel=next>; rel="self"`}, false},
		{[]string{`</tokens>; title="next"; rel="self"`}, false},
		{[]string{`</tokens>; rel="nextish next-page"`}, false},
		{[]string{""}, false},
		{[]string{"next"}, false},
	} {
		for body, want := range map[string][]fastly.TokenResponse{"[]": {}, "[" + tokenJSON + "]": {{ID: someID, Name: "deploy", Scopes: fastly.Scopes{"global"}}}} {
			srv := newStub(t, http.StatusOK, http.Header{"Link": test.link}, body)
			list, err := srv.client(t).Tokens.ListTokensUser(t.Context())
			assert.Equal(t, want, list, test.link)
			if !test.next {
				require.NoError(t, err, test.link)
				continue
			}
			assertMatches(t, err) // not ErrInvalidResponse
			require.EqualError(t, err, "fastly: GET /tokens: the list is not complete: its Link to a next page is not followed")
			srv.request(t)
		}
	}
}
