package tiny

import (
	"errors"
	"testing"
	"time"
)

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int]string{-1: "odd", 0: "small", 6: "small", 7: "odd", 8: "small", 10: "small", 11: "big"} {
		check(t, "size", Size(n), want)
	}
}

func TestWeekend(t *testing.T) {
	check(t, "Saturday", Weekend("Saturday"), true)
	check(t, "Monday", Weekend("Monday"), false)
}

func TestSum(t *testing.T) { check(t, "sum", Sum(1, 2), 3) }

func TestFirst(t *testing.T) {
	got, ok := First([]int{0, 4, 5})
	check(t, "first", got, 4)
	check(t, "found", ok, true)
	_, ok = First([]string{""})
	check(t, "found", ok, false)
}

func TestCounter(t *testing.T) {
	c := Counter{Limit: 1}
	check(t, "add", c.Add("", false), nil)
	check(t, "add beyond the limit", c.Add("", false), errTiny)
	check(t, "add beyond the limit, dry", c.Add("", true), nil)
	check(t, "count", c.Count(), 2)
}

func TestSafely(t *testing.T) {
	err := Safely(func() { panic(1) })
	if err == nil || err.Error() != "panic: 1" {
		t.Errorf("got %v", err)
	}
	check(t, "no panic", Safely(func() {}), nil)
	called := false
	check(t, "call", Safely(func() { called = true }), nil)
	check(t, "called", called, true)
}

func TestWait(t *testing.T) {
	a, b := make(chan int, 1), make(chan int, 1)
	a <- 1
	check(t, "the first", Wait(a, b), 1)
	b <- 2
	check(t, "the second", Wait(a, b), 2)
}

func TestKind(t *testing.T) {
	check(t, "int", Kind(1), "number")
	check(t, "int64", Kind(int64(1)), "number")
	check(t, "string", Kind(""), "text")
	check(t, "bool", Kind(true), "")
}

func TestHalve(t *testing.T) { check(t, "steps", Halve(4), 3) }

func TestSlowly(t *testing.T) {
	check(t, "patience", Patience, 2*time.Second)
	check(t, "text", errTiny.Error(), "tiny")
	check(t, "error", errors.Is(errTiny, errTiny), true)
}
