package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fastly-tokens/fastly/examples/internal/demo/demotest"
)

// terminal is a pseudo-terminal: what a program shows, and its keyboard.
type terminal struct {
	keyboard *os.File
	tty      *os.File // the program's end
	mu       sync.Mutex
	shown    bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	raw, err := master.SyscallConn()
	require.NoError(t, err)
	var number, unlock int32
	var errno syscall.Errno
	require.NoError(t, raw.Control(func(fd uintptr) {
		if _, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlock))); errno == 0 {
			_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGPTN, uintptr(unsafe.Pointer(&number)))
		}
	}))
	require.Zero(t, errno)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)

	term := &terminal{keyboard: master, tty: tty}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.shown.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, tty.Close())
		assert.NoError(t, master.Close())
		<-done
	})
	return term
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.String()
}

// waitFor waits until the program has asked.
func (term *terminal) waitFor(t *testing.T, prompt string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.HasSuffix(term.text(), prompt) }, 10*time.Second, 2*time.Millisecond,
		"no %q in %q", prompt, term.text())
}

// waitForEcho waits until the terminal shows what is typed, or hides it.
func (term *terminal) waitForEcho(t *testing.T, want bool) {
	t.Helper()
	require.Eventually(t, func() bool { return term.echoes(t) == want }, 10*time.Second, 2*time.Millisecond, "echo should be %v", want)
}

func (term *terminal) echoes(t *testing.T) bool {
	t.Helper()
	var state syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, term.tty.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state)))
	require.Zero(t, errno)
	return state.Lflag&syscall.ECHO != 0
}

func (term *terminal) typeLine(t *testing.T, text string) {
	t.Helper()
	_, err := term.keyboard.WriteString(text + "\n")
	require.NoError(t, err)
}

func TestPasswordIsTypedUnseen(t *testing.T) {
	t.Parallel()
	srv := demotest.Start(t)
	tty := newTerminal(t)
	p := demotest.Command(t, srv, "-write")
	p.Stdin, p.Stderr = tty.tty, tty.tty
	require.NoError(t, p.Start())
	tty.waitFor(t, "User name: ")
	tty.typeLine(t, srv.User().Login)
	tty.waitFor(t, "Password: ")
	tty.waitForEcho(t, false)
	tty.typeLine(t, srv.User().Password)
	require.Equal(t, exitOK, p.End(t), "shown: %s", tty.text())
	assert.True(t, tty.echoes(t), "the terminal is left without an echo")
	assert.NotContains(t, tty.text(), srv.User().Password)
	assertAsBefore(t, srv, 4)
}

func TestTerminalEchoesAgainAfterASignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM} {
		srv := demotest.Start(t)
		tty := newTerminal(t)
		p := demotest.Command(t, srv, "-write")
		p.Stdin, p.Stderr = tty.tty, tty.tty
		require.NoError(t, p.Start())
		tty.waitFor(t, "User name: ")
		tty.typeLine(t, "somebody")
		tty.waitFor(t, "Password: ")
		tty.waitForEcho(t, false)
		require.NoError(t, p.Process.Signal(sig))
		assert.Equal(t, exitInterrupted, p.End(t))
		assert.True(t, tty.echoes(t), "the terminal is left without an echo by %v", sig)
		assert.Empty(t, srv.Requests())
	}
}
