package fastly_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
)

func quoteJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

// echoes are the ways in which a server or a proxy may repeat a text.
var echoes = map[string]func(string) string{
	"as it is": func(s string) string { return s },
	"JSON": func(s string) string {
		return `{"msg":` + quoteJSON(s) + `,"detail":` + quoteJSON(s) + `,"code":` + quoteJSON(s) + `}`
	},
	"JSON escaped all over":                func(s string) string { return `{"msg":"` + escapeAll(s, `\u%04x`, false) + `"}` },
	"JSON escaped all over, in upper case": func(s string) string { return `{"msg":"` + escapeAll(s, `\u%04X`, false) + `"}` },
	"JSON of Python":                       func(s string) string { return `{"msg":"not ` + quoteASCII(s) + ` here"}` },
	"JSON of PHP": func(s string) string {
		return `{"msg":"not ` + strings.ReplaceAll(quoteASCII(s), "/", `\/`) + ` here"}`
	},
	"JSON of PHP with all characters": func(s string) string {
		return `{"msg":"not ` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "/", `\/`).Replace(s) + ` here"}`
	},
	"JSON with slashes escaped": func(s string) string {
		return `{"other":` + strings.ReplaceAll(quoteJSON(s), "/", `\/`) + `}`
	},
	"JSON in JSON":            func(s string) string { return `{"msg":` + quoteJSON(`{"sent":`+quoteJSON(s)+`}`) + `}` },
	"JSON in HTML":            func(s string) string { return "<pre>" + html.EscapeString(quoteASCII(s)) + "</pre>" },
	"JSON in HTML with names": func(s string) string { return "<pre>" + escapeNames(quoteASCII(s)) + "</pre>" },
	"JSON:API": func(s string) string {
		return `{"errors":[{"title":` + quoteJSON(s) + `,"detail":` + quoteJSON(s) + `}]}`
	},
	"JSON that breaks off":            func(s string) string { return `{"msg":` + strings.TrimSuffix(quoteJSON(s), `"`) },
	"percent all over, in upper case": func(s string) string { return escapeAll(s, "%%%02X", true) },
	"encodeURIComponent":              func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
	"query":                           url.QueryEscape,
	"query in lower case":             func(s string) string { return percentByte.ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower) },
	"path":                            url.PathEscape,
	"percent all over":                func(s string) string { return escapeAll(s, "%%%02x", true) },
	"HTML":                            func(s string) string { return "<html><title>400 " + html.EscapeString(s) + "</title></html>" },
	"HTML with names": func(s string) string {
		return "<pre>" + escapeNames(s) + "</pre>"
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

// quoteASCII escapes what is not ASCII, without quotes around it.
func quoteASCII(s string) string { return strings.Trim(strconv.QuoteToASCII(s), `"`) }

var escapeNames = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "/", "&sol;").Replace

// escapeAll formats each byte or character.
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

// secretCreates are creates with canaries, in each way to authenticate them.
var secretCreates = map[string]struct {
	auth fastly.Option
	req  func() *fastly.CreateTokenRequest
}{
	"key":                {fastly.WithAPIKey(canaryKey), canaryRequest},
	"key function":       {fastly.WithAPIKeyFunc(func(context.Context) (fastly.Secret, error) { return canaryKey, nil }), canaryRequest},
	"password":           {fastly.WithBasicAuth(canaryLogin, canaryPassword), canaryRequest},
	"own transport":      {ownTransport, canaryRequest},
	"login":              {fastly.WithoutAuthentication(), canaryLoginRequest},
	"login over another": {ownTransport, canaryLoginRequest},
}

// ownTransport adds a credential in its own way.
var ownTransport = fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+canaryKey)
	return http.DefaultTransport.RoundTrip(r)
}))

// sentSecrets returns the secrets of a request, which a server could repeat.
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

