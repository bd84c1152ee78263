package fastly_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	htmltemplate "html/template"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"text/template"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

// The values that must not be found anywhere. The password has a character of
// every sort that some encoding spells in its own way.
const (
	canaryKey      = "CanaryKey-9fK2_q7ZxW3mB8tR5vL1nYp"
	canaryLogin    = "alice@canary.example"
	canaryPassword = `Canary "p<w>d&/+%41\'é; 10=ok~`
	canaryOTP      = "CanaryOTP731964"
	canaryAccess   = "CanaryAccess-4Tz8_pQ1sD6wH3kV9cJ0"
)

var canaries = map[string]string{
	"key": canaryKey, "password": canaryPassword, "OTP": canaryOTP, "access token": canaryAccess,
	"basic": base64.StdEncoding.EncodeToString([]byte(canaryLogin + ":" + canaryPassword)),
}

// tellTale is how much of a canary shows that it got out.
const tellTale = 10

// quickly is a policy without waits to speak of.
var quickly = fastly.WithRetryPolicy(fastly.RetryPolicy{MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond})

// discardLog keeps a server's complaints about its clients out of the output.
var discardLog = log.New(io.Discard, "", 0)

func canaryRequest() *fastly.CreateTokenRequest {
	return &fastly.CreateTokenRequest{Name: retryTokenName, Username: canaryLogin, Password: canaryPassword, OTP: canaryOTP}
}

