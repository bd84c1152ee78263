package examples_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newTerminal returns both ends of a pseudo-terminal of 80 columns.
func newTerminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	var number, unlock int32
	size := [4]uint16{24, 80}
	for request, argument := range map[uintptr]unsafe.Pointer{
		syscall.TIOCSPTLCK: unsafe.Pointer(&unlock),
		syscall.TIOCGPTN:   unsafe.Pointer(&number),
		syscall.TIOCSWINSZ: unsafe.Pointer(&size),
	} {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(argument))
		require.Zero(t, errno)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, screen.Close()) })
	return screen, tty
}

func TestQuickstartFitsATerminalOf80Columns(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	screen, tty := newTerminal(t)
	p := a.command(t, "quickstart")
	p.Stdout, p.Stderr = tty, tty
	require.NoError(t, p.Start())
	require.NoError(t, tty.Close()) // the program has it
	var shown bytes.Buffer
	_, err := io.Copy(&shown, screen)
	require.True(t, err == nil || errors.Is(err, syscall.EIO), "%v", err) // EIO: the program has ended
	require.Equal(t, 0, p.end(t, a), shown.String())
	assert.Greater(t, bytes.Count(shown.Bytes(), []byte("\n")), 60)
	for line := range strings.Lines(shown.String()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\r\n")), 80, line)
	}
}