// newEcho starts a server that passes the secrets of each request to respond.
func newEcho(t *testing.T, respond func(w http.ResponseWriter, secrets []string)) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secrets := sentSecrets(r)
		if !assert.NotEmpty(t, secrets) {
			return
		}
		w.Header().Set("Connection", "close")
		respond(w, secrets)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestErrorsRedactWhatTheResponseRepeats(t *testing.T) {
	t.Parallel()
	for name, create := range secretCreates {
		for form, echo := range echoes {
			if strings.Contains(form, "64 KiB") && name != "key" {
				continue // slow, and the authentication makes no difference
			}
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				var status, which, count atomic.Int32
				srv := newEcho(t, func(w http.ResponseWriter, secrets []string) {
					count.Store(int32(len(secrets)))
					if n := int(which.Load()); n >= 0 {
						secrets = secrets[n:][:1]
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
				c := mustClient(t, noRetry, create.auth, fastly.WithBaseURL(srv.URL))
				codes := []int32{400, 200, 302, 401, 429, 503}
				if name != "key" && name != "login" && form != "JSON" {
					codes = codes[:1] // the others get each form with a 400, and each status with JSON
				}
				for _, code := range codes {
					// All secrets at once, and each alone.
					for n := int32(-1); n < count.Load(); n++ {
						if n >= 0 && code != 400 {
							break
						}
						status.Store(code)
						which.Store(n)
						_, err := c.Tokens.CreateToken(t.Context(), create.req())
						require.Error(t, err)
						assertNoSecret(t, err)
						assertOneLine(t, err)
					}
				}
			})
		}
	}
}

func TestRedactFindsSecretsThatLookEncoded(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{`quote"&amp;`, `back\\slash`, "per%41cent", "plus+plus", `a\&amp;"z`, `\u0041bcd`, "&#65;bcd"} {
		for form, echo := range echoes {
			if strings.Contains(form, "KiB") {
				continue
			}
			text := fastly.RedactTokens(echo(secret), "short", "no", secret)
			assert.Contains(t, text, "[REDACTED]", "%q as %s", secret, form)
		}
	}
	assert.Equal(t, "[REDACTED]", fastly.RedactTokens("a hush%21 hush!hush! b", "hush!"))
	assert.Equal(t, "[REDACTED]", fastly.RedactTokens("abcdefgh", "abcdef", "cdefgh"), "secrets that overlap")
	assert.Equal(t, "100% as it was", fastly.RedactTokens("100% as it was", "hush!"))
}

// The passwords that the escaping functions of other languages were given.
const (
	escapedPassword = `Pä"s' <w>&+/=%\é😀;1`
	escapedEscapes  = `&amp;b%41c\u0041+"d' <e>/=` // which looks escaped before it is
)

// escaped are these passwords as the functions return them.
var escaped = []struct{ by, password, escapes string }{
	{"Python html.escape", `Pä&quot;s&#x27; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&quot;d&#x27; &lt;e&gt;/=`},
	{"Python cgi.escape", `Pä"s' &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+"d' &lt;e&gt;/=`},
	{"Python markupsafe.escape", `Pä&#34;s&#39; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&#34;d&#39; &lt;e&gt;/=`},
	{"Python json.dumps", `"P\u00e4\"s' <w>&+/=%\\\u00e9\ud83d\ude00;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Python json.dumps ensure_ascii=False", `"Pä\"s' <w>&+/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Python html.escape of json.dumps", `&quot;P\u00e4\&quot;s&#x27; &lt;w&gt;&amp;+/=%\\\u00e9\ud83d\ude00;1&quot;`, `&quot;&amp;amp;b%41c\\u0041+\&quot;d&#x27; &lt;e&gt;/=&quot;`},
	{"Python django escapejs", `P\u00E4\u0022s\u0027 \u003Cw\u003E\u0026+/\u003D%\u005C\u00E9\uD83D\uDE00\u003B1`, `\u0026amp\u003Bb%41c\u005Cu0041+\u0022d\u0027 \u003Ce\u003E/\u003D`},
	{"Python urllib.parse.quote", `P%C3%A4%22s%27%20%3Cw%3E%26%2B/%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E/%3D`},
	{"Python urllib.parse.quote safe=''", `P%C3%A4%22s%27%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{"Python urllib.parse.quote_plus", `P%C3%A4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"Python urllib.parse.quote latin-1", `P%E4%22s%27%20%3Cw%3E%26%2B/%3D%25%5C%E9%3F%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E/%3D`},
	{"Python quote twice", `P%25C3%25A4%2522s%2527%2520%253Cw%253E%2526%252B%252F%253D%2525%255C%25C3%25A9%25F0%259F%2598%2580%253B1`, `%2526amp%253Bb%252541c%255Cu0041%252B%2522d%2527%2520%253Ce%253E%252F%253D`},
	{"Python repr", `'Pä"s\' <w>&+/=%\\é😀;1'`, `'&amp;b%41c\\u0041+"d\' <e>/='`},
	{"Python ascii", `'P\xe4"s\' <w>&+/=%\\\xe9\U0001f600;1'`, `'&amp;b%41c\\u0041+"d\' <e>/='`},
	{"Python repr of bytes", `b'P\xc3\xa4"s\' <w>&+/=%\\\xc3\xa9\xf0\x9f\x98\x80;1'`, `b'&amp;b%41c\\u0041+"d\' <e>/='`},
	{"Python repr of repr", `'\'Pä"s\\\' <w>&+/=%\\\\é😀;1\''`, `'\'&amp;b%41c\\\\u0041+"d\\\' <e>/=\''`},
	{"Python unicode_escape", `P\xe4"s' <w>&+/=%\\\xe9\U0001f600;1`, `&amp;b%41c\\u0041+"d' <e>/=`},
	{"Python backslashreplace", `P\xe4"s' <w>&+/=%\\xe9\U0001f600;1`, `&amp;b%41c\u0041+"d' <e>/=`},
	{"Python xmlcharrefreplace", `P&#228;"s' <w>&+/=%\&#233;&#128512;;1`, `&amp;b%41c\u0041+"d' <e>/=`},
	{"Python saxutils.quoteattr", `"Pä&quot;s' &lt;w&gt;&amp;+/=%\é😀;1"`, `"&amp;amp;b%41c\u0041+&quot;d' &lt;e&gt;/="`},
	{"Python shlex.quote", `'Pä"s'"'"' <w>&+/=%\é😀;1'`, `'&amp;b%41c\u0041+"d'"'"' <e>/='`},
	{"Python encode latin-1", "P\xe4\"s' <w>&+/=%\\\xe9?;1", "&amp;b%41c\\u0041+\"d' <e>/="},
	{"Python decode latin-1", "P\u00c3\u00a4\"s' <w>&+/=%\\\u00c3\u00a9\u00f0\u009f\u0098\u0080;1", `&amp;b%41c\u0041+"d' <e>/=`},
	{"Python decode cp1252", `PÃ¤"s' <w>&+/=%\Ã©ðŸ˜€;1`, `&amp;b%41c\u0041+"d' <e>/=`},
	{"Python decode ascii", "P\ufffd\ufffd\"s' <w>&+/=%\\\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd;1", `&amp;b%41c\u0041+"d' <e>/=`},
	{"Python encode ascii, ignore", `P"s' <w>&+/=%\;1`, `&amp;b%41c\u0041+"d' <e>/=`},
	{"Node encodeURIComponent", `P%C3%A4%22s'%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d'%20%3Ce%3E%2F%3D`},
	{"Node encodeURI", `P%C3%A4%22s'%20%3Cw%3E&+/=%25%5C%C3%A9%F0%9F%98%80;1`, `&amp;b%2541c%5Cu0041+%22d'%20%3Ce%3E/=`},
	{"Node escape", `P%E4%22s%27%20%3Cw%3E%26+/%3D%25%5C%E9%uD83D%uDE00%3B1`, `%26amp%3Bb%2541c%5Cu0041+%22d%27%20%3Ce%3E/%3D`},
	{"Node JSON.stringify", `"Pä\"s' <w>&+/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Node JSON.stringify twice", `"\"Pä\\\"s' <w>&+/=%\\\\é😀;1\""`, `"\"&amp;b%41c\\\\u0041+\\\"d' <e>/=\""`},
	{"Node querystring.stringify", `password=P%C3%A4%22s'%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `password=%26amp%3Bb%2541c%5Cu0041%2B%22d'%20%3Ce%3E%2F%3D`},
	{"Node URLSearchParams", `password=P%C3%A4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `password=%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"Node util.inspect", "{ password: `Pä\"s' <w>&+/=%\\\\é😀;1` }", "{ password: `&amp;b%41c\\\\u0041+\"d' <e>/=` }"},
	{"Node lodash escape", `Pä&quot;s&#39; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&quot;d&#39; &lt;e&gt;/=`},
	{"Node serialize-javascript", `"Pä\"s' \u003Cw\u003E&+\u002F=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' \u003Ce\u003E\u002F="`},
	{"Node he.encode", `P&#xE4;&#x22;s&#x27; &#x3C;w&#x3E;&#x26;&#x2B;&#x2F;&#x3D;&#x25;&#x5C;&#xE9;&#x1F600;&#x3B;1`, `&#x26;amp&#x3B;b&#x25;41c&#x5C;u0041&#x2B;&#x22;d&#x27; &#x3C;e&#x3E;&#x2F;&#x3D;`},
	{"PHP htmlspecialchars", `Pä&quot;s&#039; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&quot;d&#039; &lt;e&gt;/=`},
	{"PHP htmlspecialchars ENT_HTML5", `Pä&quot;s&apos; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&quot;d&apos; &lt;e&gt;/=`},
	{"PHP htmlentities ENT_QUOTES", `P&auml;&quot;s&#039; &lt;w&gt;&amp;+/=%\&eacute;😀;1`, `&amp;amp;b%41c\u0041+&quot;d&#039; &lt;e&gt;/=`},
	{"PHP json_encode", `"P\u00e4\"s' <w>&+\/=%\\\u00e9\ud83d\ude00;1"`, `"&amp;b%41c\\u0041+\"d' <e>\/="`},
	{"PHP json_encode JSON_HEX_*", `"P\u00e4\u0022s\u0027 \u003Cw\u003E\u0026+\/=%\\\u00e9\ud83d\ude00;1"`, `"\u0026amp;b%41c\\u0041+\u0022d\u0027 \u003Ce\u003E\/="`},
	{"PHP json_encode JSON_UNESCAPED_*", `"Pä\"s' <w>&+/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"PHP json_encode JSON_UNESCAPED_UNICODE", `"Pä\"s' <w>&+\/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>\/="`},
	{"PHP urlencode", `P%C3%A4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"PHP rawurlencode", `P%C3%A4%22s%27%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{"PHP addslashes", `Pä\"s\' <w>&+/=%\\é😀;1`, `&amp;b%41c\\u0041+\"d\' <e>/=`},
	{"PHP var_export", `'Pä"s\' <w>&+/=%\\é😀;1'`, `'&amp;b%41c\\u0041+"d\' <e>/='`},
	{"PHP mb_encode_numericentity", `P&#228;&#34;s&#39; &#60;w&#62;&#38;+/=%\&#233;&#128512;;1`, `&#38;amp;b%41c\u0041+&#34;d&#39; &#60;e&#62;/=`},
	{"PHP addcslashes", `P\303\244\"s\' <w>&+/=%\\\303\251\360\237\230\200;1`, `&amp;b%41c\\u0041+\"d\' <e>/=`},
	{"Ruby CGI.escape", `P%C3%A4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"Ruby CGI.escapeHTML", `Pä&quot;s&#39; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&quot;d&#39; &lt;e&gt;/=`},
	{"Ruby ERB::Util.url_encode", `P%C3%A4%22s%27%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{"Ruby to_json", `"Pä\"s' <w>&+/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Ruby on Rails to_json", `Pä\"s' \u003cw\u003e\u0026+/=%\\é😀;1`, `\u0026amp;b%41c\\u0041+\"d' \u003ce\u003e/=`},
	{"Ruby inspect", `"Pä\"s' <w>&+/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Ruby inspect of bytes", `"P\xC3\xA4\"s' <w>&+/=%\\\xC3\xA9\xF0\x9F\x98\x80;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Ruby dump", `"P\u00E4\"s' <w>&+/=%\\\u00E9\u{1F600};1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Ruby URI.encode_www_form_component", `P%C3%A4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"Java URLEncoder", `P%C3%A4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"Java URLEncoder ISO-8859-1", `P%E4%22s%27+%3Cw%3E%26%2B%2F%3D%25%5C%E9%3F%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27+%3Ce%3E%2F%3D`},
	{"Java URI.toASCIIString", `http://h/P%C3%A4%22s'%20%3Cw%3E&+/=%25%5C%C3%A9%F0%9F%98%80;1`, `http://h/&amp;b%2541c%5Cu0041+%22d'%20%3Ce%3E/=`},
	{"Java StringEscapeUtils.escapeHtml4", `P&auml;&quot;s' &lt;w&gt;&amp;+/=%\&eacute;😀;1`, `&amp;amp;b%41c\u0041+&quot;d' &lt;e&gt;/=`},
	{"Java StringEscapeUtils.escapeJava", `P\u00E4\"s' <w>&+/=%\\\u00E9\uD83D\uDE00;1`, `&amp;b%41c\\u0041+\"d' <e>/=`},
	{"Java StringEscapeUtils.escapeEcmaScript", `P\u00E4\"s\' <w>&+\/=%\\\u00E9\uD83D\uDE00;1`, `&amp;b%41c\\u0041+\"d\' <e>\/=`},
	{"Java StringEscapeUtils.escapeXml11", `Pä&quot;s&apos; &lt;w&gt;&amp;+/=%\é😀;1`, `&amp;amp;b%41c\u0041+&quot;d&apos; &lt;e&gt;/=`},
	{"Java Jackson", `"Pä\"s' <w>&+/=%\\é😀;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Java Jackson ESCAPE_NON_ASCII", `P\u00E4\"s' <w>&+/=%\\\u00E9\uD83D\uDE00;1`, `&amp;b%41c\\u0041+\"d' <e>/=`},
	{"Java Gson", `Pä\"s\u0027 \u003cw\u003e\u0026+/\u003d%\\é😀;1`, `\u0026amp;b%41c\\u0041+\"d\u0027 \u003ce\u003e/\u003d`},
	{"Java Spring HtmlUtils", `P&auml;&quot;s&#39; &lt;w&gt;&amp;+/=%\&eacute;😀;1`, `&amp;amp;b%41c\u0041+&quot;d&#39; &lt;e&gt;/=`},
	{"Java OWASP forJavaScript", `Pä\x22s\x27 <w>\x26+\/=%\\é😀;1`, `\x26amp;b%41c\\u0041+\x22d\x27 <e>\/=`},
	{".NET WebUtility.HtmlEncode", `P&#228;&quot;s&#39; &lt;w&gt;&amp;+/=%\&#233;&#128512;;1`, `&amp;amp;b%41c\u0041+&quot;d&#39; &lt;e&gt;/=`},
	{".NET HtmlEncoder.Default", `P&#xE4;&quot;s&#x27; &lt;w&gt;&amp;&#x2B;/=%\&#xE9;&#x1F600;;1`, `&amp;amp;b%41c\u0041&#x2B;&quot;d&#x27; &lt;e&gt;/=`},
	{".NET Uri.EscapeDataString", `P%C3%A4%22s%27%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{".NET HttpUtility.UrlEncode", `P%c3%a4%22s%27+%3cw%3e%26%2b%2f%3d%25%5c%c3%a9%f0%9f%98%80%3b1`, `%26amp%3bb%2541c%5cu0041%2b%22d%27+%3ce%3e%2f%3d`},
	{".NET HttpUtility.UrlEncodeUnicode", `P%u00e4%22s%27+%3cw%3e%26%2b%2f%3d%25%5c%u00e9%ud83d%ude00%3b1`, `%26amp%3bb%2541c%5cu0041%2b%22d%27+%3ce%3e%2f%3d`},
	{".NET JavaScriptEncoder.Default", `P\u00E4\u0022s\u0027 \u003Cw\u003E\u0026\u002B/=%\\\u00E9\uD83D\uDE00;1`, `\u0026amp;b%41c\\u0041\u002B\u0022d\u0027 \u003Ce\u003E/=`},
	{".NET JavaScriptEncoder.UnsafeRelaxedJsonEscaping", `Pä\"s' <w>&+/=%\\é😀;1`, `&amp;b%41c\\u0041+\"d' <e>/=`},
	{".NET HttpUtility.JavaScriptStringEncode", `Pä\"s\u0027 \u003cw\u003e\u0026+/=%\\é😀;1`, `\u0026amp;b%41c\\u0041+\"d\u0027 \u003ce\u003e/=`},
	{".NET Newtonsoft EscapeHtml", `Pä\u0022s\u0027 \u003cw\u003e\u0026+/=%\\é😀;1`, `\u0026amp;b%41c\\u0041+\u0022d\u0027 \u003ce\u003e/=`},
	{"Perl URI::Escape uri_escape_utf8", `P%C3%A4%22s%27%20%3Cw%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `%26amp%3Bb%2541c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{"Perl Data::Dumper", `"P\x{e4}\"s' <w>&+/=%\\\x{e9}\x{1f600};1"`, `'&amp;b%41c\\u0041+"d\' <e>/='`},
	{"Perl Data::Dumper Useqq", `"P\x{e4}\"s' <w>&+/=%\\\x{e9}\x{1f600};1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Perl JSON::PP ascii", `"P\u00e4\"s' <w>&+/=%\\\u00e9\ud83d\ude00;1"`, `"&amp;b%41c\\u0041+\"d' <e>/="`},
	{"Perl quotemeta", `Pä\"s\'\ \<w\>\&\+\/\=\%\\é😀\;1`, `\&amp\;b\%41c\\u0041\+\"d\'\ \<e\>\/\=`},
	{"one part as JSON, one in percent", `P\u00e4\"s' <w%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `&amp;b%41c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{"one part in HTML, one in percent", `Pä&quot;s&#x27; &lt;w%3E%26%2B%2F%3D%25%5C%C3%A9%F0%9F%98%80%3B1`, `&amp;amp;b%41c%5Cu0041%2B%22d%27%20%3Ce%3E%2F%3D`},
	{"JSON in percent in HTML", `%22P%5Cu00e4%5C%22s%27%20%3Cw%3E&amp;%2B%2F%3D%25%5C%5C%5Cu00e9%5Cud83d%5Cude00%3B1%22`, `%22&amp;amp%3Bb%2541c%5C%5Cu0041%2B%5C%22d%27%20%3Ce%3E%2F%3D%22`},
	{"entities without semicolons", `Pä&quots&#39 &ltw&gt&amp+/=%\é😀;1`, `&ampamp;b%41c\u0041+&quotd&#39 &lte&gt/=`},
}

func TestErrorsWithholdWhatTheFunctionsOfOtherLanguagesEscape(t *testing.T) {
	t.Parallel()
	for _, echo := range escaped {
		for password, text := range map[string]string{escapedPassword: echo.password, escapedEscapes: echo.escapes} {
			body := "no user has the password " + text + " here"
			rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
				resp, err := respond(http.StatusBadRequest, body)(r)
				resp.Header = http.Header{"X-Echo": {text}, "X-Other": {"other"}}
				return resp, err
			})
			c := mustClient(t, noRetry, fastly.WithoutAuthentication(), fastly.WithHTTPClient(&http.Client{Transport: rt}))
			_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Username: canaryLogin, Password: fastly.Secret(password)})
			got := responseError(t, err)
			assert.Equal(t, "[REDACTED]", got.Msg, echo.by)
			assert.Equal(t, "[REDACTED]", got.Body, echo.by)
			assert.Equal(t, http.Header{"X-Echo": {"[REDACTED]"}, "X-Other": {"other"}}, got.Header, echo.by)

			for _, form := range []string{`{"msg":%s,"detail":"in JSON"}`, `{"errors":[{"title":%s,"detail":"in JSON"}]}`} {
				body = fmt.Sprintf(form, quoteJSON(text))
				if !utf8.ValidString(text) { // quoteJSON would change it
					body = fmt.Sprintf(form, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)+`"`)
				}
				_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Username: canaryLogin, Password: fastly.Secret(password)})
				got = responseError(t, err)
				assert.Equal(t, "[REDACTED]", got.Msg, echo.by)
				assert.Equal(t, "in JSON", got.Detail, echo.by)
				assert.Equal(t, "[REDACTED]", got.Body, echo.by)
			}

			lost := roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("no response to " + text) })
			c = mustClient(t, noRetry, fastly.WithBasicAuth(canaryLogin, password), fastly.WithHTTPClient(&http.Client{Transport: lost}))
			_, err = c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			require.ErrorContains(t, err, "POST /tokens: [REDACTED]", echo.by)
		}
	}
}

