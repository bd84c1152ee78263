package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varToken, "")
	for _, name := range []string{"", "whoami", "list", "get", "create", "revoke", "audit", "rotate", "exec", "serve", "completion"} {
		o := s.run("help", name)
		assert.Equal(t, 0, o.code)
		assert.Equal(t, o.out, s.run(append(strings.Fields(name), "--help")...).out)
		assert.Contains(t, o.out, "Usage:\n  fastly-token")
		for line := range strings.Lines(o.out) {
			assert.LessOrEqual(t, len(strings.TrimRight(line, " \n")), 80, "help %s: %s", name, line)
		}
	}
}

func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varToken, "")
	assert.Regexp(t, `^fastly-token \S+\n$`, s.run("--version").out)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		o := s.run("completion", shell)
		assert.Equal(t, 0, o.code)
		assert.Contains(t, o.out, "fastly-token")
	}
	assert.Contains(t, s.run("__complete", "create", "--scope", "").out, "purge_all\n")
	assert.Contains(t, s.run("__complete", "aud").out, "audit\t")
	for words, files := range map[string]bool{
		"get": false, "revoke": false, "rotate": false, "list": false, "serve": false, "list --customer": false, "rotate --grace": false,
		"exec": true, "exec --": true, "rotate -- cat": true, "rotate ID --": true, "rotate --out": true, "create --otp-file": true,
	} {
		o := s.run(append(append([]string{"__complete"}, strings.Fields(words)...), "")...)
		assert.Equal(t, files, o.out == ":0\n", "%s: %s", words, o.out)
	}
}

func TestMistakesEndWithCodeTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range [][]string{{"nonsense"}, {"--nonsense"}, {"list", "--nonsense"}, {"list", "word"}, {"serve", "word"}, {"audit", "--ignore", "x"}, {"completion", "nonsense"}, {"audit", "--csv", "--json"}, {"audit", "--json", "--metrics"}, {"audit", "--metrics", "--revoke-unused"}} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, "%v", args)
		assert.Regexp(t, `; see fastly-token.* --help\n$`, o.err)
		assert.Equal(t, 1, strings.Count(o.err, "\n"))
		assert.Empty(t, o.out)
	}
	assert.Contains(t, s.run("list", "word").err, `unexpected argument "word"`)
	assert.Contains(t, s.run("audit", "--csv", "--json").err, "--json, --csv and --metrics exclude each other")
	assert.Contains(t, s.run("audit", "--unused", "0", "--revoke-unused", "--yes").err, "--unused of more than no time")
	assert.Empty(t, s.Requests())
}

func TestEmptyValuesAreRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.logIn(s.User())
	out := filepath.Join(s.dir, "token")
	for name, args := range map[string][]string{
		"--customer is empty":          {"list", "--customer", ""},
		"--service is empty":           {"create", "--service", "", "--out", out},
		"--scope is empty":             {"create", "--scope=", "--out", out},
		"--username is empty":          {"create", "--username", "", "--out", out},
		"--out is empty":               {"create", "--out", "", "--print"},
		"--state is empty":             {"rotate", "--state", "", "--out", out},
		"the ID of the token is empty": {"rotate", "", "--out", out},
	} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, "%q", args)
		assert.Contains(t, o.err, name)
	}
	for _, args := range [][]string{{"audit", "--customer", ""}, {"exec", "--service", "", "--", "true"}} {
		assert.Equal(t, exitUsage, s.run(args...).code, "%q", args)
	}
	assert.Empty(t, s.Requests(), "nothing should have been asked of the API")
	assert.NoFileExists(t, out)
}

func TestTokenOfTheEnvironmentIsNoArgument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.Key().Reveal()
	for _, args := range [][]string{{"get", key}, {"revoke", key}, {"list", key}, {"list", "--customer=" + key}, {key}, {"exec", "--", "curl", "-H", "Fastly-Key: " + key}} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, args[0])
		assert.Contains(t, o.err, "an argument holds the API token")
	}
	s.set(varKey, s.AddToken(s.User().ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal())
	assert.Equal(t, exitUsage, s.run("get", s.Tokens()[1].AccessToken.Reveal()).code)
	assert.Empty(t, s.Requests())
}

func TestEnvironmentThatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varToken, "a key\nwith a line break")
	o := s.run("whoami")
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.err, varToken+": ")
	assert.NotContains(t, o.err, "a key")

	s = newSite(t)
	for _, url := range []string{"http://api.example.com", "https://user@example.com", "nonsense", "https://a.example?q"} {
		s.set(varURL, url)
		o = s.run("whoami")
		assert.Equal(t, exitUsage, o.code, url)
		assert.Contains(t, o.err, "fastly-token: "+varURL+": ", url)
	}
}

func TestKeyVariableIsASecondChoice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varToken, "")
	s.set(varKey, s.Key().Reveal())
	assert.Equal(t, 0, s.run("whoami").code)
	s.set(varToken, "not-a-key")
	assert.Equal(t, exitFailed, s.run("whoami").code)
}

func TestInterruptEndsWith130(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Stall, Times: -1})
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		signals := make(chan os.Signal, 1)
		signals <- sig
		reset := false
		o := s.runWith(&app{stdin: strings.NewReader(""), signals: signals, resetSignals: func() { reset = true }}, "whoami")
		assert.Equal(t, want, o.code)
		assert.Equal(t, 1, strings.Count(o.err, "\n"))
		assert.True(t, reset, "a second signal should end the process")
	}
}

func TestOutputThatNobodyReads(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range [][]string{{"whoami"}, {"audit", "--csv"}} {
		o := s.runWith(&app{stdin: strings.NewReader(""), stdout: brokenPipe}, args...)
		assert.Equal(t, exitFailed, o.code, args)
		assert.Empty(t, o.err, args)
	}
	o := s.runWith(&app{stdin: strings.NewReader(""), stdout: failingWriter{}}, "whoami")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "no space left")
}

func TestBrokenConnectionIsSaid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	})}))
	o := s.run("list")
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.err, "broken pipe")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// brokenPipe is an output whose reader is gone.
var brokenPipe = writerFunc(func([]byte) (int, error) { return 0, syscall.EPIPE })

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestErrorsAreExplainedWithFlags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fastly: POST /tokens: 400 no; use ScopeGlobal or ScopePurgeAll; in 3 s":       "POST /tokens: 400 no; in 3 s",
		"x: fastly: fastly: y; send the code in CreateTokenRequest.OTP":                "x: y",
		"a token may exist: look with ListTokensUser":                                  "a token may exist: look with ListTokensUser",
		"POST /tokens: the OTP function failed: the one-time password: \"x\" is empty": `POST /tokens: the one-time password: "x" is empty`,
		"one\nfastly: two":                "one; two",
		"a; named \"ListTokens \x1b[2J\"": `a; named "ListTokens \x1b[2J"`,
		"rotate: the API does not say what lifetime token x has: set Lifetime; nothing": "the API does not say what lifetime token x has: give it one by --ttl; nothing",
	} {
		assert.Equal(t, want, explain(errors.New(text)))
	}
	assert.Contains(t, explain(fastly.ErrInvalidScope), "the scopes are global, ")
}
