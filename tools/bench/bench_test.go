package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each operation runs beside its floor: bare net/http and encoding/json. `go run
// ./bench` alternates between the two, and prints ratios.

func BenchmarkOperations(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(Operations)) {
		b.Run(name, func(b *testing.B) {
			benchmarkOperation(b, Operations[name], Config{Tokens: 100})
		})
	}
}

func BenchmarkLists(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1_000, 10_000, 100_000} {
		for _, gzip := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/gzip=%t", n, gzip), func(b *testing.B) {
				benchmarkOperation(b, Operations["ListTokensUser"], Config{Tokens: n, Gzip: gzip})
			})
		}
	}
}

func benchmarkOperation(b *testing.B, op Operation, config Config) {
	srv := NewServer(config)
	defer srv.Close()
	floor, err := Floor(srv.URL, op)
	require.NoError(b, err)
	library, err := Library(srv.URL, op)
	require.NoError(b, err)
	run := func(name string, call func(context.Context) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("floor", floor.Call)
	run("library", library.Call)
}