var (
	percentByte = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	jsonEscapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\.`)
)

// plainForms is a text and what it says if it is taken for encoded.
func plainForms(text string) []string {
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
	if !strings.ContainsAny(text, `%+&\`) {
		return []string{text}
	}
	return []string{
		text, unpercent(text), unpercent(strings.ReplaceAll(text, "+", " ")), html.UnescapeString(text),
		unescape(text), unescape(html.UnescapeString(text)), unescape(unescape(text)),
	}
}

// tells is each part of each canary, as it is and in hexadecimal.
var tells = sync.OnceValue(func() map[string]string {
	parts := map[string]string{}
	for name, canary := range canaries {
		for at := 0; at+tellTale <= len(canary); at++ {
			part := canary[at : at+tellTale]
			spelt := hex.EncodeToString([]byte(part))
			parts[part], parts[spelt], parts[strings.ToUpper(spelt)] = name, name, name
		}
	}
	return parts
})

// foundSecrets returns which canaries, or parts of them, are in a text.
func foundSecrets(text string) (found []string) {
	note := func(name string) {
		if name != "" && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	for _, form := range plainForms(text) {
		for at := range len(form) {
			for _, size := range []int{tellTale, 2 * tellTale} {
				if at+size <= len(form) {
					note(tells()[form[at:at+size]])
				}
			}
		}
	}
	for name, canary := range canaries {
		// As %d prints bytes.
		if strings.Contains(text, strings.Trim(fmt.Sprint([]byte(canary[:tellTale])), "[]")) { //nolint:staticcheck // the bytes are wanted
			note(name)
		}
	}
	return found
}

// assertNoSecretIn checks a text of any kind.
func assertNoSecretIn(t *testing.T, what, text string) {
	t.Helper()
	if found := foundSecrets(text); len(found) > 0 {
		assert.Fail(t, "a secret got out", "%v by %s: %.3000q", found, what, text)
	}
}

// assertNoSecret checks all that can be seen of an error: its own text, that of
// each error below it, as reporters of errors print them, and what encoders and
// loggers make of it.
func assertNoSecret(t *testing.T, err error) {
	t.Helper()
	var below func(error)
	below = func(err error) {
		if err == nil {
			return
		}
		assertNoSecretIn(t, fmt.Sprintf("Error of %T", err), err.Error())
		assertNoSecretIn(t, fmt.Sprintf("%%#v of %T", err), fmt.Sprintf("%#v", err))
		assertNoSecretIn(t, fmt.Sprintf("%%+v of %T", err), fmt.Sprintf("%+v", err))
		if text, failed := json.Marshal(err); failed == nil {
			assertNoSecretIn(t, fmt.Sprintf("JSON of %T", err), string(text))
		}
		for _, verb := range strings.Fields("%s %q %x %d %t") {
			assertNoSecretIn(t, fmt.Sprintf("%s of %T", verb, err), fmt.Sprintf(verb, err))
		}
		switch err := err.(type) { //nolint:errorlint // each level is looked at
		case interface{ Unwrap() error }:
			below(err.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range err.Unwrap() {
				below(e)
			}
		}
	}
	below(err)
}

// everyWay returns each text that something can become by accident.
func everyWay(value any) map[string]string {
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
			// What can't be encoded says so, which must give nothing away either.
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

// secretTwice is a struct of one's own, with a secret in each place that has a
// way of its own to be encoded.
type secretTwice struct {
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

// secretHolders is everything that a secret is in.
func secretHolders(t *testing.T) map[string]any {
	t.Helper()
	secret := fastly.Secret(canaryKey)
	key := &fastly.APIKeyTransport{Key: canaryKey}
	basic := &fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Base: key}
	nested := &fastly.APIKeyTransport{Key: canaryKey, Base: basic}
	created := &fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ID: someID}, AccessToken: canaryAccess}
	own := secretTwice{
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
		"struct of one's own":            own,
		"APIKeyTransport":                *key,
		"pointer to an APIKeyTransport":  key,
		"nested APIKeyTransport":         nested,
		"BasicAuthTransport":             *basic,
		"pointer to BasicAuthTransport":  basic,
		"CreateTokenRequest":             *canaryRequest(),
		"pointer to CreateTokenRequest":  canaryRequest(),
		"TokenCreatedResponse":           *created,
		"pointer to a created token":     created,
		"list of created tokens":         []fastly.TokenCreatedResponse{*created},
		"client with a key":              mustClient(t, fastly.WithAPIKey(canaryKey)),
		"client with a function":         mustClient(t, fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return canaryKey, nil })),
		"client with a password":         mustClient(t, fastly.WithBasicAuth(canaryLogin, canaryPassword)),
		"client with a transport":        mustClient(t, fastly.WithTransport(nested)),
		"client over an http.Client":     mustClient(t, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: basic})),
		"TokensService":                  mustClient(t, fastly.WithAPIKey(canaryKey)).Tokens,
		"option with a key":              fastly.WithAPIKey(canaryKey),
		"option with a password":         fastly.WithBasicAuth(canaryLogin, canaryPassword),
		"http.Client over one transport": &http.Client{Transport: nested},
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	for name, value := range secretHolders(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, text := range everyWay(value) {
				assertNoSecretIn(t, way, text)
			}
		})
	}
}

// TestSearchFindsWhatGotOut shows that the search for canaries would see one.
func TestSearchFindsWhatGotOut(t *testing.T) {
	t.Parallel()
	for name, canary := range canaries {
		for way, text := range everyWay(struct{ V any }{canary}) {
			if strings.HasPrefix(way, "fmt") && way != "fmt %v" || strings.HasPrefix(way, "gob of a") || way == "gob" || strings.HasPrefix(way, "XML") || strings.Contains(way, "emplate") {
				continue // verbs that don't show a string, and shapes that can't be encoded
			}
			assert.Equal(t, []string{name}, foundSecrets(text), "%s: %q", way, text)
		}
		for way, text := range map[string]string{
			"%x": fmt.Sprintf("%x", canary), "%X": fmt.Sprintf("%X", canary), "%d": fmt.Sprintf("%d", []byte(canary)), "%q": fmt.Sprintf("%q", canary),
			"query": url.QueryEscape(canary), "path": url.PathEscape(canary), "HTML": html.EscapeString(canary), "part": canary[3:15],
			"lower-case query": strings.ToLower(url.QueryEscape(strings.ToLower(canary))),
		} {
			if way == "lower-case query" && strings.ToLower(canary) != canary {
				continue
			}
			assert.Equal(t, []string{name}, foundSecrets("before "+text+" after"), "%s: %q", way, text)
		}
	}
	assert.Empty(t, foundSecrets("[REDACTED] Canary 731964 and nothing else"))
}

// TestPanicShowsNoSecret runs this test program again for each value, to panic
// with it.
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

// echoes is each way in which a server or a proxy may repeat a text.
var echoes = map[string]func(string) string{
	"as it is": func(s string) string { return s },
	"JSON": func(s string) string {
		return `{"msg":` + quoteJSON(s) + `,"detail":` + quoteJSON(s) + `,"code":` + quoteJSON(s) + `}`
	},
	"JSON escaped all over": func(s string) string { return `{"msg":"` + escapeAll(s, `\u%04x`, false) + `"}` },
	"JSON with slashes escaped": func(s string) string {
		return `{"other":` + strings.ReplaceAll(quoteJSON(s), "/", `\/`) + `}`
	},
	"JSON in JSON": func(s string) string { return `{"msg":` + quoteJSON(`{"sent":`+quoteJSON(s)+`}`) + `}` },
	"JSON:API": func(s string) string {
		return `{"errors":[{"title":` + quoteJSON(s) + `,"detail":` + quoteJSON(s) + `}]}`
	},
	"JSON that breaks off": func(s string) string { return `{"msg":` + strings.TrimSuffix(quoteJSON(s), `"`) },
	"query":                url.QueryEscape,
	"query in lower case":  func(s string) string { return percentByte.ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower) },
	"path":                 url.PathEscape,
	"percent all over":     func(s string) string { return escapeAll(s, "%%%02x", true) },
	"HTML":                 func(s string) string { return "<html><title>400 " + html.EscapeString(s) + "</title></html>" },
	"HTML with names": func(s string) string {
		return "<pre>" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "é", "&eacute;", "/", "&sol;").Replace(s) + "</pre>"
	},
	"HTML in numbers":          func(s string) string { return "<p>" + escapeAll(s, "&#x%x;", false) + "</p>" },
	"HTML in decimal":          func(s string) string { return "<title>" + escapeAll(s, "&#%d;", false) + "</title>" },
	"Go syntax":                func(s string) string { return fmt.Sprintf("header[%q]", s) },
	"twice, close together":    func(s string) string { return s + s },
	"behind 64 KiB but a bit":  func(s string) string { return strings.Repeat("x", 64<<10-20) + s },
	"behind 64 KiB but a byte": func(s string) string { return strings.Repeat("x", 64<<10-len(s)+1) + s },
	"JSON up to 64 KiB":        func(s string) string { return `{"msg":"` + strings.Repeat("x", 64<<10-28) + s + `"}` },
	"behind 1 KiB but a bit":   func(s string) string { return strings.Repeat("x", 1<<10-15) + s },
	"broken by a line":         func(s string) string { return "first\n" + s + "\nlast" },
}

func quoteJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

func escapeAll(s, format string, bytewise bool) string {
	var b strings.Builder
	if bytewise {
		for i := range len(s) {
			fmt.Fprintf(&b, format, s[i])
		}
		return b.String()
	}
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

// secretAuths is each way to authenticate with a canary.
var secretAuths = map[string]fastly.Option{
	"key":      fastly.WithAPIKey(canaryKey),
	"function": fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return canaryKey, nil }),
	"password": fastly.WithBasicAuth(canaryLogin, canaryPassword),
	"a transport of one's own": fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+canaryKey)
		return http.DefaultTransport.RoundTrip(r)
	})),
}

// sentSecrets is each secret of a request, as a server could repeat it.
func sentSecrets(r *http.Request) (secrets []string) {
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, password, _ := r.BasicAuth()
	for _, s := range []string{r.Header.Get("Fastly-Key"), credentials, password, r.FormValue("password"), r.Header.Get("Fastly-OTP")} {
		if s != "" {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

// newEcho starts a server that gives secrets of each request to answer.
func newEcho(t *testing.T, answer func(w http.ResponseWriter, secrets []string)) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secrets := sentSecrets(r)
		if !assert.NotEmpty(t, secrets) {
			return
		}
		w.Header().Set("Connection", "close")
		answer(w, secrets)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestErrorsHideWhatTheAnswerRepeats(t *testing.T) {
	t.Parallel()
	for auth, option := range secretAuths {
		for form, echo := range echoes {
			if strings.Contains(form, "64 KiB") && auth != "key" {
				continue // it takes its time, and the ways to authenticate make no difference
			}
			t.Run(auth+"/"+form, func(t *testing.T) {
				t.Parallel()
				var status, which atomic.Int32
				srv := newEcho(t, func(w http.ResponseWriter, secrets []string) {
					if n := int(which.Load()); n >= 0 {
						secrets = secrets[n%len(secrets):][:1]
					}
					if status.Load() == http.StatusFound {
						w.Header().Set("Location", "https://"+url.PathEscape(secrets[0])+".example/"+url.PathEscape(secrets[0]))
					}
					w.Header().Set("X-Echo", url.QueryEscape(secrets[0]))
					w.WriteHeader(int(status.Load()))
					for _, secret := range secrets {
						// The client may have read enough.
						_, _ = io.WriteString(w, echo(secret))
					}
				})
				c := mustClient(t, never, option, fastly.WithBaseURL(srv.URL))
				for _, code := range []int32{400, 200, 302, 401, 429, 503} {
					for n := int32(-1); n < 5; n++ {
						if n >= 0 && code != 400 {
							break
						}
						status.Store(code)
						which.Store(n)
						_, err := c.Tokens.CreateToken(t.Context(), canaryRequest())
						require.Error(t, err)
						assertNoSecret(t, err)
						assertFitToPrint(t, err)
					}
				}
			})
		}
	}
}

func TestHideTakesWhatLooksEncodedForWhatItIs(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{`quote"&amp;`, `back\\slash`, "per%41cent", "plus+plus", `a\&amp;"z`, `\u0041bcd`, "&#65;bcd"} {
		for form, echo := range echoes {
			if strings.Contains(form, "KiB") {
				continue
			}
			text := fastly.HideSecrets(echo(secret), "short", "no", secret)
			assert.Contains(t, text, "[REDACTED]", "%q as %s", secret, form)
		}
	}
	assert.Equal(t, "a [REDACTED] [REDACTED][REDACTED] b", fastly.HideSecrets("a hush%21 hush!hush! b", "hush!"))
	assert.Equal(t, "[REDACTED]", fastly.HideSecrets("abcdefgh", "abcdef", "cdefgh"), "secrets that overlap")
	assert.Equal(t, "100% as it was", fastly.HideSecrets("100% as it was", "hush!"))
}

// TestErrorsHideASecretThatIsCutOff has bodies that end, or are cut, within a
// secret: most of one is a secret, too.
func TestErrorsHideASecretThatIsCutOff(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 64<<10 - len(canaryKey)/2, 64<<10 - len(canaryKey) + 1, 64<<10 - tellTale} {
		for _, secret := range []string{canaryKey, canaryPassword} {
			for _, promised := range []int{1, 1000} {
				body := strings.Repeat("x", before) + secret[:len(secret)-1]
				srv := newEcho(t, func(w http.ResponseWriter, _ []string) {
					w.Header().Set("Content-Length", strconv.Itoa(len(body)+promised))
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, body)
				})
				c := mustClient(t, never, fastly.WithAPIKey(canaryKey), fastly.WithBaseURL(srv.URL))
				_, err := c.Tokens.CreateToken(t.Context(), canaryRequest())
				require.Error(t, err)
				assertNoSecret(t, err)
			}
		}
	}
}

// TestErrorsHideWhatBrokenHTTPRepeats has answers that net/http itself quotes
// in its errors.
func TestErrorsHideWhatBrokenHTTPRepeats(t *testing.T) {
	t.Parallel()
	for auth, option := range secretAuths {
		if auth == "a transport of one's own" {
			continue // which has to hide its own key
		}
		for name, form := range map[string]string{
			"status line":    "%s\r\n\r\n",
			"status code":    "HTTP/1.1 %s OK\r\n\r\n",
			"protocol":       "%s/1.1 200 OK\r\n\r\n",
			"header line":    "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
			"header name":    "HTTP/1.1 200 OK\r\n%[1]s %[1]s: x\r\n\r\n",
			"length":         "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
			"encoding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
			"chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
			"trailer":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
			"error trailer":  "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
			"status phrase":  "HTTP/1.1 400 %s\r\nContent-Length: 0\r\n\r\n",
			"trailer's name": "HTTP/1.1 200 OK\r\nTrailer: %[1]s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%[1]s: x\r\n\r\n",
			"bad location":   "HTTP/1.1 302 Found\r\nLocation: http://[%s\r\nContent-Length: 0\r\n\r\n",
		} {
			t.Run(auth+"/"+name, func(t *testing.T) {
				t.Parallel()
				var which atomic.Int32
				srv := newEcho(t, func(w http.ResponseWriter, secrets []string) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if !assert.NoError(t, err) {
						return
					}
					_, err = fmt.Fprintf(conn, form, secrets[int(which.Load())%len(secrets)])
					assert.NoError(t, err)
					assert.NoError(t, conn.Close())
				})
				c := mustClient(t, quickly, option, fastly.WithBaseURL(srv.URL))
				for n := range int32(4) {
					which.Store(n)
					_, err := c.Tokens.CreateToken(t.Context(), canaryRequest())
					require.Error(t, err)
					assertNoSecret(t, err)
					assertFitToPrint(t, err)
					_, err = c.Tokens.ListTokensUser(context.WithoutCancel(t.Context()))
					require.Error(t, err)
					assertNoSecret(t, err)
				}
			})
		}
	}
}

