//go:build unix

package fastly

import (
	"os"
	"syscall"
)

// openKeyFile does not wait for a writer if the file has become a FIFO.
func openKeyFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
