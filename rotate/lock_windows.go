package rotate

import (
	"errors"
	"syscall"
)

// errSharing is ERROR_SHARING_VIOLATION: another handle excludes this one.
const errSharing = syscall.Errno(32)

// lockFile opens the file at path, which it creates, so that nobody else can,
// until unlock or the end of the process.
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
