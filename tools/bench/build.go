package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build measures what the library costs a program. bench/bare and bench/library are
// the same program without and with it, built with only the standard library in
// the build cache.
func (r *report) build() error {
	dir, err := os.MkdirTemp("", "fastly-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	std := filepath.Join(dir, "std")
	if _, err := r.goTool(std, "build", "std"); err != nil {
		return err
	}
	build := func(program string) func() (sample, error) {
		return func() (s sample, err error) {
			cache, binary := filepath.Join(dir, "cache"), filepath.Join(dir, program)
			defer os.RemoveAll(cache)
			if err := os.RemoveAll(binary); err != nil { // else go build finds it up to date
				return s, err
			}
			if err := os.CopyFS(cache, os.DirFS(std)); err != nil {
				return s, err
			}
			begin := time.Now()
			if _, err := r.goTool(cache, "build", "-o", binary, "./bench/"+program); err != nil {
				return s, err
			}
			s.seconds = time.Since(begin).Seconds()
			info, err := os.Stat(binary)
			if err != nil {
				return s, err
			}
			s.bytes = float64(info.Size())
			return s, nil
		}
	}
	medians, err := r.alternate(build("bare"), build("library"))
	if err != nil {
		return err
	}
	modules, err := r.goTool(std, "version", "-m", filepath.Join(dir, "library"))
	if err != nil {
		return err
	}
	bare, library := medians[0], medians[1]
	r.difference("cold build, s", bare.seconds, library.seconds, 1.5)
	r.difference("binary, MiB", bare.bytes/(1<<20), library.bytes/(1<<20), 0.6)
	r.difference("other modules compiled in", 0, float64(strings.Count(modules, "\tdep\t")-1), 3)
	return nil
}

func (r *report) difference(measure string, floor, library, limit float64) {
	r.row(measure, fmt.Sprintf("%.2f", floor), fmt.Sprintf("%.2f", library), fmt.Sprintf("%.2f", library-floor), atMost(library-floor, limit))
}

func (r *report) goTool(cache string, args ...string) (string, error) {
	cmd := exec.CommandContext(r.ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOCACHE="+cache, "GOFLAGS=-buildvcs=false")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), err
}
