package tolerant_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/internal/tolerant"
)

func TestBodyIsReadWithoutCompressionAndByteOrderMark(t *testing.T) {
	t.Parallel()
	packed := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.String()
	}
	for sent, want := range map[string]string{
		"":                      "",
		"{}":                    "{}",
		"\ufeff{}":              "{}",
		packed("{}"):            "{}",
		packed("\ufeff{}"):      "{}",
		packed(""):              "",
		"\xef\xbb":              "\xef\xbb",
		"\x1f":                  "\x1f",
		packed(packed("{}")):    packed("{}"),
		strings.Repeat("x", 99): strings.Repeat("x", 99),
	} {
		for _, r := range []io.Reader{strings.NewReader(sent), iotest.OneByteReader(strings.NewReader(sent))} {
			text, err := io.ReadAll(tolerant.Body(io.NopCloser(r)))
			require.NoError(t, err)
			assert.Equal(t, want, string(text))
		}
	}
}

func TestTimesAreReadInTheFormsOfTheField(t *testing.T) {
	t.Parallel()
	want := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{
		"2030-01-02T03:04:05Z", "2030-01-02 03:04:05 UTC", "2030-01-02 03:04:05Z", "2030-01-02t03:04:05z",
		"2030-01-02T03:04:05+0000", "2030-01-02 05:04:05 +0200", "2030-01-02T03:04:05+00", "2030-01-02T03:04:05.000Z",
	} {
		at, err := tolerant.Time(text)
		require.NoError(t, err, text)
		assert.WithinDuration(t, want, at, 0, text)
	}
	for _, text := range []string{"", "tomorrow", "2030-01-02", "2030-01-02T03:04:05", "2030-13-02T03:04:05Z", "2030-01-02T 03:04:05Z", "2030-01-02T0 3:04:05Z", "2030-01-02T03:04UTC:05"} {
		_, err := tolerant.Time(text)
		assert.Error(t, err, text)
	}
}

func TestRetryAfterIsReadInEachForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second, "1.5": 1500 * time.Millisecond, "7, 9": 7 * time.Second,
		"-7": 0, "": 0, "soon": 0, "99999999999999999999999": tolerant.MaxRetryAfter, "1e999": tolerant.MaxRetryAfter,
		"Wed, 02 Jan 2030 03:05:05 GMT": time.Minute, "Wed, 02 Jan 2030 03:05:05 UTC": time.Minute,
		"Wednesday, 02-Jan-30 03:05:05 GMT": time.Minute, "Wed Jan  2 03:05:05 2030": time.Minute,
		"Wed, 02 Jan 2030 04:05:05 +0100": time.Minute, "2030-01-02T03:05:05Z": time.Minute,
		"Wed, 02 Jan 2030 03:03:05 GMT": 0,
	} {
		assert.Equal(t, want, tolerant.RetryAfter(value, now), value)
	}
}

func TestNextPageIsARelationOfALink(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]bool{
		`<https://example.com/?page=2>; rel="next"`:      true,
		`<a>; rel=prev, <b>; title="x"; rel="last next"`: true,
		`<a>; REL=NEXT`:   true,
		`<a>; rel="prev"`: false,
		`<https://example.com/next>; rel="nextcloud"`:  false,
		`<https://example.com/?rel=next>; rel="first"`: false,
		``: false,
	} {
		assert.Equal(t, want, tolerant.HasNextPage(http.Header{"Link": {link}}), link)
	}
}

func TestTitleOfAPageIsReadAsFarAsItCame(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"<html><title>404 Not\n Found</title>": "404 Not Found",
		"<TITLE lang=en>A &amp; B</TITLE>":     "A & B",
		"<html><p>no title":                    "",
		"<title>cut o":                         "",
	} {
		assert.Equal(t, want, tolerant.HTMLTitle(page, false), page)
	}
	assert.Equal(t, "cut o", tolerant.HTMLTitle("<title>cut o", true))
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRoundTripReturnsAResponseWithABodyOrAnError(t *testing.T) {
	t.Parallel()
	errBelow := errors.New("it broke")
	body, w := io.Pipe()
	for name, test := range map[string]struct {
		resp *http.Response
		err  error
		want string // the error
	}{
		"response and error": {&http.Response{Body: body}, errBelow, "it broke"},
		"error, no body":     {&http.Response{}, errBelow, "it broke"},
		"neither":            {nil, nil, "the transport returned no response and no error"},
		"no body":            {&http.Response{}, nil, ""},
	} {
		resp, err := tolerant.RoundTrip(roundTripFunc(func(*http.Request) (*http.Response, error) { return test.resp, test.err }), nil)
		if test.want != "" {
			assert.Nil(t, resp, name)
			assert.EqualError(t, err, test.want, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, http.NoBody, resp.Body, name)
		assert.NoError(t, resp.Body.Close())
	}
	_, err := w.Write([]byte("x"))
	assert.ErrorIs(t, err, io.ErrClosedPipe, "the body that comes with an error is closed")
}
