package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
	"github.com/fastly-tokens/fastly/rotate"
)

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []string{"", "80", "60", "40", "200"} {
		s := newSite(t)
		s.set(varToken, "")
		s.set("COLUMNS", columns)
		width := map[string]int{"60": 60, "40": 40}[columns]
		if width == 0 {
			width = 80
		}
		for _, name := range []string{"", "whoami", "list", "get", "create", "revoke", "audit", "rotate", "exec", "serve", "completion", "completion bash", "completion zsh", "help"} {
			o := s.run(append([]string{"help"}, strings.Fields(name)...)...)
			assert.Equal(t, 0, o.code)
			assert.Equal(t, o.out, s.run(append(strings.Fields(name), "--help")...).out)
			assert.Contains(t, o.out, "Usage:\n  fastly-token")
			for line := range strings.Lines(o.out) {
				assert.LessOrEqual(t, len(strings.TrimRight(line, " \n")), width, "help %s: %s", name, line)
			}
		}
	}
}

func TestUnknownCommandsAreNotTakenForHelp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for args, want := range map[string]string{
		"who":                 `there is no command "who": did you mean whoami?`,
		"nonsense":            `there is no command "nonsense"; see fastly-token --help`,
		"help nope":           `there is no command "nope"; see fastly-token --help`,
		"help revok":          `there is no command "revok": did you mean revoke?`,
		"help list nope":      `unexpected argument "nope"; see fastly-token --help`,
		"help completion tsh": `there is no command "tsh"`,
		"completion tsh":      `there is no command "tsh"`,
		// The flags are not what is wrong.
		"rotat --out token":             `there is no command "rotat": did you mean rotate?`,
		"--verbose rotat ID --out f":    `there is no command "rotat": did you mean rotate?`,
		"completion tsh --no-such-flag": `there is no command "tsh"`,
	} {
		o := s.run(strings.Fields(args)...)
		assert.Equal(t, exitUsage, o.code, args)
		assert.Contains(t, o.err, want, args)
		assert.Empty(t, o.out, args)
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
	for _, words := range []string{"help completion", "completion bash --help", "completion --help"} {
		assert.Contains(t, s.run(strings.Fields(words)...).out, "the package bash-completion")
	}
	assert.Contains(t, s.run("__complete", "create", "--scope", "").out, "purge_all\n")
	assert.Contains(t, s.run("__complete", "aud").out, "audit\t")
	assert.Contains(t, s.run("__complete", "completion", "").out, "bash\n")
	for words, files := range map[string]bool{
		"get": false, "revoke": false, "rotate": false, "list": false, "serve": false, "list --customer": false, "rotate --grace": false,
		"get --timeout": false, "exec": true, "exec --": true, "rotate -- cat": true, "rotate ID --": true, "rotate --out": true,
		"create --otp-file": true, "serve -- cat": true,
	} {
		o := s.run(append(append([]string{"__complete"}, strings.Fields(words)...), "")...)
		assert.Equal(t, files, o.out == ":0\n", "%s: %s", words, o.out)
	}
}

func TestBashCompletionNamesThePackageThatItNeeds(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	s := newSite(t)
	script := s.file("completion", s.run("completion", "bash").out)
	out, err := exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-c", `. "$0"`, script).CombinedOutput() // #nosec G204 -- its own script
	require.NoError(t, err)
	assert.Equal(t, "fastly-token: completion in bash needs the package bash-completion\n", string(out))
	out, err = exec.CommandContext(t.Context(), bash, "--norc", "--noprofile", "-c", `_get_comp_words_by_ref() { :; }; . "$0"`, script).CombinedOutput() // #nosec G204 -- its own script
	require.NoError(t, err)
	assert.Empty(t, string(out))
}

func TestMistakesEndWithCodeTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range [][]string{{"--nonsense"}, {"list", "--nonsense"}, {"list", "word"}, {"serve", "word"}, {"audit", "--ignore", "x"}, {"completion", "nonsense"}, {"audit", "--csv", "--json"}, {"audit", "--json", "--metrics"}, {"audit", "--metrics", "--revoke-unused"}} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, "%v", args)
		assert.Regexp(t, `; see fastly-token.* --help\n$`, o.err)
		assert.Equal(t, 1, strings.Count(o.err, "\n"))
		assert.Empty(t, o.out)
	}
	assert.Contains(t, s.run("list", "word").err, `unexpected argument "word"`)
	assert.Contains(t, s.run("completion", "bash", "word").err, `unexpected argument "word"`)
	assert.Contains(t, s.run("help", "--nonsense", "list").err, "unknown flag: --nonsense")
	assert.Contains(t, s.run("get").err, "say which token: one ID; ")
	assert.Contains(t, s.run("get", "one", "two").err, "say which token: one ID; ")
	assert.Contains(t, s.run("audit", "--csv", "--json").err, "--json, --csv and --metrics exclude each other")
	assert.Contains(t, s.run("audit", "--unused", "0", "--revoke-unused", "--yes").err, "--revoke-unused needs --unused greater than zero")
	assert.Empty(t, s.Requests())
}

func TestEmptyValuesAreRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.logIn(s.User())
	out := filepath.Join(s.dir, "token")
	for name, args := range map[string][]string{
		"--customer is empty":       {"list", "--customer", ""},
		"--service is empty":        {"create", "--service", "", "--out", out},
		"--scope is empty":          {"create", "--scope=", "--out", out},
		"--username is empty":       {"create", "--username", "", "--out", out},
		"--out is empty":            {"create", "--out", "", "--print"},
		"--state is empty":          {"rotate", "--state", "", "--out", out},
		"the argument is not an ID": {"rotate", "", "--out", out},
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

func TestKeyOfTheEnvironmentIsNoArgument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.Key().Reveal()
	for _, args := range [][]string{{"get", key}, {"revoke", key}, {"list", key}, {"list", "--customer=" + key}, {key}, {"exec", "--", "curl", "-H", "Fastly-Key: " + key}} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, args[0])
		assert.Contains(t, o.err, "an argument holds the API key")
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

func TestKeyComesFromAFileInstead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set(varTokenFile, s.file("key", s.Key().Reveal()+"\n"))
	for _, other := range []string{varToken, varKey} {
		o := s.run("whoami")
		assert.Equal(t, exitUsage, o.code)
		assert.Equal(t, "fastly-token: "+other+" and FASTLY_API_TOKEN_FILE are both set: keep one; see fastly-token whoami --help\n", o.err)
		s.set(varToken, "")
		s.set(varKey, s.Key().Reveal())
	}
	assert.Equal(t, 0, s.run("help").code, "it does not matter")
	s.set(varKey, "")
	o := s.run("whoami")
	assert.Equal(t, 0, o.code, o.err)
	assert.Equal(t, exitUsage, s.run("get", s.Key().Reveal()).code, "it is looked for, too")

	for _, content := range []string{"", "two\nlines\n", s.Key().Reveal() + " "} {
		s.file("key", content)
		o = s.run("whoami")
		assert.Equal(t, exitUsage, o.code, content)
		assert.Contains(t, o.err, "FASTLY_API_TOKEN_FILE: ")
	}
	s.set(varTokenFile, filepath.Join(s.dir, "missing"))
	assert.Contains(t, s.run("whoami").err, "no such file")
}

func TestKeyFileThatCannotBeReadIsAnErrorWhereverAKeyMayBeUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.logIn(s.User())
	token := s.file("token", s.AddToken(s.User().ID, fastly.TokenCreatedResponse{}).AccessToken.Reveal())
	s.set(varToken, "")
	s.set(varTokenFile, filepath.Join(s.dir, "missing"))
	for _, args := range [][]string{
		{"whoami"}, {"list"}, {"exec", "--", "true"}, {"rotate", "--out", token}, {"rotate", "--current", "--out", token},
		{"create", "--by-key", "--print"},
	} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, "%v", args)
		assert.Contains(t, o.err, "fastly-token: FASTLY_API_TOKEN_FILE: ", "%v", args)
		assert.Contains(t, o.err, "no such file", "%v", args)
	}
	assert.Empty(t, s.Requests())
	s.set(varTokenFile, s.dir)
	for _, args := range [][]string{{"create", "--print"}, {"create", "--no-such-flag"}, {"list"}} {
		o := s.run(args...)
		assert.Equal(t, exitUsage, o.code, "%v", args)
		assert.Contains(t, o.err, "fastly-token: FASTLY_API_TOKEN_FILE: ", "%v", args)
	}
	first := filepath.Join(s.dir, "first")
	s.set(varTokenFile, first)
	o := s.run("create", "--out", first)
	require.Equal(t, 0, o.code, "it makes the file: %s", o.err)
	assert.Equal(t, 0, s.run("whoami").code)
	for _, args := range [][]string{{"help"}, {"--version"}, {"completion", "bash"}, {"serve", "--", "true"}} {
		assert.Equal(t, 0, s.run(args...).code, "%v uses no key", args)
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
		o := s.runWith(&app{stdin: strings.NewReader(""), signals: signals}, "whoami")
		assert.Equal(t, want, o.code)
		assert.Equal(t, 1, strings.Count(o.err, "\n"))
	}
}

// As from timeout(1), which signals first the process and then its group.
func TestSignalThatComesTwiceAtOnceDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	s := newLoginSite(t)
	signals, now := make(chan os.Signal), time.Now()
	s.now = func() time.Time { return now }
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || r.Method != http.MethodPost {
			return resp, err
		}
		signals <- syscall.SIGINT
		signals <- syscall.SIGINT
		signals <- syscall.Signal(0) // does nothing; when it is taken, the others were handled
		return nil, errors.Join(r.Context().Err(), resp.Body.Close())
	})}))
	exit := func(int) { t.Error("the process would end and leave the token") }
	o := s.runWith(&app{stdin: strings.NewReader(""), signals: signals, exit: exit}, "create", "--print")
	assert.Equal(t, exitLookInto, o.code)
	require.Len(t, s.made(), 1)
	assert.Contains(t, o.err, s.made()[0].Name)
}

func TestSecondSignalASecondLaterEndsTheProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	signals, now := make(chan os.Signal), time.Now()
	code := 0
	s.now = func() time.Time { return now }
	s.opts = append(s.opts, fastly.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		signals <- syscall.SIGINT
		signals <- syscall.Signal(0)
		now = now.Add(time.Second)
		signals <- syscall.SIGTERM
		signals <- syscall.Signal(0)
		return nil, r.Context().Err()
	})}))
	s.runWith(&app{stdin: strings.NewReader(""), signals: signals, exit: func(c int) { code = c }}, "whoami")
	assert.Equal(t, 128+15, code)
}

func TestTimeoutIsForTheWholeCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.logIn(s.User())
	s.Inject(fastlytest.Fault{Kind: fastlytest.Stall, Times: -1})
	for _, args := range [][]string{{"whoami"}, {"list"}, {"exec", "--", "true"}, {"create", "--print"}} {
		o := s.run(append([]string{"--timeout", "50ms"}, args...)...)
		if args[0] == "create" {
			assert.Equal(t, exitLookInto, o.code, "its outcome is not known")
		} else {
			assert.Equal(t, exitFailed, o.code, args)
		}
		assert.Contains(t, o.err, "--timeout 50ms is over: ", args)
	}
	s.ClearFaults()
	for _, args := range [][]string{{"exec", "--", "sleep", "600"}, {"serve", "--", "sleep", "600"}} {
		o := s.run(append([]string{"--timeout", "1s"}, args...)...)
		assert.NotEqual(t, 0, o.code, args)
		assert.Contains(t, o.err, "--timeout 1s is over: ", args)
	}
	assert.Equal(t, 0, s.run("whoami", "--timeout", "1m").code)
	assert.Equal(t, exitUsage, s.run("whoami", "--timeout", "soon").code)
}

func TestVerboseLogsTheAttempts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 503})
	o := s.run("whoami", "--verbose")
	assert.Equal(t, 0, o.code)
	assert.Regexp(t, `time=.* method=GET path=/tokens/self status=503 .*\ntime=.* status=200 `, o.err)
	assert.NotContains(t, s.run("whoami").err, "msg=")
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

// brokenPipe is an output whose reader is gone.
var brokenPipe = writerFunc(func([]byte) (int, error) { return 0, syscall.EPIPE })

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestErrorsAreExplainedWithFlags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fastly: POST /tokens: 400 no; in 3 s":         "POST /tokens: 400 no; in 3 s",
		"rotate: fastly: POST /tokens: 400 no":         "POST /tokens: 400 no",
		"it is not known: fastly: DELETE; fastly: GET": "it is not known: DELETE; GET",
		`open "/etc/fastly": no`:                       `open "/etc/fastly": no`,
		"one\nfastly: two":                             "one; two",
		"a; named \"ListTokens \x1b[2J\"":              `a; named "ListTokens \x1b[2J"`,
	} {
		assert.Equal(t, want, explain(errors.New(text)))
	}
	for err, want := range map[error]string{
		fastly.ErrOTPRequired:                "; use --otp-file or --totp-secret-file",
		fastly.ErrSudoRequired:               "; use --username and --password-file",
		&rotate.Error{Err: rotate.ErrLocked}: "another run has the state file; this run did nothing; wait until the other run ends, then run this again",
		&rotate.CreateError{Err: fastly.ErrOutcomeUnknown, Unknown: true}: "; look for it with fastly-token list",
	} {
		assert.Contains(t, explain(err), want)
	}
}

func TestOutputThatFailsIsNoMistakeOfTheCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range []string{"--version", "completion bash", "completion zsh", "help", "list --help", "help list"} {
		o := s.runWith(&app{stdin: strings.NewReader(""), stdout: failingWriter{}}, strings.Fields(args)...)
		assert.Equal(t, exitFailed, o.code, args)
		assert.Equal(t, "fastly-token: no space left\n", o.err, args)
		o = s.runWith(&app{stdin: strings.NewReader(""), stdout: brokenPipe}, strings.Fields(args)...)
		assert.Equal(t, exitFailed, o.code, args)
		assert.Empty(t, o.err, args)
	}
}

func TestSelfIsNoID(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.logIn(s.User())
	for _, args := range []string{"get self", "get SELF", "revoke self", "revoke 5sNpEx2UkYf9WdTa6mJv4G Self", "rotate self --out x"} {
		o := s.run(strings.Fields(args)...)
		assert.Equal(t, exitUsage, o.code, args)
		assert.Contains(t, o.err, ", not an ID: for the token of the API key, use whoami, revoke --self, or rotate without an ID; see ", args)
	}
	o := s.run("create", "--print", "--service", "self")
	assert.Equal(t, exitUsage, o.code)
	assert.Equal(t, "fastly-token: --service is \"self\", not an ID; see fastly-token create --help\n", o.err, "want no hint about a token")
	assert.Empty(t, s.Requests())
	assert.Equal(t, 0, s.run("list", "--customer", "SELF").code)
}