// Latin-1 has more to it than é: passwords with next to nothing in ASCII.
func TestErrorsWithholdWhatAnotherCharacterSetRepeats(t *testing.T) {
	t.Parallel()
	for password, echoes := range map[string][]string{
		"éàüöß":    {"éàüöß", "\xe9\xe0\xfc\xf6\xdf", "Ã©Ã\u00a0Ã¼Ã¶Ã\u009f", "%E9%E0%FC%F6%DF", `\u00e9\u00e0\u00fc\u00f6\u00df`, "&eacute;&agrave;&uuml;&ouml;&szlig;"},
		"пароль":   {"пароль", `\u043f\u0430\u0440\u043e\u043b\u044c`, "%u043F%u0430%u0440%u043E%u043B%u044C", "&#1087;&#1072;&#1088;&#1086;&#1083;&#1100;", url.QueryEscape("пароль")},
		"größe😀12": {"größe😀12", "gr\xf6\xdfe?12", "gr??e??12", "gr\ufffd\ufffde\ufffd12", "gre12", "grÃ¶ÃŸeðŸ˜€12", `gr\u00f6\u00dfe\ud83d\ude0012`, "gr%F6%DFe%uD83D%uDE0012"},
		"password": {"p\x00a\x00s\x00s\x00w\x00o\x00r\x00d\x00", "\x00p\x00a\x00s\x00s\x00w\x00o\x00r\x00d"}, // UTF-16
		"😀🚀":       {"😀🚀", `\ud83d\ude00\ud83d\ude80`, "&#128512;&#x1F680;", "%uD83D%uDE00%uD83D%uDE80", `\U0001f600\u{1f680}`, url.QueryEscape("😀🚀")},
	} {
		for _, echo := range echoes {
			assert.Equal(t, "[REDACTED]", fastly.RedactTokens("it is "+echo+"!", password), "%q", echo)
			assert.Equal(t, "it is another", fastly.RedactTokens("it is another", password))
		}
	}
}

