//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly"
	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
)

// process runs a program to its end, and returns how it ended.
func (b *bench) process(path string, env []string, args ...string) *os.ProcessState {
	b.t.Helper()
	b.stdout.reset()
	b.stderr.reset()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...) // #nosec G204 -- a path of the test's own
	cmd.Env = append(append(os.Environ(), "XDG_CACHE_HOME="+b.dir, "HOME="+b.dir), env...)
	cmd.Stdout, cmd.Stderr = &b.stdout, &b.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		require.NoError(b.t, err)
	}
	b.checkSecrets(b.output())
	return cmd.ProcessState
}

// credentials are those of the environment.
func (b *bench) credentials(key fastly.Secret) []string {
	return []string{"FASTLY_API_TOKEN=" + key.Reveal(), "FASTLY_API_URL=" + b.URL}
}

// crash runs the program until it comes to the point, where it is killed; no
// point lets it live.
func (b *bench) crash(point string, key fastly.Secret, args ...string) *os.ProcessState {
	b.t.Helper()
	self, err := os.Executable()
	require.NoError(b.t, err)
	return b.process(self, append(b.credentials(key), crashVar+"="+point), args...)
}

func killed(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func TestCrashAtAnyPointIsMadeGoodByTheNextRun(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"begun", "creating", "answered", "checked", "handing over", "written", "renamed", "handed over", "noted", "revoked", "done"} {
		for _, way := range []string{"file", "command"} {
			for _, key := range []string{"own key", "other key"} {
				if way == "command" && (point == "written" || point == "renamed") {
					continue // the command's business
				}
				t.Run(point+"/"+way+"/"+key, func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					var args []string
					with := b.old.AccessToken
					if key == "other key" {
						with, args = b.Key(), []string{"-id", b.old.ID}
					}
					if way == "file" {
						b.put("before")
						args = append(args, "-out", b.out)
					} else {
						args = append(append(args, "--"), b.store()...)
					}

					require.True(t, killed(b.crash(point, with, args...)), "it did not come to the point; output:\n%s", b.output())
					again := b.crash("", with, args...)

					if point == "done" {
						// There is nothing left to be done, and the old token
						// is not there to be rotated any more.
						assert.Equal(t, exitFailed, again.ExitCode(), b.output())
					} else {
						assert.Equal(t, 0, again.ExitCode(), b.output())
					}
					b.assertRotated()
				})
			}
		}
	}
}

func TestCrashAfterEveryCrashIsMadeGood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	args := []string{"-out", b.out}
	for _, point := range []string{"begun", "creating", "answered", "checked", "handing over", "written", "renamed", "noted", "revoked"} {
		require.True(t, killed(b.crash(point, b.old.AccessToken, args...)), "%s: %s", point, b.output())
	}
	require.Equal(t, 0, b.crash("", b.old.AccessToken, args...).ExitCode(), b.output())
	b.assertRotated()
}

func TestNextRunMayHaveTheNewTokenForAKey(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"renamed", "noted", "revoked"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			args := []string{"-out", b.out}
			require.True(t, killed(b.crash(point, b.old.AccessToken, args...)), b.output())

			require.Equal(t, 0, b.crash("", fastly.Secret(b.stored()), args...).ExitCode(), b.output())
			b.assertRotated()
		})
	}
}

func TestKeyThatNeverWorkedProvesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	args := append([]string{"--"}, b.store()...)
	require.True(t, killed(b.crash("noted", b.old.AccessToken, args...)), b.output())

	assert.Equal(t, exitUnfinished, b.crash("", "not-a-key-of-this-account-at-all", args...).ExitCode(), b.output())
	assert.Len(t, b.alive(), 2)

	require.Equal(t, 0, b.crash("", b.old.AccessToken, args...).ExitCode(), b.output())
	b.assertRotated()
}

func TestCrashWhileTheCommandRunsIsMadeGood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	takes := append([]string{"--"}, b.store()...)
	deadly := append([]string{"--"}, "sh", "-c", `umask 077; cat >"$1"; kill -KILL $PPID`, "sh", b.out)

	require.True(t, killed(b.crash("", b.old.AccessToken, deadly...)), b.output())
	assert.Len(t, b.alive(), 2, "both have to work: nobody knows which is in use")

	require.Equal(t, 0, b.crash("", b.old.AccessToken, takes...).ExitCode(), b.output())
	b.assertRotated()
}

func TestInterruptedCommandMayHaveTakenTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.old, _ = b.Token(b.Tokens()[0].ID)
	args := []string{"--", "sh", "-c", "kill -INT $PPID; exec sleep 30"}

	state := b.process(demotest.Build(t), b.credentials(b.Key()), args...)

	// The command was ended, and nobody knows what it has done.
	assert.Equal(t, exitUnfinished, state.ExitCode(), b.output())
	assert.Contains(t, b.stderr.String(), "the new token may have been handed over: the command was interrupted (signal: terminated)")
	assert.Len(t, b.alive(), 2)

	state = b.process(demotest.Build(t), b.credentials(b.Key()), append([]string{"--"}, b.store()...)...)
	assert.Equal(t, 0, state.ExitCode(), b.output())
	b.assertRotated()
}

func TestProgramRunsADemoWithoutCredentials(t *testing.T) {
	t.Parallel()
	for why, args := range map[string][]string{"FASTLY_API_TOKEN is not set": nil, "-demo": {"-demo"}} {
		b := newBench(t)
		state := b.process(demotest.Build(t), nil, args...)
		assert.Equal(t, 0, state.ExitCode(), b.output())
		assert.Contains(t, b.stderr.String(), "embedded server with made-up tokens ("+why+")")
		assert.Contains(t, b.stdout.String(), "Revoked token ")
		b.assertUntouched("")
	}
}

func TestProgramHandsOverADemoTokenIfToldTo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("before")

	state := b.process(demotest.Build(t), nil, "-demo", "-out", b.out)

	assert.Equal(t, 0, state.ExitCode(), b.output())
	assert.Len(t, b.stored(), 32)
	b.assertClean()
}
