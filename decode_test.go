package fastly_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// notATokenAtAll is answers that neither describe a token nor a list of them.
var notATokenAtAll = map[string]string{
	"empty":                 "",
	"spaces":                " \n\t ",
	"null":                  "null",
	"string":                `"x"`,
	"number":                "7",
	"boolean":               "true",
	"HTML":                  "<!DOCTYPE html><html><title>Sign in</title></html>",
	"text":                  "OK",
	"list of a list":        "[[]]",
	"list with null":        "[" + tokenAnswer + ",null]",
	"list with a string":    "[" + tokenAnswer + `,"x"]`,
	"list with an empty":    "[" + tokenAnswer + ",{}]",
	"list that ends early":  "[" + tokenAnswer,
	"list with a comma":     "[" + tokenAnswer + ",]",
	"list, and more":        "[" + tokenAnswer + "] x",
	"two lists":             "[" + tokenAnswer + "][" + tokenAnswer + "]",
	"list without commas":   "[" + tokenAnswer + tokenAnswer + "]",
	"empty object":          "{}",
	"error in a 200":        `{"msg":"Record not found"}`,
	"ID of null":            `{"id":null,"name":"deploy"}`,
	"empty ID":              `{"id":"","name":"deploy"}`,
	"ID of another type":    `{"id":7}`,
	"token in an object":    `{"data":` + tokenAnswer + `}`,
	"token that ends early": strings.TrimSuffix(tokenAnswer, "}"),
	"token cut in a string": tokenAnswer[:len(tokenAnswer)-4],
	"token, and more":       tokenAnswer + " x",
	"two tokens":            tokenAnswer + tokenAnswer,
	"token in quotes":       `"` + tokenAnswer + `"`,
	"duplicate key":         `{"id":"` + someID + `","id":"` + otherID + `"}`,
	"duplicate, far apart":  `{"id":"` + someID + `","name":"deploy","ip":"::1","id":"` + someID + `"}`,
	"duplicate, escaped":    `{"id":"` + someID + `","\u0069d":"` + otherID + `"}`,
	"duplicate of unknown":  `{"id":"` + someID + `","x":1,"x":2}`,
	"duplicate, deep":       `{"id":"` + someID + `","x":{"y":1,"y":2}}`,
	"duplicate in an array": `{"id":"` + someID + `","x":[[],[{"y":1,"z":{},"y":2}]]}`,
	"duplicate of a null":   `{"id":"` + someID + `","ip":null,"ip":null}`,
	"duplicate, empty":      `{"id":"` + someID + `","":1,"":2}`,
	"invalid UTF-8":         `{"id":"` + someID + `","name":"` + "\xff" + `"}`,
	"invalid UTF-8 in name": `{"id":"` + someID + `","` + "\xc3" + `":1}`,
	"lone surrogate":        `{"id":"` + someID + `","name":"\ud800"}`,
	"byte order mark":       "\ufeff" + tokenAnswer,
	"single quotes":         `{'id':'x'}`,
	"comment":               `{"id":"x"/* */}`,
	"control character":     "{\"id\":\"x\",\"name\":\"a\nb\"}",
	"bad time":              `{"id":"x","created_at":"yesterday"}`,
	"time of another type":  `{"id":"x","expires_at":1893456000}`,
	"scope of another type": `{"id":"x","scope":7}`,
	"service of an object":  `{"id":"x","services":[{}]}`,
	"name of an object":     `{"id":"x","name":{"x":1}}`,
	"not that deep":         strings.Repeat("[", 20000),
}

func TestAnswerThatIsNoTokenIsAnError(t *testing.T) {
	t.Parallel()
	for name, body := range notATokenAtAll {
		for _, op := range retryOps {
			if op.kind != fastly.KindRead && op.kind != fastly.KindCreate {
				continue
			}
			isList := strings.HasPrefix(op.name, "List")
			bodies := []string{body}
			if isList && strings.HasPrefix(body, "{") {
				bodies = append(bodies, "["+body+"]", "["+tokenAnswer+","+body+"]")
			}
			for i, body := range bodies {
				t.Run(fmt.Sprint(name, "/", op.name, i), func(t *testing.T) {
					t.Parallel()
					r := newRetryRig(t, op)
					r.srv.Inject(fastlytest.Fault{
						Kind: fastlytest.Status, Status: 200, Body: body,
						Header: http.Header{"Content-Type": {"application/json"}},
					})
					if body == "" {
						// A fault with no body would get the API's own.
						srv := newStub(t, 200, nil, "")
						r.client = srv.client(t)
					}
					err := r.do()
					require.Error(t, err)
					assert.NotErrorAs(t, err, new(*fastly.GenericTokenError), "it was no refusal")
					assert.ErrorContains(t, err, "not what the API sends")
					assert.Equal(t, op.kind == fastly.KindCreate, isUnknown(err), "outcome unknown: %v", err)
					if body != "" {
						r.assertRequests(1)
					}
				})
			}
		}
	}
}