func TestErrorsWithholdABasicPairInEachAlphabet(t *testing.T) {
	t.Parallel()
	const username, password = "ann?>~", "~~~???>>>" // + and / in base64
	pair := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	require.Regexp(t, `[+].*/.*=$`, pair)
	for _, echo := range []string{
		pair, strings.TrimRight(pair, "="), base64.URLEncoding.EncodeToString([]byte(username + ":" + password)),
		base64.RawURLEncoding.EncodeToString([]byte(username + ":" + password)), strings.ReplaceAll(pair, "+", "%2B"), url.QueryEscape(pair),
		strings.ReplaceAll(pair, "/", `\/`),
	} {
		below := respond(http.StatusBadRequest, "no such credentials: "+echo)
		own := &fastly.BasicAuthTransport{Username: username, Password: password, Host: "example.com", Base: below}
		for _, opts := range [][]fastly.Option{
			{fastly.WithBasicAuth(username, password), fastly.WithHTTPClient(&http.Client{Transport: below})},
			{fastly.WithTransport(own)},
		} {
			c := mustClient(t, append(opts, noRetry, fastly.WithBaseURL("https://example.com"))...)
			_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{})
			assert.Equal(t, "[REDACTED]", responseError(t, err).Msg, echo)
		}
	}
}

