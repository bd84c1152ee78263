package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// build is what the library costs a program.
type build struct{ seconds, mebibytes, modules float64 }

// built measures it once for all rows: bench/bare and bench/library are the same
// program without and with the library, built with only the standard library in the
// build cache.
var built = sync.OnceValues(func() (b build, err error) {
	dir, err := os.MkdirTemp("", "fastly-bench-")
	if err != nil {
		return b, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	std := filepath.Join(dir, "std")
	if _, err := goTool(std, "build", "std"); err != nil {
		return b, err
	}
	measure := func(program string) func() (sample, error) {
		return func() (s sample, err error) {
			cache, binary := filepath.Join(dir, "cache"), filepath.Join(dir, program)
			defer func() { _ = os.RemoveAll(cache) }()
			if err := os.RemoveAll(binary); err != nil { // else go build finds it up to date
				return s, err
			}
			if err := os.CopyFS(cache, os.DirFS(std)); err != nil {
				return s, err
			}
			begin := time.Now()
			if _, err := goTool(cache, "build", "-o", binary, "github.com/fastly-tokens/fastly/tools/bench/"+program); err != nil {
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
	medians, err := meter{context.Background(), 5}.alternate(measure("bare"), measure("library"))
	if err != nil {
		return b, err
	}
	modules, err := goTool(std, "version", "-m", filepath.Join(dir, "library"))
	bare, library := medians[0], medians[1]
	return build{
		library.seconds - bare.seconds, (library.bytes - bare.bytes) / (1 << 20),
		float64(strings.Count(modules, "\tdep\t") - 1), // without this one
	}, err
})

func (meter) buildTime() (float64, error) {
	b, err := built()
	return b.seconds, err
}

func (meter) binary() (float64, error) {
	b, err := built()
	return b.mebibytes, err
}

func (meter) modules() (float64, error) {
	b, err := built()
	return b.modules, err
}

func goTool(cache string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOCACHE="+cache, "GOFLAGS=-buildvcs=false")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), err
}
