package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The library and its floor, bare net/http and encoding/json, take turns, and the
// metric "ratio" is the library's time divided by the floor's.

func BenchmarkOperations(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		b.Run(name, func(b *testing.B) { benchmarkOperation(b, name, config{tokens: 100}) })
	}
}

func BenchmarkLists(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1_000, 10_000, 100_000} {
		for _, gzip := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/gzip=%t", n, gzip), func(b *testing.B) {
				benchmarkOperation(b, "ListTokensUser", config{tokens: n, gzip: gzip})
			})
		}
	}
}

func benchmarkOperation(b *testing.B, name string, c config) {
	srv := newServer(c)
	defer srv.Close()
	floor, library, err := sides(srv.URL, name)
	require.NoError(b, err)
	defer floor.close()
	defer library.close()
	var took [2]time.Duration
	for b.Loop() {
		for i, side := range []side{floor, library} {
			begin := time.Now()
			if err := side.call(b.Context()); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(begin)
		}
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(b.N), "library-ns/op")
}
