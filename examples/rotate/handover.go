package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastly-tokens/fastly"
)

// patience is what a command that was asked to end is given.
const patience = 10 * time.Second

// errPerhaps means that it is not certain whether the token is handed over.
var errPerhaps = errors.New("the new token may have been handed over")

// tempFile is where the token is written before it takes its place. After a
// crash it is found by its name.
func (r *record) tempFile() string {
	return filepath.Join(filepath.Dir(r.Out), "."+filepath.Base(r.Out)+"."+r.Marker+".tmp")
}

// replaceFile puts the token into r.Out: all of it or none, whatever happens.
func (r *record) replaceFile(token fastly.Secret, at func(string)) error {
	temp := r.tempFile()
	if err := removeFile(temp); err != nil {
		return err
	}
	if err := writeFile(temp, token); err != nil {
		return errors.Join(err, removeFile(temp))
	}
	at("written")
	if err := os.Rename(temp, r.Out); err != nil {
		return errors.Join(err, removeFile(temp))
	}
	at("renamed")
	if err := syncDir(filepath.Dir(r.Out)); err != nil {
		return fmt.Errorf("%w: %w", errPerhaps, err)
	}
	return nil
}

func writeFile(path string, token fastly.Secret) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the user says where
	if err != nil {
		return err
	}
	_, err = f.WriteString(token.Reveal())
	return errors.Join(err, f.Sync(), f.Close())
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// readSecret reads a file that holds a token or a password. Spaces around it,
// such as a line break at the end, do not count.
func readSecret(path string) (fastly.Secret, error) {
	f, err := os.Open(path) // #nosec G304 -- the user says where
	if err != nil {
		return "", err
	}
	const longest = 4 << 10
	text, err := io.ReadAll(io.LimitReader(f, longest))
	return fastly.Secret(strings.TrimSpace(string(text))), errors.Join(err, f.Close())
}

// runCommand gives the token to a command on its standard input. An exit code
// of 0 means that it took the token, another one that it did not, and an end by
// force that nobody knows.
func (w world) runCommand(ctx context.Context, command []string, token fastly.Secret) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) // #nosec G204 -- to run a given command is what it is for
	cmd.Stdin = strings.NewReader(token.Reveal())
	cmd.Stdout, cmd.Stderr = w.stdout, w.stderr
	cmd.Env = slices.DeleteFunc(slices.Clone(w.environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.EqualFold(name, "FASTLY_API_TOKEN") || strings.EqualFold(name, "FASTLY_API_KEY")
	})
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return cmd.Process.Kill() // no such signal here
		}
		return nil
	}
	cmd.WaitDelay = patience
	err := cmd.Run()
	switch state := cmd.ProcessState; {
	case err == nil:
		return nil
	case state != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: the command was interrupted (%w)", errPerhaps, err)
	case state != nil && !state.Exited():
		return fmt.Errorf("%w: the command was killed (%w)", errPerhaps, err)
	}
	return fmt.Errorf("the command did not take the token: %w", err)
}
