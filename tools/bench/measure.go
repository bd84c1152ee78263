package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// sample is the result of one round, per call if there are several.
type sample struct{ seconds, bytes, allocations, connections float64 }

// alternate lets the sides take turns, for 15 s or at least a few rounds, and
// returns the medians of each side.
func (r *report) alternate(sides ...func() (sample, error)) ([]sample, error) {
	const enough, tooFew = 15 * time.Second, 5
	samples := make([][]sample, len(sides))
	begin := time.Now()
	for round := 0; round < r.rounds && (round < tooFew || time.Since(begin) < enough); round++ {
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
			median(all, func(s sample) float64 { return s.connections }),
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

// call measures an operation on one goroutine, and writes its rows.
func (r *report) call(work, operation string, config Config, limits sample) (library sample, err error) {
	srv := NewServer(config)
	defer srv.Close()
	var sides []func() (sample, error)
	for _, newSide := range []newSide{Floor, Library} {
		side, err := newSide(srv.URL, Operations[operation])
		if err != nil {
			return sample{}, err
		}
		defer side.CloseIdleConnections()
		sides = append(sides, func() (sample, error) { return r.calls(side) })
	}
	medians, err := r.alternate(sides...)
	if err != nil {
		return sample{}, err
	}
	floor, library := medians[0], medians[1]
	r.ratio(work, "time", duration, floor.seconds, library.seconds, limits.seconds)
	r.ratio(work, "bytes", size, floor.bytes, library.bytes, limits.bytes)
	r.ratio(work, "allocations", number, floor.allocations, library.allocations, limits.allocations)
	return library, nil
}

type newSide func(baseURL string, op Operation) (Side, error)

// calls calls the side for about 50 ms.
func (r *report) calls(side Side) (s sample, err error) {
	var took time.Duration
	for range 2 { // the first call warms up, the second shows how long one takes
		begin := time.Now()
		if err := side.Call(r.ctx); err != nil {
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
		if err := side.Call(r.ctx); err != nil {
			return s, err
		}
	}
	s.seconds = time.Since(begin).Seconds() / float64(n)
	runtime.ReadMemStats(&after)
	s.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
	s.allocations = float64(after.Mallocs-before.Mallocs) / float64(n)
	return s, nil
}

const goroutines = 64

// gets measures 6,400 gets over all goroutines, from a cold start without
// connections.
func (r *report) gets(config Config) (floor, library sample, err error) {
	srv := NewServer(config)
	defer srv.Close()
	gets := func(newSide newSide) func() (sample, error) {
		return func() (s sample, err error) {
			side, err := newSide(srv.URL, Operations["GetTokenCurrent"])
			if err != nil {
				return s, err
			}
			defer side.CloseIdleConnections()
			opened := srv.Connections.Load()
			s.seconds, err = r.parallel(side, 6400)
			s.connections = float64(srv.Connections.Load() - opened)
			return s, err
		}
	}
	medians, err := r.alternate(gets(Floor), gets(Library))
	if err != nil {
		return sample{}, sample{}, err
	}
	return medians[0], medians[1], nil
}

// parallel divides the calls among the goroutines, and returns how long they took
// and the first error.
func (r *report) parallel(side Side, calls int) (seconds float64, err error) {
	errs := make(chan error, calls)
	begin := time.Now()
	for range goroutines {
		go func() {
			for range calls / goroutines {
				errs <- side.Call(r.ctx)
			}
		}()
	}
	for range calls {
		if e := <-errs; err == nil {
			err = e
		}
	}
	return time.Since(begin).Seconds(), err
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