// A password that is in the message is withheld with it, and what the message means stays known.
func TestErrorsMeanTheSameIfTheirTextIsWithheld(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status         int
		body, password string
		want           []error
	}{
		{403, `{"msg":"You must POST /sudo to access this endpoint"}`, "POST /sudo", []error{fastly.ErrForbidden, fastly.ErrSudoRequired}},
		{400, `{"msg":"Invalid one-time password"}`, "password", []error{fastly.ErrBadRequest, fastly.ErrOTPRequired}},
		{400, `{"msg":"2fa.verify"}`, "2fa.verify", []error{fastly.ErrBadRequest, fastly.ErrOTPRequired}},
		{400, `{"msg":"locked","code":"account_locked"}`, "account_locked", []error{fastly.ErrBadRequest, fastly.ErrAccountLocked}},
		{401, `{"msg":"Token 3Riw expired at 2019-05-01T09:00:00Z"}`, "expired at", []error{fastly.ErrUnauthorized, fastly.ErrTokenExpired}},
		{401, `{"msg":"Provided credentials are missing or invalid"}`, "credentials", []error{fastly.ErrUnauthorized, fastly.ErrInvalidCredentials}},
	} {
		srv := newStub(t, test.status, nil, test.body)
		c := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), fastly.WithoutAuthentication())
		_, err := c.Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Username: "jane", Password: fastly.Secret(test.password)})
		assertMatches(t, err, test.want...)
		require.ErrorContains(t, err, "[REDACTED]")
		assert.NotContains(t, responseError(t, err).Body, test.password)
	}
}

