//go:build !unix

package fastly

import "os"

func openKeyFile(path string) (*os.File, error) { return os.Open(path) }
