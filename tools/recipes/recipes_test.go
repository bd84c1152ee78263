//go:build unix

// Package recipes_test runs what docs/recipes.md and README.md say, as it stands there.
package recipes_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/fastlytest"
)

const service = "SU1Z0isxPaozGVKXdv0eY"

var programs string // the directory with the tool, built

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "recipes-*"); err != nil {
		panic(err)
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "FASTLY_") {
			_ = os.Unsetenv(name)
		}
	}
	if out, err := build("../../cmd/fastly-token", "GOWORK=", "fastly-token", "."); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(programs)
		os.Exit(code)
	}))
}

// build compiles a program in the module of a directory.
func build(dir, environ, name string, files ...string) ([]byte, error) {
	args := append([]string{"build", "-ldflags=-s -w", "-o", filepath.Join(programs, name)}, files...)
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environ)
	return cmd.CombinedOutput()
}

// machine is a machine with the files of the recipes, and the API that it reaches.
type machine struct {
	*fastlytest.Server
	t     *testing.T
	root  string
	files map[string]string
	env   []string
}

func newMachine(t *testing.T) *machine {
	m := &machine{Server: fastlytest.NewServer(), t: t, root: t.TempDir(), files: map[string]string{}}
	t.Cleanup(m.Close)
	for _, dir := range []string{"etc/fastly", "var/lib/fastly", "var/lib/node_exporter"} {
		require.NoError(t, os.MkdirAll(filepath.Join(m.root, dir), 0o700))
	}
	m.write("etc/fastly/admin-token", m.Key().Reveal(), 0o600)
	m.write("etc/fastly/password", m.User().Password+"\n", 0o600)
	text, err := os.ReadFile("../../docs/recipes.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?ms)^```\\w+\n((?:#!/bin/sh\n)?(?:#|//) (\\S+)\n.*?)^```$")
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, m.files, found[2])
		m.files[found[2]] = m.here(found[1])
	}
	m.env = []string{
		"PATH=" + programs + ":" + os.Getenv("PATH"), "HOME=" + m.root, "FASTLY_API_URL=" + m.URL,
		"FASTLY_API_TOKEN_FILE=" + m.root + "/etc/fastly/admin-token",
		"FASTLY_USERNAME=" + m.User().Login, "FASTLY_PASSWORD_FILE=" + m.root + "/etc/fastly/password",
	}
	return m
}

// here puts a text's paths into the machine's directory, and shortens its waiting.
func (m *machine) here(text string) string {
	return strings.NewReplacer(
		"/usr/local/bin", programs, "/etc/fastly", m.root+"/etc/fastly", "/var/lib", m.root+"/var/lib",
		"--grace 10m", "--grace 1ms", "purger@example.com", m.User().Login,
	).Replace(text)
}

func (m *machine) write(name, content string, mode os.FileMode) string {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	require.NoError(m.t, os.WriteFile(path, []byte(content), mode))
	return path
}

func (m *machine) read(name string) string {
	m.t.Helper()
	content, err := os.ReadFile(filepath.Join(m.root, name))
	require.NoError(m.t, err)
	return string(content)
}

// file writes a file of the recipes into the machine's directory.
func (m *machine) file(name string) string {
	m.t.Helper()
	require.NotEmpty(m.t, m.files[name], name)
	return m.write(filepath.Base(name), m.files[name], 0o700)
}