// The time that a text takes depends on its length alone, not on how many of its words may be
// access tokens: none is looked for alone.
func TestRedactAllocatesTheSameForAnyNumberOfWords(t *testing.T) {
	allocations := func(words int) float64 {
		text := strings.Repeat(canaryAccess+" ", words)
		return testing.AllocsPerRun(10, func() { fastly.WithholdsTokens(text[:len(text)-20]) })
	}
	assert.LessOrEqual(t, allocations(4000), allocations(100))
}

func BenchmarkRedact(b *testing.B) {
	for name, part := range map[string]string{
		"words": canaryAccess + " ", "percent": "%", "escapes": "%25", "entities": "&amp", "ampersands": "&a", "slashes": `\u`, "secret": canaryPassword[:9], "JSON": `\"a\u0041`, "UTF-8": "Ã",
	} {
		for _, size := range []int{64, 128, 256} {
			text := strings.Repeat(part, size<<10/len(part))
			b.Run(fmt.Sprintf("%s/%dKiB", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					fastly.RedactTokens(text, canaryKey, canaryPassword, canaryOTP)
				}
			})
		}
	}
}

// The body ends, or is cut, within a secret: most of one is a secret, too.
func TestErrorsRedactATruncatedSecret(t *testing.T) {
	t.Parallel()
	for secret, create := range map[string]string{canaryKey: "key", canaryPassword: "login"} {
		for _, before := range []int{0, 64<<10 - len(secret)/2, 64<<10 - len(secret) + 1, 64<<10 - telltale} {
			for _, missing := range []int{1, 1000} {
				t.Run(fmt.Sprint(create, before, missing), func(t *testing.T) {
					t.Parallel()
					body := strings.Repeat("x", before) + secret[:len(secret)-1]
					srv := newEcho(t, func(w http.ResponseWriter, _ []string) {
						w.Header().Set("Content-Length", strconv.Itoa(len(body)+missing))
						w.WriteHeader(http.StatusBadRequest)
						_, _ = io.WriteString(w, body)
					})
					create := secretCreates[create]
					c := mustClient(t, noRetry, create.auth, fastly.WithBaseURL(srv.URL))
					_, err := c.Tokens.CreateToken(t.Context(), create.req())
					require.Error(t, err)
					assertNoSecret(t, err)
				})
			}
		}
	}
}

func TestErrorsRedactWhatATruncatedBodyEndsWith(t *testing.T) {
	t.Parallel()
	const key = "ab12cd34-ab12cd34"
	for body, want := range map[string]string{
		"no " + key:                      "[REDACTED]",
		"no " + key + "-ab12":            "[REDACTED]",
		"no " + key[:5]:                  "[REDACTED]",
		"no " + key[:4]:                  "[REDACTED]",
		"no " + key[:3]:                  "no ab1", // says too little
		`no ab12\u00`:                    "[REDACTED]",
		"no ab12%":                       "[REDACTED]",
		"no ab12cd34&#x2":                "[REDACTED]",
		"no %61b1%32%6":                  "[REDACTED]",
		"no ab12 but it is not this key": "no ab12 but it is not this key",
	} {
		srv := newStub(t, http.StatusBadRequest, http.Header{"Content-Length": {"99"}}, body)
		_, err := srv.client(t, fastly.WithAPIKey(key)).Tokens.GetTokenCurrent(t.Context())
		assert.Equal(t, want, responseError(t, err).Msg)
	}
}

// A short secret may be a word of a message. It is redacted as a value only.
func TestErrorsRedactAShortSecretOnlyAsAValue(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"password": "wrong", "password of seven": "correct", "one-time password": "731", "key": "abc"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			create := func(status int, body string) *fastly.GenericTokenError {
				srv := newStub(t, status, http.Header{"X-Echo": {secret}, "X-Text": {"it is " + secret}, "X-Quote": {`"` + secret + `ly"`}}, body)
				req, auth := new(fastly.CreateTokenRequest), fastly.WithAPIKey(someKey)
				switch name {
				case "key":
					auth = fastly.WithAPIKey(secret)
				case "one-time password":
					req.OTP = fastly.Secret(secret)
				default:
					req.Username, req.Password = "jane", fastly.Secret(secret)
				}
				_, err := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), auth).Tokens.CreateToken(t.Context(), req)
				return responseError(t, err)
			}
			text := "username or password is " + secret
			got := create(http.StatusBadRequest, `{"msg":`+quoteJSON(text)+`}`)
			assert.Equal(t, text, got.Msg)
			assert.JSONEq(t, `{"msg":`+quoteJSON(text)+`}`, got.Body)
			assert.Equal(t, []string{"[REDACTED]"}, got.Header["X-Echo"])
			assert.Equal(t, []string{"it is " + secret}, got.Header["X-Text"])
			assert.Equal(t, []string{`"` + secret + `ly"`}, got.Header["X-Quote"], "another word")

			got = create(http.StatusBadRequest, `{"msg":`+quoteJSON(secret)+`,"detail":`+quoteJSON(secret)+`,"code":`+quoteJSON(secret)+`,"sent":{"value":`+quoteJSON(secret)+`}}`)
			assert.Equal(t, "[REDACTED]", got.Msg)
			assert.Equal(t, "[REDACTED]", got.Detail)
			assert.Equal(t, "[REDACTED]", got.Code)
			assert.Equal(t, "[REDACTED]", got.Body)

			got = create(http.StatusBadRequest, `{"msg":"no","detail":"`+escapeAll(secret, `\u%04x`, false)+`"}`)
			assert.Equal(t, "no", got.Msg)
			assert.Equal(t, "[REDACTED]", got.Detail)
			assert.Equal(t, "[REDACTED]", got.Body)

			got = create(http.StatusBadGateway, secret)
			assert.Equal(t, "[REDACTED]", got.Msg)
			assert.Equal(t, "[REDACTED]", got.Body)
		})
	}
}