// tellingError is an error that holds the request, as some transports' do.
type tellingError struct {
	Request string
	err     error
}

func (e *tellingError) Error() string { return "cannot send " + e.Request + ": " + e.err.Error() }
func (e *tellingError) Unwrap() error { return e.err }

func TestErrorsHideWhatTheTransportTells(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	tell := func(r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return err
		}
		return &tellingError{strings.Join(sentSecrets(r), "\n") + fmt.Sprint(r.Header, r.PostForm), reason}
	}
	for auth, option := range secretAuths {
		if auth == "a transport of one's own" {
			continue // which has to hide its own key
		}
		for name, below := range map[string]roundTripFunc{
			"before an answer": func(r *http.Request) (*http.Response, error) { return nil, tell(r) },
			"within an answer": func(r *http.Request) (*http.Response, error) {
				body := io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(tell(r)))
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
			},
			"in an answer with no request": func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tell(r).Error()))}, nil
			},
			"in an answer with another request": func(r *http.Request) (*http.Response, error) {
				other := new(http.Request)
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tell(r).Error())), Request: other}, nil
			},
		} {
			t.Run(auth+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := mustClient(t, quickly, option, fastly.WithHTTPClient(&http.Client{Transport: below}))
				_, err := c.Tokens.CreateToken(t.Context(), canaryRequest())
				require.Error(t, err)
				assertNoSecret(t, err)
				if name == "before an answer" || name == "within an answer" {
					require.ErrorIs(t, err, reason, "the reason has to be found all the same")
					require.ErrorAs(t, err, new(*tellingError))
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				}
			})
		}
	}
}