// run runs a command, and returns its exit code and what it printed.
func (m *machine) run(env []string, command ...string) (code int, stdout, stderr string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	if !strings.Contains(command[0], "/") {
		cmd.Path, _ = exec.LookPath(command[0])
	}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = m.root, append([]string{"FASTLY_API_URL=" + m.URL}, env...), &out, &errs
	err := cmd.Run()
	require.NotNil(m.t, cmd.ProcessState, "%v", err)
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// runFile runs a shell script of the recipes, with the admin token in the environment.
func (m *machine) runFile(name string) (stdout string) {
	m.t.Helper()
	code, stdout, stderr := m.run(m.env, "sh", m.file(name))
	require.Equal(m.t, 0, code, "%s: %s", name, stderr)
	return stdout
}

// holder returns the token with this access token, as the API has it.
func (m *machine) holder(accessToken string) fastly.TokenCreatedResponse {
	m.t.Helper()
	for _, token := range m.Tokens() {
		if token.AccessToken.Reveal() == accessToken {
			return token
		}
	}
	require.Fail(m.t, "there is no such token")
	return fastly.TokenCreatedResponse{}
}

func need(t *testing.T, programs ...string) {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
}

func TestGitHubJobPurgesWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl")
	m := newMachine(t)
	m.file("purge.sh")
	curl, err := exec.LookPath("curl")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(m.root, "bin"), 0o700))
	m.write("bin/curl", fmt.Sprintf("#!/bin/sh\nenv >>%s/environment; printf '%%s\\n' \"$@\" >>%s/arguments; exec %s \"$@\"\n", m.root, m.root, curl), 0o700)
	var keys, surrogates []string
	api, err := url.Parse(m.URL)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(api))
	mux.HandleFunc("POST /service/"+service+"/purge", func(_ http.ResponseWriter, r *http.Request) {
		keys, surrogates = append(keys, r.Header.Get("Fastly-Key")), append(surrogates, r.Header.Get("Surrogate-Key"))
	})
	proxy := httptest.NewServer(mux) // an API that purges, too
	t.Cleanup(proxy.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)

	var workflow struct {
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct {
				Name, Uses, Run string
				Env             map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(m.files[".github/workflows/purge.yml"]), &workflow))
	job := workflow.Jobs["purge"]
	variables := func(env []string, more map[string]string) []string {
		for name, value := range more {
			value = strings.NewReplacer("${{ secrets.FASTLY_API_TOKEN }}", m.Key().Reveal(),
				"${{ secrets.FASTLY_PASSWORD }}", m.User().Password, "${{ vars.FASTLY_USERNAME }}", m.User().Login).Replace(value)
			assert.NotContains(t, value, "${{")
			env = append(env, name+"="+value)
		}
		return env
	}
	shared := variables([]string{"PATH=" + m.root + "/bin:" + programs + ":" + os.Getenv("PATH"), "GITHUB_ACTIONS=true", "CI=true", "FASTLY_API_URL=" + proxy.URL}, job.Env)
	masked := ""
	ran := 0
	for _, step := range job.Steps {
		if step.Name == "" { // what gets Go, the checkout and the tool
			continue
		}
		ran++
		code, _, stderr := m.run(variables(shared, step.Env), "bash", "-e", m.write("step", step.Run, 0o600))
		require.Equal(t, 0, code, "%s: %s", step.Name, stderr)
		masked += stderr
	}
	assert.Equal(t, 2, ran)
	require.Len(t, keys, 1)
	assert.Equal(t, []string{"article-42"}, surrogates)
	used := m.holder(keys[0])
	assert.Equal(t, fastly.Scopes{fastly.ScopePurgeSelect}, used.Scopes)
	assert.Equal(t, []string{service}, used.Services)
	assert.False(t, used.DeletedAt.IsZero(), "it is revoked")
	assert.Contains(t, masked, "::add-mask::"+keys[0]+"\n")
	assert.NotContains(t, m.read("environment"), m.Key().Reveal())
	assert.NotContains(t, m.read("environment"), m.User().Password)
	assert.NotContains(t, m.read("arguments"), keys[0])

	soon := m.AddToken(m.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{ExpiresAt: time.Now().Add(time.Hour)}})
	code, _, stderr := m.run(append(shared, "FASTLY_API_TOKEN="+soon.AccessToken.Reveal()), "bash", "-e", "-c", job.Steps[3].Run)
	assert.Equal(t, 4, code, stderr)
}

// unit returns the settings of a unit file. Those that are repeated are all there.
func unit(text string) map[string][]string {
	settings := map[string][]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[name] = append(settings[name], value)
		}
	}
	return settings
}

// assertRotated checks that the purger's file has a new token that is like the old one,
// which is revoked, and returns its content.
func (m *machine) assertRotated(before string) string {
	m.t.Helper()
	after := m.read("var/lib/fastly/purger-token")
	old, current := m.holder(before), m.holder(after)
	assert.NotEqual(m.t, before, after)
	assert.False(m.t, old.DeletedAt.IsZero(), "the old token is left")
	assert.True(m.t, current.DeletedAt.IsZero())
	assert.Equal(m.t, fastly.Scopes{fastly.ScopePurgeSelect}, current.Scopes)
	assert.Equal(m.t, []string{service}, current.Services)
	info, err := os.Stat(filepath.Join(m.root, "var/lib/fastly/purger-token"))
	require.NoError(m.t, err)
	assert.Equal(m.t, os.FileMode(0o640), info.Mode())
	assert.NoFileExists(m.t, filepath.Join(m.root, "var/lib/fastly/.purger-token.rotation"))
	return after
}

