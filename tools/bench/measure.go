package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// sample is the result of one round, per call if there are several.
type sample struct{ seconds, bytes, allocations float64 }

// meter measures.
type meter struct {
	ctx    context.Context
	rounds int // at most
}

// alternate lets the sides take turns, for 15 s or at least a few rounds, and
// returns the medians of each side.
func (m meter) alternate(sides ...func() (sample, error)) ([]sample, error) {
	const enough, tooFew = 15 * time.Second, 5
	samples := make([][]sample, len(sides))
	begin := time.Now()
	for round := 0; round < m.rounds && (round < tooFew || time.Since(begin) < enough); round++ {
		for i, side := range sides {
			s, err := side()
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], s)
		}
	}
	medians := make([]sample, len(sides))
	for i, all := range samples {
		medians[i] = sample{
			median(all, func(s sample) float64 { return s.seconds }),
			median(all, func(s sample) float64 { return s.bytes }),
			median(all, func(s sample) float64 { return s.allocations }),
		}
	}
	return medians, nil
}

func median(samples []sample, figure func(sample) float64) float64 {
	figures := make([]float64, len(samples))
	for i, s := range samples {
		figures[i] = figure(s)
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// compare measures an operation on both sides, on one goroutine.
func (m meter) compare(operation string, c config) (floor, library sample, err error) {
	srv := newServer(c)
	defer srv.Close()
	f, l, err := sides(srv.URL, operation)
	if err != nil {
		return sample{}, sample{}, err
	}
	defer f.close()
	defer l.close()
	medians, err := m.alternate(
		func() (sample, error) { return m.calls(f) },
		func() (sample, error) { return m.calls(l) })
	if err != nil {
		return sample{}, sample{}, err
	}
	return medians[0], medians[1], nil
}

// calls calls the side for about 50 ms.
func (m meter) calls(side side) (s sample, err error) {
	var took time.Duration
	for range 2 { // the first call warms up, the second shows how long one takes
		begin := time.Now()
		if err := side.call(m.ctx); err != nil {
			return s, err
		}
		took = time.Since(begin)
	}
	n := max(1, 50*time.Millisecond/max(took, time.Microsecond))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for range n {
		if err := side.call(m.ctx); err != nil {
			return s, err
		}
	}
	s.seconds = time.Since(begin).Seconds() / float64(n)
	runtime.ReadMemStats(&after)
	s.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	s.allocations = float64(after.Mallocs-before.Mallocs) / float64(n)
	return s, nil
}

// peakHeap returns the largest live heap that any garbage collection found while f
// ran.
func peakHeap(f func() error) (peak float64, err error) {
	defer debug.SetGCPercent(debug.SetGCPercent(2))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				peak = max(peak, liveHeap())
			}
		}
	})
	err = f()
	close(done)
	wg.Wait()
	return peak, err
}

func liveHeap() float64 {
	runtime.GC()
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(heap)
	return float64(heap[0].Value.Uint64())
}
