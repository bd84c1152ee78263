package fastly_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	htmltemplate "html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

// telltale is how much of a canary shows that it leaked.
const telltale = 10

var (
	percentByte = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	jsonEscapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.`)
)

// decodings returns a text, and what it decodes to.
func decodings(text string) []string {
	if !strings.ContainsAny(text, `%+&\`) {
		return []string{text}
	}
	unpercent := func(s string) string {
		return percentByte.ReplaceAllStringFunc(s, func(m string) string {
			b, _ := hex.DecodeString(m[1:])
			return string(b)
		})
	}
	unescape := func(s string) string {
		return jsonEscapes.ReplaceAllStringFunc(s, func(m string) string {
			if m[1] == 'u' || m[1] == 'x' {
				n, _ := strconv.ParseUint(m[2:], 16, 32)
				return string(rune(n))
			}
			return m[1:]
		})
	}
	return []string{
		text, unpercent(text), unpercent(strings.ReplaceAll(text, "+", " ")), html.UnescapeString(text),
		unescape(text), unescape(html.UnescapeString(text)), unescape(unescape(text)),
	}
}

// partsOfCanaries are the parts that show that a canary leaked.
type partsOfCanaries struct {
	names  map[string]string // of the canary, by each part as it is and in hexadecimal
	begins [1 << 16]bool     // the first two bytes of a part
}

var telltales = sync.OnceValue(func() *partsOfCanaries {
	parts := &partsOfCanaries{names: map[string]string{}}
	for name, canary := range canaries {
		for at := 0; at+telltale <= len(canary); at++ {
			part := canary[at : at+telltale]
			inHex := hex.EncodeToString([]byte(part))
			for _, form := range []string{part, inHex, strings.ToUpper(inHex)} {
				parts.names[form] = name
				parts.begins[int(form[0])<<8|int(form[1])] = true
			}
		}
	}
	return parts
})

// findCanaries returns which canaries, or parts of them, are in a text.
func findCanaries(text string) (found []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	parts := telltales()
	for i, form := range decodings(text) {
		if i > 0 && form == text {
			continue
		}
		for at := 0; at+telltale <= len(form); at++ {
			if !parts.begins[int(form[at])<<8|int(form[at+1])] {
				continue
			}
			for _, size := range []int{telltale, 2 * telltale} {
				if at+size <= len(form) {
					add(parts.names[form[at:at+size]])
				}
			}
		}
	}
	for name, canary := range canaries {
		// As %d prints bytes.
		if strings.Contains(text, strings.Trim(fmt.Sprint([]byte(canary[:telltale])), "[]")) { //nolint:staticcheck // the bytes are wanted
			add(name)
		}
	}
	return found
}

// printEveryWay returns each text that a value can become by accident.
func printEveryWay(value any) map[string]string {
	texts := map[string]string{}
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %o %b %c %U %e %f %g %8.3v %-40s %#q %#x %T %z") {
		texts["fmt "+verb] = fmt.Sprintf(verb, value)
		texts["fmt of a pointer "+verb] = fmt.Sprintf(verb, &value)
		texts["fmt of a list "+verb] = fmt.Sprintf(verb, []any{value})
		texts["fmt of a map "+verb] = fmt.Sprintf(verb, map[string]any{"v": value})
		texts["fmt of a field "+verb] = fmt.Sprintf(verb, struct{ V any }{value})
	}
	texts["fmt.Sprint"] = fmt.Sprint(value, value)
	texts["fmt.Sprintln"] = fmt.Sprintln(value)
	texts["errors"] = fmt.Errorf("failed with %v", value).Error()

	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"JSON": func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		var out bytes.Buffer
		logger := slog.New(handler(&out))
		logger.Info("direct", "value", value)
		logger.Info("in a group", slog.Group("g", slog.Any("value", value), slog.Group("h", "v", value)))
		logger.With("value", value).WithGroup("g").Info("with")
		logger.Info("in a struct", "struct", struct {
			Name string
			V    any
		}{"n", value})
		logger.Info("in a pointer", "pointer", &struct{ V any }{value})
		logger.Info("in a list", "list", []any{value}, "map", map[string]any{"v": value})
		logger.Info("as a key", "value", value, value)
		texts["slog "+name] = out.String()
	}

	encode := func(name string, f func(any) ([]byte, error)) {
		for shape, v := range map[string]any{
			"": value, " of a pointer": &value, " of a field": struct{ V any }{value}, " of a list": []any{value},
		} {
			// An error must not show the value either.
			text, err := f(v)
			texts[name+shape] = string(text) + fmt.Sprint(err)
		}
	}
	encode("JSON", json.Marshal)
	encode("indented JSON", func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") })
	encode("JSON v2", func(v any) ([]byte, error) { return jsonv2.Marshal(v) })
	encode("XML", xml.Marshal)
	encode("gob", func(v any) ([]byte, error) {
		var out bytes.Buffer
		err := gob.NewEncoder(&out).Encode(v)
		return out.Bytes(), err
	})
	const page = `{{.}} {{print .}} {{printf "%s %q %x %#v" . . . .}} {{. | html}} {{. | js}} {{. | urlquery}} {{range (slice .List)}}{{.}}{{end}}`
	encode("template", func(v any) ([]byte, error) {
		var out bytes.Buffer
		err := template.Must(template.New("").Parse(page)).Execute(&out, v)
		return out.Bytes(), err
	})
	encode("HTML template", func(v any) ([]byte, error) {
		var out bytes.Buffer
		err := htmltemplate.Must(htmltemplate.New("").Parse(`<a href="{{.}}" onclick="f({{.}})">{{.}}</a><script>{{.}}</script>`)).Execute(&out, v)
		return out.Bytes(), err
	})
	return texts
}

// secretFields has a secret in each place that is encoded in its own way.
type secretFields struct {
	XMLName   xml.Name `json:"-" xml:"secrets"`
	Plain     fastly.Secret
	Pointer   *fastly.Secret
	Quoted    fastly.Secret             `json:",string" xml:"-"`
	Attribute fastly.Secret             `json:"-" xml:",attr"`
	Text      fastly.Secret             `json:"-" xml:",chardata"`
	Nested    struct{ S fastly.Secret } `json:"nested"`
	List      []fastly.Secret
	Map       map[string]fastly.Secret `xml:"-"`
	Any       any
}

// secretHolders returns a value of each kind that a secret can be in.
func secretHolders(t *testing.T) map[string]any {
	t.Helper()
	secret := fastly.Secret(canaryKey)
	keyFunc := func(context.Context) (fastly.Secret, error) { return secret, nil }
	key := &fastly.APIKeyTransport{Key: canaryKey}
	basic := &fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Base: key}
	nested := &fastly.APIKeyTransport{Key: canaryKey, Base: basic}
	created := &fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: someID}, AccessToken: canaryAccess}
	own := secretFields{
		Plain: secret, Pointer: &secret, Quoted: secret, Attribute: secret, Text: secret, List: []fastly.Secret{secret},
		Map: map[string]fastly.Secret{"k": secret}, Any: secret,
	}
	own.Nested.S = secret
	gob.Register(secret)
	gob.Register(fastly.TokenCreatedResponse{})
	gob.Register(fastly.CreateTokenRequest{})
	return map[string]any{
		"Secret":                         secret,
		"pointer to a Secret":            &secret,
		"list of Secrets":                []fastly.Secret{secret},
		"array of Secrets":               [1]fastly.Secret{secret},
		"map of Secrets":                 map[string]fastly.Secret{"k": secret},
		"struct with secrets":            own,
		"APIKeyTransport":                *key,
		"pointer to an APIKeyTransport":  key,
		"nested APIKeyTransport":         nested,
		"BasicAuthTransport":             *basic,
		"pointer to BasicAuthTransport":  basic,
		"CreateTokenRequest":             *canaryLoginRequest(),
		"pointer to CreateTokenRequest":  canaryLoginRequest(),
		"CreateTokenRequest, OTPFunc":    fastly.CreateTokenRequest{Password: canaryPassword, OTPFunc: keyFunc},
		"TokenCreatedResponse":           *created,
		"pointer to a created token":     created,
		"list of created tokens":         []fastly.TokenCreatedResponse{*created},
		"client with a key":              mustClient(t, fastly.WithAPIKey(canaryKey)),
		"client with a function":         mustClient(t, fastly.WithAPIKeyFunc(keyFunc)),
		"client with a password":         mustClient(t, fastly.WithBasicAuth(canaryLogin, canaryPassword)),
		"client with a transport":        mustClient(t, fastly.WithTransport(nested)),
		"client over an http.Client":     mustClient(t, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: struct{ http.RoundTripper }{basic}})),
		"TokensService":                  mustClient(t, fastly.WithAPIKey(canaryKey)).Tokens,
		"option with a key":              fastly.WithAPIKey(canaryKey),
		"option with a password":         fastly.WithBasicAuth(canaryLogin, canaryPassword),
		"http.Client over one transport": &http.Client{Transport: nested},
	}
}

func TestSecretHoldersPrintTheRest(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		"[REDACTED]":                          fastly.Secret("abc"),
		"fastly.Client(https://example.com)":  mustClient(t, fastly.WithAPIKey(someKey), fastly.WithBaseURL("https://example.com")),
		"fastly.Client(none)":                 new(fastly.Client),
		"{Name:deploy Scopes:":                canaryLoginRequest(),
		"Key:[REDACTED] KeyFunc:<nil> Host:h": fastly.APIKeyTransport{Key: someKey, Host: "h"},
		"Username:jane Password:[REDACTED]":   fastly.BasicAuthTransport{Username: "jane", Password: "hunter22"},
		"ID:" + someID:                        fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: someID}, AccessToken: someKey},
	} {
		for _, verb := range []string{"%+v", "%s", "%d"} {
			assert.Contains(t, fmt.Sprintf(verb, value), want)
		}
	}
	assert.Equal(t, "fastly.Client(none)", fmt.Sprint((*fastly.Client)(nil)))
}

func TestSecretUnmarshalsLikeAString(t *testing.T) {
	t.Parallel()
	var fromJSON, fromGob fastly.Secret
	require.NoError(t, json.Unmarshal([]byte(`"hunter22"`), &fromJSON))
	assert.Equal(t, "hunter22", fromJSON.Reveal())
	var xmlValue struct{ S fastly.Secret }
	require.NoError(t, xml.Unmarshal([]byte("<v><S>hunter22</S></v>"), &xmlValue))
	assert.Equal(t, "hunter22", xmlValue.S.Reveal())
	var out bytes.Buffer
	require.NoError(t, gob.NewEncoder(&out).Encode(fastly.Secret("hunter22")))
	require.NoError(t, gob.NewDecoder(&out).Decode(&fromGob))
	assert.Equal(t, "[REDACTED]", fromGob.Reveal())
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	for name, value := range secretHolders(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, text := range printEveryWay(value) {
				assertNoSecretIn(t, way, text)
			}
		})
	}
}

// The other tests rely on it.
func TestFindCanariesFindsEachEncoding(t *testing.T) {
	t.Parallel()
	for name, canary := range canaries {
		for way, text := range printEveryWay(struct{ V any }{canary}) {
			if strings.HasPrefix(way, "fmt") && way != "fmt %v" || strings.HasPrefix(way, "gob of a") || way == "gob" || strings.HasPrefix(way, "XML") || strings.Contains(way, "emplate") {
				continue // verbs that don't show a string, and what can't be encoded
			}
			assert.Equal(t, []string{name}, findCanaries(text), "%s: %q", way, text)
		}
		for way, text := range map[string]string{
			"%x": fmt.Sprintf("%x", canary), "%X": fmt.Sprintf("%X", canary), "%d": fmt.Sprintf("%d", []byte(canary)), "%q": fmt.Sprintf("%q", canary),
			"query": url.QueryEscape(canary), "path": url.PathEscape(canary), "HTML": html.EscapeString(canary), "part": canary[3:15],
		} {
			assert.Equal(t, []string{name}, findCanaries("before "+text+" after"), "%s: %q", way, text)
		}
	}
	assert.Empty(t, findCanaries("[REDACTED] Canary 731964 and nothing else"))
}

// The test program runs itself for each value, to panic with it.
func TestPanicShowsNoSecret(t *testing.T) {
	holders := secretHolders(t)
	holders["error that holds one"] = fmt.Errorf("failed with %v", fastly.Secret(canaryKey))
	const variable = "FASTLY_TEST_PANIC_WITH"
	if name := os.Getenv(variable); name != "" {
		panic(holders[name])
	}
	t.Parallel()
	for name := range holders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPanicShowsNoSecret$") //nolint:gosec // this program itself
			child.Env = append(os.Environ(), variable+"="+name, "GOTRACEBACK=system")
			out, err := child.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the panic did not end the program: %s", out)
			assert.Contains(t, string(out), "panic: ")
			assert.Contains(t, string(out), "goroutine ")
			assertNoSecretIn(t, "panic", string(out))
		})
	}
}