func TestSystemdTimerRotatesTheToken(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	var units []string
	for _, name := range []string{"rotate-purger.service", "rotate-purger.timer"} {
		units = append(units, m.write(name, m.files["/etc/systemd/system/"+name], 0o600))
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		code, stdout, stderr := m.run(m.env[:1], append([]string{"systemd-analyze", "verify", "--man=no"}, units...)...)
		assert.Equal(t, 0, code)
		assert.NotContains(t, stdout+stderr, "rotate-purger", "it is content with the units")
	}
	m.runFile("first-token.sh")
	first := m.read("var/lib/fastly/purger-token")

	settings := unit(m.read("rotate-purger.service"))
	credentials := t.TempDir()
	for _, credential := range settings["LoadCredential"] {
		name, path, _ := strings.Cut(credential, ":")
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(credentials, name), content, 0o400))
	}
	env := m.env[:1]
	for _, entry := range settings["Environment"] {
		env = append(env, strings.ReplaceAll(entry, "%d", credentials))
	}
	require.Len(t, settings["ExecStart"], 1)
	command := strings.Fields(settings["ExecStart"][0])
	code, _, stderr := m.run(env, command...)
	require.Equal(t, 0, code, stderr)
	second := m.assertRotated(first)

	m.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Times: -1})
	code, _, stderr = m.run(env, command...)
	assert.Equal(t, 3, code, stderr)
	assert.FileExists(t, filepath.Join(m.root, "var/lib/fastly/.purger-token.rotation"))
	m.ClearFaults()
	code, _, stderr = m.run(env, command...)
	require.Equal(t, 0, code, stderr)
	m.assertRotated(second)
	m.assertFirstTokenHelps(env, command)
}

// assertFirstTokenHelps checks that a token that has expired, and a file that is missing, stop the
// rotation, until first-token.sh is run again.
func (m *machine) assertFirstTokenHelps(env, rotation []string) {
	m.t.Helper()
	const file = "var/lib/fastly/purger-token"
	expired := m.purger(time.Now().Add(-time.Hour)).AccessToken.Reveal()
	m.write(file, expired, 0o640)
	for _, name := range []string{"expired", "missing"} {
		code, _, stderr := m.run(env, rotation...)
		assert.Equal(m.t, 1, code, "%s: %s", name, stderr)
		if name == "expired" {
			code, _, stderr = m.run(m.env, "sh", m.file("first-token.sh"))
			assert.NotEqual(m.t, 0, code, stderr)
			assert.Equal(m.t, expired, m.read(file), "it is replaced by accident")
		}
		code, _, stderr = m.run(m.env, "sh", m.file("first-token.sh"), "--force")
		require.Equal(m.t, 0, code, "%s: %s", name, stderr)
		first := m.read(file)
		code, _, stderr = m.run(env, rotation...)
		require.Equal(m.t, 0, code, "%s: %s", name, stderr)
		m.assertRotated(first)
		require.NoError(m.t, os.Remove(filepath.Join(m.root, file)))
	}
}

func TestCronRotatesTheToken(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.runFile("first-token.sh")
	first := m.read("var/lib/fastly/purger-token")
	var env []string
	jobs := 0
	for line := range strings.Lines(m.files["/etc/cron.d/rotate-purger"]) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case regexp.MustCompile(`^\w+=`).MatchString(line):
			env = append(env, line)
		default:
			jobs++
			assert.Regexp(t, `^[\d*/,-]+$`, strings.Join(fields[:5], ""))
			assert.Equal(t, "fastly", fields[5], "the user")
			code, stdout, stderr := m.run(env, "/bin/sh", "-c", strings.Join(fields[6:], " "))
			assert.Equal(t, 0, code, stderr)
			assert.Empty(t, stdout)
		}
	}
	assert.Equal(t, 1, jobs)
	m.assertRotated(first)
}

func TestAdminTokenRotatesItself(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	env := slices.DeleteFunc(slices.Clone(m.env), func(entry string) bool { return strings.HasPrefix(entry, "FASTLY_API_TOKEN_FILE=") })
	code, _, stderr := m.run(env, programs+"/fastly-token", "rotate", "--current", "--out", filepath.Join(m.root, "etc/fastly/admin-token"))
	require.Equal(t, 0, code, stderr)
	assert.True(t, m.holder(m.read("etc/fastly/admin-token")).Scopes.Has(fastly.ScopeGlobal))
	assert.False(t, m.Tokens()[0].DeletedAt.IsZero())
}