func TestNothingComesBackWithAnAnswerThatIsNoToken(t *testing.T) {
	t.Parallel()
	for name, body := range notATokenAtAll {
		srv := newStub(t, 200, nil, body)
		c := srv.client(t)
		token, err := c.Tokens.GetToken(t.Context(), someID)
		require.Error(t, err, name)
		assert.Nil(t, token, name)
		if strings.HasPrefix(body, "{") {
			srv = newStub(t, 200, nil, "["+tokenAnswer+","+body+"]")
			c = srv.client(t)
		}
		list, err := c.Tokens.ListTokensUser(t.Context())
		require.Error(t, err, name)
		assert.Nil(t, list, name)
	}
}

func TestMembersThatAreNotKnownDoNoHarm(t *testing.T) {
	t.Parallel()
	var more strings.Builder
	for first := 'a'; first <= 'z'; first++ {
		for length := range 20 {
			fmt.Fprintf(&more, `,"%s":{"id":"x","in":[{"id":"y"},{"id":"{"}]}`, strings.Repeat(string(first), length+1))
		}
	}
	srv := newStub(t, 200, nil, `{"name":"{deploy}"`+more.String()+`,"":null,"id":"`+someID+`"}`)
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
	srv := newStub(t, 200, nil, "["+list.String()[1:]+"]")
	tokens, err := srv.client(t).Tokens.ListTokensUser(t.Context())
	require.NoError(t, err)
	require.Len(t, tokens, len(names))
	for i, token := range tokens {
		assert.Equal(t, names[i], token.Name)
		assert.Equal(t, fmt.Sprint("id", i), token.ID)
	}
}

// Two members with one mark would be taken for duplicates, and looked at twice.
func TestMembersOfATokenHaveMarksOfTheirOwn(t *testing.T) {
	t.Parallel()
	marks := map[int]string{}
	for _, name := range []string{
		"id", "name", "user_id", "customer_id", "scope", "scopes", "services", "service_id", "created_at", "updated_at",
		"deleted_at", "expires_at", "last_used_at", "sudo_expires_at", "ip", "user_agent", "access_token",
	} {
		mark := fastly.MarkOf([]byte(name))
		assert.Empty(t, marks[mark], "%s has the mark of", name)
		marks[mark] = name
		assert.Less(t, mark, 64)
	}
}

func isUnknown(err error) bool { return errors.Is(err, fastly.ErrOutcomeUnknown) }

// createdMembers of a created token around its access token, by name and value.
func createdWith(member string) string {
	return `{"id":"` + someID + `","name":"deploy",` + member + `,"access_token":"` + someKey + `","user_id":"u"}`
}