func TestErrorsRedactALongSecretAnywhere(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{"password": "hunter22", "one-time password": "7319", "key": "abcd"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newStub(t, http.StatusBadRequest, http.Header{"X-Text": {"it is " + secret}}, `{"msg":"it is `+secret+`!"}`)
			req, auth := new(fastly.CreateTokenRequest), fastly.WithAPIKey(someKey)
			switch name {
			case "key":
				auth = fastly.WithAPIKey(secret)
			case "one-time password":
				req.OTP = fastly.Secret(secret)
			default:
				req.Username, req.Password = "jane", fastly.Secret(secret)
			}
			_, err := mustClient(t, noRetry, fastly.WithBaseURL(srv.URL), auth).Tokens.CreateToken(t.Context(), req)
			got := responseError(t, err)
			assert.Equal(t, "[REDACTED]", got.Msg)
			assert.Equal(t, "[REDACTED]", got.Body)
			assert.Equal(t, []string{"[REDACTED]"}, got.Header["X-Text"])
		})
	}
}

func TestHeaderOfAnErrorIsRedacted(t *testing.T) {
	t.Parallel()
	const key = "Key-In-The-Form-Of-A-Name"
	srv := newStub(t, http.StatusFound, http.Header{
		"Set-Cookie":          {"session=1"},
		"Location":            {"https://example.com/" + key + "/path?token=1#fragment"},
		"X-Served-By":         {"cache-fra-1", "cache-fra-2"},
		"X-Timer":             {"S1610625600.1,VS0,VE12"},
		"X-" + key:            {"value"},
		"X-Long":              {strings.Repeat("é", 1<<10)},
		"X-Long-And-Redacted": {strings.Repeat("x", 1<<10-10) + key},
	}, "")
	_, err := srv.client(t, fastly.WithAPIKey(key)).Tokens.GetTokenCurrent(t.Context())
	got := responseError(t, err).Header
	assert.NotContains(t, got, "Set-Cookie")
	assert.Equal(t, "[REDACTED]", got.Get("Location"))
	assert.Equal(t, "cache-fra-1, cache-fra-2", got.Get("X-Served-By"))
	assert.Equal(t, "S1610625600.1,VS0,VE12", got.Get("X-Timer"))
	assert.Equal(t, strings.Repeat("é", 510)+"…", got.Get("X-Long"), "at most 1 KiB, of whole characters")
	assert.Equal(t, "[REDACTED]", got.Get("X-Long-And-Redacted"))
	assert.NotContains(t, got, "X-"+key)
}

// Not parallel: it counts what is allocated.
func TestHeaderOfManyValuesCostsLittle(t *testing.T) { //nolint:paralleltest // see above
	skipWithRaceDetector(t)
	header := http.Header{"X-Values": slices.Repeat([]string{"v"}, 20_000)}
	c := mustClient(t, noRetry, fastly.WithAPIKey(strings.Repeat(canaryKey, 100)), fastly.WithHTTPClient(&http.Client{
		Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusForbidden, Header: header, Body: http.NoBody, Request: r}, nil
		}),
	}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	runtime.ReadMemStats(&after)
	assert.Len(t, responseError(t, err).Header.Get("X-Values"), 1<<10)
	assert.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(20), "MiB allocated")
}

func TestHeaderOfAnErrorIsBounded(t *testing.T) {
	t.Parallel()
	header := http.Header{"Set-Cookie": {"session=1"}}
	for i := range 100 {
		header.Set(fmt.Sprintf("Field-%03d", i), "value")
	}
	longest := "A" + strings.Repeat("a", 1<<10-1)
	header.Set(longest, "value")
	header.Set(longest+"a", "value")
	srv := newStub(t, http.StatusBadRequest, header, "")
	_, err := srv.client(t).Tokens.GetTokenCurrent(t.Context())
	got := responseError(t, err).Header
	assert.Len(t, got, 64)
	assert.Contains(t, got, longest)
	assert.NotContains(t, got, longest+"a")
	assert.Contains(t, got, "Field-000")
	assert.NotContains(t, got, "Field-099")
}

// net/http quotes such responses in its errors.
func TestErrorsRedactWhatBrokenHTTPRepeats(t *testing.T) {
	t.Parallel()
	for name, create := range secretCreates {
		if name == "own transport" || name == "login over another" {
			continue // which has to redact its own key
		}
		for place, form := range map[string]string{
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
			t.Run(name+"/"+place, func(t *testing.T) {
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
				c := mustClient(t, quickRetry, create.auth, fastly.WithBaseURL(srv.URL))
				for n := range int32(3) { // secrets at most
					which.Store(n)
					_, err := c.Tokens.CreateToken(t.Context(), create.req())
					require.Error(t, err)
					assertNoSecret(t, err)
					assertOneLine(t, err)
					if name == "login" {
						continue
					}
					_, err = c.Tokens.ListTokensUser(t.Context())
					require.Error(t, err)
					assertNoSecret(t, err)
				}
			})
		}
	}
}

// The access token of such a response is not known to be one.
func TestErrorsRedactTheAccessTokenInBrokenHTTP(t *testing.T) {
	t.Parallel()
	created := `{"access_token": "` + canaryKey[len(canaryKey)-32:] + `", "id":"` + someID + `"}` // as long as the API's
	for place, form := range map[string]string{
		"status line": "%s\r\n\r\n",
		"protocol":    "{\"id\":\"" + someID + "\",%s\r\n\r\n",
		"header line": "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
	} {
		srv := newStubFunc(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			_, err = fmt.Fprintf(conn, form, created)
			assert.NoError(t, err)
			assert.NoError(t, conn.Close())
		})
		_, err := srv.client(t).Tokens.CreateToken(t.Context(), &fastly.CreateTokenRequest{Name: someName})
		require.ErrorIs(t, err, fastly.ErrOutcomeUnknown, place)
		require.ErrorContains(t, err, "[REDACTED]", place)
		assertNoSecret(t, err)
	}
}