func TestIncidentLeavesNothingOfTheLeakedToken(t *testing.T) {
	t.Parallel()
	need(t, "jq")
	m := newMachine(t)
	m.runFile("first-token.sh")
	first := m.read("var/lib/fastly/purger-token")
	add := func(name, day string) fastly.TokenCreatedResponse {
		created, err := time.Parse(time.DateOnly, day)
		require.NoError(t, err)
		return m.AddToken(m.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{Name: name, CreatedAt: created}})
	}
	leaked, before, after := add("leaked", "2026-11-01"), add("before", "2026-11-23"), add("after", "2026-11-25")
	m.write("leaked", leaked.AccessToken.Reveal(), 0o600)
	stdout := m.runFile("incident.sh")
	assert.Contains(t, stdout, "revoked    "+leaked.ID)
	assert.Contains(t, stdout, after.ID+"\tafter\t")
	assert.NotContains(t, stdout, before.ID)
	token, _ := m.Token(leaked.ID)
	assert.False(t, token.DeletedAt.IsZero())
	m.assertRotated(first)
}

// program compiles a Go file of the recipes with a function main, and returns its path.
func (m *machine) program(name, main string) string {
	m.t.Helper()
	file := m.write(name, m.files[name], 0o600)
	out, err := build("..", "GOWORK=off", name+".exe", file, m.write("main.go", main, 0o600))
	require.NoError(m.t, err, "%s", out)
	return filepath.Join(programs, name+".exe")
}