func TestTransportsAloneHideWhatTheTransportBelowTells(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	below := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		return nil, &tellingError{strings.Join(sentSecrets(r), "\n") + fmt.Sprint(r.Header), reason}
	})
	for _, rt := range []http.RoundTripper{
		&fastly.APIKeyTransport{Key: canaryKey, Base: below},
		&fastly.BasicAuthTransport{Username: canaryLogin, Password: canaryPassword, Base: below},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fastly.DefaultBaseURL, http.NoBody)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.ErrorIs(t, err, reason)
		assert.Nil(t, resp)
		assertNoSecret(t, err)
	}
}

func TestKeyFunctionsErrorHidesTheKeyThatCameWithIt(t *testing.T) {
	t.Parallel()
	stale := errors.New("the vault is sealed")
	give := func(context.Context) (fastly.Secret, error) {
		return canaryKey, fmt.Errorf("refusing the stale key %s: %w", canaryKey, stale)
	}
	_, err := mustClient(t, fastly.WithAPIKeyFunc(give)).Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, stale)
	assertNoSecret(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fastly.DefaultBaseURL, http.NoBody)
	require.NoError(t, err)
	_, err = (&fastly.APIKeyTransport{KeyFunc: give}).RoundTrip(req)
	require.ErrorIs(t, err, stale)
	assertNoSecret(t, err)
}

