//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import "os"

// lock does nothing: where there is no flock it is up to the user not to rotate
// the same token twice at a time.
func lock(*os.File) error { return nil }

// unlock has nothing to undo.
func unlock(*os.File) error { return nil }