func TestOneTimePasswordIsThatOfTheSecret(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	user := m.AddUser(fastlytest.User{TOTPSecret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"})
	program := m.program("otp.go", `package main

import ("context"; "log"; "os"; "github.com/fastly-tokens/fastly")

func main() {
	client, err := fastly.NewClient(fastly.WithoutAuthentication(), fastly.WithBaseURL(os.Getenv("FASTLY_API_URL")))
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Tokens.CreateToken(context.Background(), &fastly.CreateTokenRequest{
		Name: "by code", Username: os.Args[1], Password: fastly.Secret(os.Args[2]), OTPFunc: oneTimePassword(os.Args[3]),
	})
	if err != nil {
		log.Fatal(err)
	}
}`)
	code, _, stderr := m.run(nil, program, user.Login, user.Password, m.write("secret", user.TOTPSecret+"\n", 0o600))
	assert.Equal(t, 0, code, stderr)
	assert.Equal(t, "by code", m.Tokens()[1].Name)
	code, _, stderr = m.run(nil, program, user.Login, user.Password, m.write("secret", "not/base32", 0o600))
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "the TOTP secret is not base32")
	assert.NotContains(t, stderr, "not/base32")
}

func TestPodFollowsTheSecret(t *testing.T) {
	t.Parallel()
	need(t, "kubectl", "jq")
	m := newMachine(t)
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Env          []struct{ Name, Value string }
						VolumeMounts []struct {
							Name      string
							MountPath string `yaml:"mountPath"`
							SubPath   string `yaml:"subPath"`
						} `yaml:"volumeMounts"`
					}
					Volumes []struct {
						Name   string
						Secret struct {
							SecretName string `yaml:"secretName"`
						}
					}
				}
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(m.files["purger.yaml"]))
	require.NoError(t, decoder.Decode(&deployment))
	pod := deployment.Spec.Template.Spec
	container, volume := pod.Containers[0], pod.Volumes[0]
	mount := container.VolumeMounts[0]
	assert.Equal(t, "FASTLY_API_TOKEN_FILE", container.Env[0].Name)
	assert.Equal(t, mount.MountPath, filepath.Dir(container.Env[0].Value))
	assert.Equal(t, mount.Name, volume.Name)
	assert.Empty(t, mount.SubPath)

	// The kubelet writes a new directory and renames a link to it over "..data".
	mounted := filepath.Join(m.root, "mounted")
	require.NoError(t, os.Mkdir(mounted, 0o700))
	key := filepath.Base(container.Env[0].Value)
	require.NoError(t, os.Symlink(filepath.Join("..data", key), filepath.Join(mounted, key)))
	update := func(version, content string) {
		require.NoError(t, os.Mkdir(filepath.Join(mounted, version), 0o700))
		m.write(filepath.Join("mounted", version, key), content, 0o600)
		require.NoError(t, os.Symlink(version, filepath.Join(mounted, "..tmp")))
		require.NoError(t, os.Rename(filepath.Join(mounted, "..tmp"), filepath.Join(mounted, "..data")))
	}
	// kubectl is the real one, except for "apply": there is no cluster.
	real, err := exec.LookPath("kubectl")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(m.root, "bin"), 0o700))
	m.write("bin/kubectl", fmt.Sprintf("#!/bin/sh\ncase $1 in apply) cat >%s/applied;; *) exec %s \"$@\";; esac\n", m.root, real), 0o700)
	m.env[0] = "PATH=" + filepath.Join(m.root, "bin") + ":" + programs + ":" + os.Getenv("PATH")

	program := m.program("purger.go", `package main

import ("bufio"; "context"; "fmt"; "log"; "os")

func main() {
	client, err := newClient()
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		token, err := client.Tokens.GetTokenCurrent(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(token.ID)
	}
}`)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{"FASTLY_API_URL=" + m.URL, "FASTLY_API_TOKEN_FILE=" + filepath.Join(mounted, key)}
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	ask := func() (id string) {
		_, err := fmt.Fprintln(stdin)
		require.NoError(t, err)
		_, err = fmt.Fscanln(stdout, &id)
		require.NoError(t, err)
		return id
	}
	code, _, stderr := m.run(m.env, "sh", m.file("rotate.sh"))
	assert.Equal(t, 1, code, "there is a token of that name: %s", stderr)
	m.file("store.sh")
	stored := func() string {
		var secret struct {
			Metadata struct{ Name string }
			Data     map[string]string
		}
		require.NoError(t, yaml.Unmarshal([]byte(m.read("applied")), &secret))
		assert.Equal(t, volume.Secret.SecretName, secret.Metadata.Name)
		content, err := base64.StdEncoding.DecodeString(secret.Data[key])
		require.NoError(t, err)
		return string(content)
	}
	m.runFile("first-secret.sh")
	old := m.holder(stored())
	update("..1", old.AccessToken.Reveal())
	assert.Equal(t, old.ID, ask())

	m.Inject(fastlytest.Fault{Kind: fastlytest.Status, Status: 400, Method: http.MethodDelete, Times: -1})
	code, _, stderr = m.run(m.env, "sh", m.file("rotate.sh"))
	assert.Equal(t, 3, code, "the old token is left: %s", stderr)
	m.ClearFaults()
	m.runFile("rotate.sh")
	assert.Len(t, m.Tokens(), 3, "the second run has finished the first")
	current := m.holder(stored())
	update("..2", current.AccessToken.Reveal())
	assert.Equal(t, current.ID, ask(), "the program follows, without a restart")
	assert.Equal(t, []string{service}, current.Services)
	token, _ := m.Token(old.ID)
	assert.False(t, token.DeletedAt.IsZero())
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
}

func TestAlertsAreAboutTheMetricsOfTheAudit(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.AddToken(m.User().ID, fastly.TokenCreatedResponse{TokenResponse: fastly.TokenResponse{
		ExpiresAt: time.Now().Add(time.Hour), LastUsedAt: time.Now().Add(-time.Hour),
	}})
	m.runFile("audit.sh")
	metrics := map[string]bool{"node_textfile_mtime_seconds": true} // of node_exporter
	labels := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^(\w+)\{(.*)\} `).FindAllStringSubmatch(m.read("var/lib/node_exporter/fastly.prom"), -1) {
		metrics[line[1]] = true
		for _, label := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(line[2], -1) {
			labels[label[1]] = true
		}
	}
	assert.Len(t, metrics, 5)

	promql := parser.NewParser(parser.Options{})
	text := m.files["fastly-tokens.rules.yml"]
	groups, errs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	require.Len(t, groups.Groups, 1)
	for _, rule := range groups.Groups[0].Rules {
		expr, err := promql.ParseExpr(rule.Expr)
		require.NoError(t, err)
		selectors := 0
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				selectors++
				assert.True(t, metrics[selector.Name], selector.Name)
			}
			return nil
		})
		assert.Positive(t, selectors, rule.Alert)
	}
	for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
		assert.True(t, labels[label[1]], label[1])
	}
}
