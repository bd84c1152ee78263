package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build measures what the library costs a program: seconds of a cold build and MiB,
// beyond those of its floor, and other modules. bench/bare and bench/library are the
// same program without and with it, built with only the standard library in the
// build cache.
func (m meter) build() ([]float64, error) {
	dir, err := os.MkdirTemp("", "fastly-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	std := filepath.Join(dir, "std")
	if _, err := goTool(std, "build", "std"); err != nil {
		return nil, err
	}
	measure := func(program string) func() (sample, error) {
		return func() (s sample, err error) {
			cache, binary := filepath.Join(dir, "cache"), filepath.Join(dir, program)
			defer func() { _ = os.RemoveAll(cache) }()
			err = os.RemoveAll(binary) // else go build finds it up to date
			err = errors.Join(err, os.CopyFS(cache, os.DirFS(std)))
			begin := time.Now()
			_, buildErr := goTool(cache, "build", "-o", binary, "github.com/fastly-tokens/fastly/tools/bench/"+program)
			s.seconds = time.Since(begin).Seconds()
			info, statErr := os.Stat(binary)
			if err = errors.Join(err, buildErr, statErr); err == nil {
				s.bytes = float64(info.Size())
			}
			return s, err
		}
	}
	medians, err := meter{m.ctx, min(m.rounds, 5)}.alternate(measure("bare"), measure("library"))
	if err != nil {
		return nil, err
	}
	modules, err := goTool(std, "version", "-m", filepath.Join(dir, "library"))
	bare, library := medians[0], medians[1]
	others := strings.Count(modules, "\tdep\t") - 1 // without this one
	return []float64{library.seconds - bare.seconds, (library.bytes - bare.bytes) / (1 << 20), float64(others)}, err
}

func goTool(cache string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOCACHE="+cache, "GOFLAGS=-buildvcs=false")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), err
}
