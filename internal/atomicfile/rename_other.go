//go:build !unix && !windows

package atomicfile

import "os"

func checkRename(string, string) error { return nil }

func rename(f *os.File, path string) error {
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
