package rotate

import (
	"errors"
	"syscall"
)

// errSharing is ERROR_SHARING_VIOLATION: another handle has exclusive access.
const errSharing = syscall.Errno(32)

// lockFile creates the file at path and opens it for exclusive access, until
// unlock or the end of the process.
func lockFile(path string) (unlock func() error, err error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const noSharing = 0
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, noSharing, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharing) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return func() error { return syscall.CloseHandle(handle) }, nil
}