// notes is a log that several goroutines write to.
type notes struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// TestLogHoldsNoSecretAndNoHeaderOrBody runs all operations through all kinds of
// failure, with canaries in all that is sent and answered.
func TestLogHoldsNoSecretAndNoHeaderOrBody(t *testing.T) {
	t.Parallel()
	const mark = "Marked-7Gh2"
	for _, fault := range []fastlytest.Fault{
		{Kind: fastlytest.Delay},
		{Kind: fastlytest.CutBefore, Times: -1}, {Kind: fastlytest.CutAfter}, {Kind: fastlytest.CutMiddle},
		{Kind: fastlytest.Status, Status: 503, Times: 2, Body: mark + canaryKey, Header: http.Header{"X-Mark": {mark}}},
		{Kind: fastlytest.Status, Status: 429, Body: mark + canaryKey, Header: http.Header{"Retry-After": {"1"}}},
		{Kind: fastlytest.Status, Status: 400, Body: mark + canaryKey},
		{Kind: fastlytest.Redirect, Location: "https://" + mark + ".example/" + canaryKey, Body: mark},
		{Kind: fastlytest.Garbage, Body: `{"id":"` + someID + `","name":"` + mark + `","access_token":"` + canaryAccess + `"} ` + mark},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Status), func(t *testing.T) {
			t.Parallel()
			srv := newAPI(t)
			user := srv.AddUser(fastlytest.User{Login: canaryLogin, Password: canaryPassword, OTP: canaryOTP, CustomerID: someCustomer, Superuser: true})
			srv.AddToken(user.ID, fastly.TokenCreatedResponse{AccessToken: canaryKey})
			var text, lines notes
			var attempts int
			for _, op := range retryOps {
				for _, out := range []slog.Handler{
					slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}),
					slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}),
				} {
					if op.kind == fastly.KindRevokeCurrent {
						continue // the others need the key
					}
					victim := srv.AddToken(user.ID, fastly.TokenCreatedResponse{})
					c := mustClient(t, fastly.WithBaseURL(srv.URL), fastly.WithAPIKey(canaryKey), fastly.WithUserAgent(mark), fastly.WithLogger(slog.New(out)))
					skipWaits(c)
					srv.ResetRequests()
					srv.Inject(fault)
					if op.kind == fastly.KindCreate {
						req := canaryRequest()
						req.Name = mark
						created, err := c.Tokens.CreateToken(t.Context(), req)
						assertNoSecret(t, err)
						assertNoSecretIn(t, "%+v", fmt.Sprintf("%+v", created))
					} else {
						assertNoSecret(t, op.call(t.Context(), c, victim.ID))
					}
					if _, json := out.(*slog.JSONHandler); json {
						attempts += len(srv.Requests())
					}
					srv.ClearFaults()
				}
			}
			for name, log := range map[string]string{"text": text.String(), "JSON": lines.String()} {
				require.NotEmpty(t, log)
				assertNoSecretIn(t, name+" log", log)
				assert.NotContains(t, log, mark)
			}
			records := strings.Split(strings.TrimSpace(lines.String()), "\n")
			if fault.Kind != fastlytest.CutBefore && fault.Kind != fastlytest.CutAfter {
				assert.Len(t, records, attempts, "one record for each attempt")
			}
			for _, line := range records {
				var record map[string]any
				require.NoError(t, json.Unmarshal([]byte(line), &record))
				var names []string
				for name := range record {
					names = append(names, name)
				}
				assert.ElementsMatch(t, []string{"time", "level", "msg", "method", "path", "status", "outcome", "duration", "attempt", "wait"}, names)
				assert.Equal(t, "DEBUG", record["level"])
			}
		})
	}
}

// TestAnswersThatAreNoTokenAreNotQuoted has access tokens in answers that can't
// be read.
// What a transport below prints of a request shows its header, but not the text of
// its body.
func TestPrintedRequestsShowNoBody(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	c := mustClient(t, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&printed, verb+"\n", r)
			fmt.Fprintf(&printed, verb+"\n", r.Context())
		}
		return nil, io.ErrUnexpectedEOF
	})))
	_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: "deploy", Password: canaryPassword})
	require.Error(t, err)
	assert.Contains(t, printed.String(), "/tokens")
	assert.NotContains(t, printed.String(), canaryPassword)
	assert.NotContains(t, printed.String(), url.QueryEscape(canaryPassword))
}

func TestAnswersThatAreNoTokenAreNotQuoted(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"access_token":"` + canaryAccess + `"`, `{"id":7,"access_token":"` + canaryAccess + `"}`, `["` + canaryAccess + `"]`,
		`{"id":"x","created_at":"` + canaryAccess + `","access_token":"` + canaryAccess + `"}`, `"` + canaryAccess + `"`, canaryAccess,
		`{"id":"x","` + canaryAccess + `":1,"` + canaryAccess + `":2}`, `{"id":"x"}` + canaryAccess, "<html><title>" + canaryAccess,
		`{"scope":{"` + canaryAccess + `":1},"services":"` + canaryAccess + `"}`, `{"id":"\x` + canaryAccess + `"}`,
	} {
		for _, m := range tokensMethods {
			srv := newStub(t, 200, nil, body)
			if err := m.call(t.Context(), srv.client(t)); err != nil {
				assertNoSecret(t, err)
				assertFitToPrint(t, err)
			}
		}
	}
}