// talkativeError holds the request, as some errors of transports do.
type talkativeError struct {
	Request string
	err     error
}

func (e *talkativeError) Error() string { return "cannot send " + e.Request + ": " + e.err.Error() }

func (e *talkativeError) Unwrap() error { return e.err }

func TestErrorWithoutASecretIsTheErrorOfTheTransport(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	rt := roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, reason })
	c := mustClient(t, noRetry, fastly.WithAPIKey(someKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Same(t, reason, errors.Unwrap(err))
}

func TestErrorsRedactWhatTheTransportRepeats(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	tell := func(r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return err
		}
		return &talkativeError{strings.Join(sentSecrets(r), "\n") + fmt.Sprint(r.Header, r.PostForm), reason}
	}
	for name, create := range secretCreates {
		if name == "own transport" || name == "login over another" {
			continue // which has to redact its own key
		}
		for place, below := range map[string]roundTripFunc{
			"before a response": func(r *http.Request) (*http.Response, error) { return nil, tell(r) },
			"within a response": func(r *http.Request) (*http.Response, error) {
				body := io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(tell(r)))
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
			},
			"in a response with no request": func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tell(r).Error()))}, nil
			},
			"in a response with another request": func(r *http.Request) (*http.Response, error) {
				other := new(http.Request)
				return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tell(r).Error())), Request: other}, nil
			},
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				t.Parallel()
				c := mustClient(t, quickRetry, create.auth, fastly.WithHTTPClient(&http.Client{Transport: below}))
				_, err := c.Tokens.CreateToken(t.Context(), create.req())
				require.Error(t, err)
				assertNoSecret(t, err)
				if place == "before a response" || place == "within a response" {
					require.ErrorIs(t, err, reason, "the reason can be found all the same")
					require.ErrorAs(t, err, new(*talkativeError))
					require.ErrorIs(t, err, fastly.ErrOutcomeUnknown)
				}
			})
		}
	}
}

func TestTransportsRedactWhatTheTransportBelowRepeats(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	below := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		return nil, &talkativeError{strings.Join(sentSecrets(r), "\n") + fmt.Sprint(r.Header), reason}
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

// The transport below leaves out the request of its response, in which a client would look.
func TestClientRedactsWhatATransportOfItsOwnSent(t *testing.T) {
	t.Parallel()
	below := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		body := strings.NewReader(`{"msg":"no such key: ` + r.Header.Get("Fastly-Key") + `"}`)
		return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(body)}, nil
	})
	c := mustClient(t, noRetry, fastly.WithTransport(&fastly.APIKeyTransport{Key: canaryKey, Base: below}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Equal(t, "[REDACTED]", responseError(t, err).Msg)
	assertNoSecret(t, err)
}

func TestClientRedactsWhatAMiddlewareSent(t *testing.T) {
	t.Parallel()
	srv := newStubFunc(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no access with "+r.Header.Get("Authorization"))
	})
	c := srv.client(t, fastly.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+canaryOTP+canaryKey) // for a gateway
			return next.RoundTrip(r)
		})
	}))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	assert.Equal(t, "[REDACTED]", responseError(t, err).Msg)
	assertNoSecret(t, err)
}

// quietError does not show what it wraps.
type quietError struct{ err error }

func (e *quietError) Error() string { return "the proxy is out of order" }
func (e *quietError) Unwrap() error { return e.err }

func TestErrorsRedactTheKeyThatATransportAddsItself(t *testing.T) {
	t.Parallel()
	reason := errors.New("the proxy is out of order")
	c := mustClient(t, noRetry, fastly.WithTransport(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent := r.Clone(r.Context())
		sent.Header.Set("Fastly-Key", someKey)
		body := io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(fmt.Errorf("%w: it got %v", reason, sent.Header)))
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), Request: sent}, nil
	})))
	_, err := c.Tokens.GetTokenCurrent(t.Context())
	require.ErrorIs(t, err, reason)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), someKey)
}

func TestErrorsRedactWhatAnErrorOfTheTransportWraps(t *testing.T) {
	t.Parallel()
	reason := errors.New("no such key: " + canaryKey)
	for _, failure := range []error{&quietError{reason}, &quietError{errors.Join(io.EOF, &quietError{reason})}} {
		rt := roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, failure })
		c := mustClient(t, noRetry, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
		_, err := c.Tokens.GetTokenCurrent(t.Context())
		require.ErrorIs(t, err, reason)
		assertNoSecret(t, err)
	}
}

func TestErrorOfTheKeyFunctionRedactsTheKeyThatComesWithIt(t *testing.T) {
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

// endingError ends a call at a time when its text is on the way up.
type endingError struct {
	error
	asked func()
}

func (e endingError) Is(error) bool { e.asked(); return false }

func TestErrorsRedactWhatComesBeforeACancel(t *testing.T) {
	t.Parallel()
	for last := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		rt := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			n := 0
			reason := endingError{errors.New("lost the request with " + r.Header.Get("Fastly-Key")), func() {
				if n++; n > last {
					cancel()
				}
			}}
			body := io.MultiReader(strings.NewReader(tokenJSON), iotest.ErrReader(reason))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body)}, nil
		})
		c := mustClient(t, noRetry, fastly.WithAPIKey(canaryKey), fastly.WithHTTPClient(&http.Client{Transport: rt}))
		_, err := c.Tokens.GetTokenCurrent(ctx)
		cancel()
		require.Error(t, err)
		assertNoSecret(t, err)
	}
}