// TestCreatedAccessTokenIsNeverLost has answers to a create that are wrong in
// some way, and hold an access token.
func TestCreatedAccessTokenIsNeverLost(t *testing.T) {
	t.Parallel()
	whole := `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"}`
	for name, body := range map[string]string{
		"number for a name":          createdWith(`"user_id2":7,"customer_id":7`),
		"object for a customer":      createdWith(`"customer_id":{"id":"x"}`),
		"list for an address":        createdWith(`"ip":[]`),
		"boolean for an agent":       createdWith(`"user_agent":true`),
		"bad time":                   createdWith(`"created_at":"yesterday"`),
		"empty time":                 createdWith(`"expires_at":""`),
		"number for a time":          createdWith(`"expires_at":1893456000`),
		"object for a scope":         createdWith(`"scope":{}`),
		"number in scopes":           createdWith(`"scopes":[7]`),
		"string for services":        createdWith(`"services":"x"`),
		"object in services":         createdWith(`"services":[{}]`),
		"duplicate key":              createdWith(`"customer_id":"a","customer_id":"b"`),
		"duplicate unknown":          createdWith(`"x":1,"x":2`),
		"duplicate name":             `{"id":"` + someID + `","name":"deploy","name":"deploy","access_token":"` + someKey + `"}`,
		"duplicate access token":     `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `","access_token":"` + someKey + `"}`,
		"invalid UTF-8":              createdWith(`"customer_id":"` + "\xff" + `"`),
		"invalid UTF-8 later":        strings.TrimSuffix(whole, "}") + `,"x":"` + "\xff\xfe" + `"}`,
		"lone surrogate":             createdWith(`"customer_id":"\ud800"`),
		"bad escape":                 createdWith(`"customer_id":"\q"`),
		"line break in a string":     createdWith("\"customer_id\":\"a\nb\""),
		"trailing comma":             strings.TrimSuffix(whole, "}") + ",}",
		"missing comma":              createdWith(`"customer_id":"x" "x":1`),
		"unquoted junk before":       "HTTP proxy says hello " + whole,
		"junk in braces before":      "{oops} " + whole,
		"byte order mark":            "\ufeff" + whole,
		"XSSI prefix":                ")]}',\n" + whole,
		"unquoted junk after":        whole + " and goodbye",
		"HTML after":                 whole + "<script>track()</script>",
		"a second object after":      whole + `{"msg":"x"}`,
		"unquoted junk within":       createdWith(`junk`),
		"unquoted value":             createdWith(`"customer_id":x`),
		"cut behind it":              `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `"`,
		"cut in the next name":       `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `","expi`,
		"cut in the next value":      `{"id":"` + someID + `","name":"deploy","access_token":"` + someKey + `","expires_at":"20`,
		"in a list":                  "[" + whole + "]",
		"in an object":               `{"data":` + whole + `}`,
		"in JSON:API":                `{"data":{"id":"` + someID + `","attributes":{"name":"deploy","access_token":"` + someKey + `"}}}`,
		"spaces everywhere":          "{ \"id\" : \"" + someID + "\" , \"name\" : \"deploy\" , \"access_token\"\t:\n\"" + someKey + "\" , } ",
		"more than 1 MiB behind it":  strings.TrimSuffix(whole, "}") + `,"x":"` + strings.Repeat("x", 2<<20) + `"}`,
		"more than 1 MiB of spaces":  whole + strings.Repeat(" ", 2<<20),
		"single quotes elsewhere":    createdWith(`'x':'y'`),
		"deep":                       createdWith(`"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)),
		"empty name of a member":     createdWith(`"":1,"":2`),
		"escaped name of the member": `{"id":"` + someID + `","name":"deploy","bad":x,"access_token":"` + someKey + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, 200, nil, body)
			created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy"})
			srv.only(t)
			require.Error(t, err)
			require.NotNil(t, created, "with %v", err)
			assert.Equal(t, someKey, created.AccessToken.Reveal(), "access token")
			assert.Equal(t, someID, created.ID, "ID")
			assert.ErrorContains(t, err, "its access token is in the response")
			assert.NotContains(t, err.Error(), someKey)
			assertFitToPrint(t, err)
		})
	}
}

// TestCreatedTokenKeepsWhatCouldBeRead has one field that can't be read among
// others that can.
func TestCreatedTokenKeepsWhatCouldBeRead(t *testing.T) {
	t.Parallel()
	srv := newStub(t, 200, nil, `{"id":"`+someID+`","created_at":"2030-01-02T03:04:05Z","expires_at":{"odd":true},"scope":"purge_all purge_select","name":"deploy","access_token":"`+someKey+`","customer_id":"c"}`)
	created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
	require.ErrorContains(t, err, `"expires_at"`)
	require.NotErrorIs(t, err, fastly.ErrOutcomeUnknown, "it is known: the token is there")
	assert.Equal(t, &fastly.TokenCreatedResponse{
		TokenResponse: fastly.TokenResponse{
			ID: someID, Name: "deploy", CustomerID: "c", Scopes: fastly.Scopes{"purge_all", "purge_select"},
			CreatedAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		},
		AccessToken: someKey,
	}, created)
}

func TestCreatedTokenWithoutAccessTokenKeepsItsScopes(t *testing.T) {
	t.Parallel()
	for _, more := range []string{``, `,"x":1,"x":2`} {
		srv := newStub(t, 200, nil, `{"id":"`+someID+`","scopes":["global"],"scope":""`+more+`}`)
		created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
		assert.Equal(t, fastly.Scopes{"global"}, created.Scopes)
	}
}

// TestCreatedAccessTokenSurvivesACut cuts an answer at each byte.
func TestCreatedAccessTokenSurvivesACut(t *testing.T) {
	t.Parallel()
	before := `{"id":"` + someID + `","access_token":"` + someKey + `"`
	whole := before + `,"name":"deploy","services":["` + someService + `"]}`
	for keep := range len(whole) {
		srv := newStub(t, 200, http.Header{"Content-Length": {fmt.Sprint(len(whole))}}, whole[:keep])
		created, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: retryTokenName})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, "cut behind %d bytes", keep)
		assert.NotContains(t, err.Error(), someKey[:10])
		if keep >= len(before) {
			require.NotNil(t, created, "cut behind %d bytes", keep)
			assert.Equal(t, someKey, created.AccessToken.Reveal())
			assert.Equal(t, someID, created.ID)
		} else if created != nil {
			assert.Empty(t, created.AccessToken, "part of an access token is none")
		}
	}
}
