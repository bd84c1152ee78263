package atomicfile

import (
	"errors"
	"syscall"
)

// aclName is the extended attribute that holds a POSIX access control list.
const aclName = "system.posix_acl_access"

// copyACL gives a file the access control list of another one, or none: it may have got one from
// its directory.
func copyACL(from, to string) error {
	list := make([]byte, 64<<10) // the longest that the kernel allows
	n, err := syscall.Getxattr(from, aclName, list)
	if errors.Is(err, syscall.ENODATA) {
		err = syscall.Removexattr(to, aclName)
	} else if err == nil {
		err = syscall.Setxattr(to, aclName, list[:n], 0)
	}
	if errors.Is(err, syscall.ENODATA) || errors.Is(err, errors.ErrUnsupported) {
		return nil // there are none
	}
	return err
}
