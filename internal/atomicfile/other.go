//go:build !unix

package atomicfile

import (
	"io/fs"
	"os"
)

const hasModes = false

func open(path string) (*os.File, error) { return os.Open(path) } // #nosec G304 -- the caller says where

func checkTrusted(fs.FileInfo) error { return nil }

func keepAccess(*os.File, string, fs.FileInfo) error { return nil }

// syncDir does nothing: directories can't be synced here.
func syncDir(string) error { return nil }
