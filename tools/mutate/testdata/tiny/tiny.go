// Package tiny has each kind of code that can be changed.
package tiny

import (
	"errors"
	"fmt"
	"time"
)

// Patience is outside of functions, so its change is a program of its own.
const Patience = 2 * time.Second

var errTiny = errors.New("tiny")

// Size says how big n is.
func Size(n int) string {
	switch {
	case n < 0, n == 7:
		return "odd"
	case n <= 10:
		return "small"
	default:
		return "big"
	}
}

// Weekend reports whether a day is of the weekend. No test asks for Sunday.
func Weekend(day string) bool {
	switch day {
	case "Saturday", "Sunday":
		return true
	}
	return false
}

// Sum adds numbers up.
func Sum(numbers ...int) (sum int) {
	for _, n := range numbers {
		sum += n
	}
	return
}

// First returns the first that is not the zero value.
func First[T comparable](values []T) (first T, ok bool) {
	var zero T
	for _, v := range values {
		if v != zero {
			return v, true
		}
	}
	return zero, false
}

// Counter counts, up to a limit.
type Counter struct {
	Limit int `json:"limit"`
	n     int
}

// Add adds one, unless the limit is reached or it is told not to.
func (c *Counter) Add(_ string, dry bool) error {
	if !dry && c.n >= c.Limit {
		return errTiny
	}
	c.n++
	return nil
}

// Count returns how often one was added.
func (c Counter) Count() int { return c.n }

// Safely calls f, and returns an error if that panics.
func Safely(f func()) (err error) {
	defer caught(&err)
	f()
	return nil
}

// caught recovers, which only a function can that is deferred itself.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

// Wait waits for one of two.
func Wait(a, b <-chan int) int {
	select {
	case n := <-a:
		return n
	case n := <-b:
		return n
	}
}

// Kind names the type of a value.
func Kind(v any) string {
	switch v.(type) {
	case int, int64:
		return "number"
	case string:
		return "text"
	}
	return ""
}
