package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var tiny = options{folder: filepath.Join("testdata", "tiny"), files: []string{"tiny.go"}}

// newTiny makes a session of the package that has each kind of code to change.
func newTiny(t *testing.T, o options) *session {
	t.Helper()
	c, err := load(t.Context(), o.folder, t.TempDir())
	require.NoError(t, err)
	s, err := newSession(t.Context(), c, o)
	require.NoError(t, err)
	return s
}

// described is each mutant as "ID | change", without the name of the file.
func described(mutants []*mutant) []string {
	var lines []string
	for _, m := range mutants {
		lines = append(lines, strings.TrimPrefix(m.id, "tiny.go:")+" | "+m.change)
	}
	return lines
}

// wanted is every mutant of tiny.go that compiles.
var wanted = strings.Split(strings.TrimSpace(`
Patience:duration#1 | 2 * time.Second → (2 * (2 * time.Second))
errTiny:string#1 | "tiny" → ""
Size:clause#1 | case n < 0, n == 7: → no such clause
Size:case#1 | case n < 0 → no such case
Size:case#2 | case n == 7 → no such case
Size:flip#1 | n < 0 → n >= 0
Size:bound#1 | n < 0 → n <= 0
Size:less#1 | 0 → (0 - 1)
Size:flip#2 | n == 7 → n != 7
Size:more#1 | 7 → (7 + 1)
Size:less#2 | 7 → (7 - 1)
Size:string#1 | "odd" → ""
Size:clause#2 | case n <= 10: → no such clause
Size:flip#3 | n <= 10 → n > 10
Size:bound#2 | n <= 10 → n < 10
Size:more#2 | 10 → (10 + 1)
Size:string#2 | "small" → ""
Size:string#3 | "big" → ""
Weekend:drop#1 | switch day { case "Saturday", "Sunday": return true } → dropped
Weekend:clause#1 | case "Saturday", "Sunday": → no such clause
Weekend:case#1 | case "Saturday" → no such case
Weekend:case#2 | case "Sunday" → no such case
Weekend:drop#3 | return true → dropped
Weekend:string#1 | "Saturday" → ""
Weekend:string#2 | "Sunday" → ""
Weekend:bool#1 | true → false
Weekend:bool#2 | false → true
Sum:drop#1 | for _, n := range numbers { sum += n } → dropped
Sum:drop#3 | sum += n → dropped
First:drop#1 | for _, v := range values { if v != zero { return v, true } } → dropped
First:drop#3 | if v != zero { return v, true } → dropped
First:bool#1 | true → false
First:flip#1 | v != zero → v == zero
First:bool#2 | false → true
Counter.Add:drop#1 | if !dry && c.n >= c.Limit { return errTiny } → dropped
Counter.Add:drop#2 | c.n++ → dropped
Counter.Add:negate#1 | !dry && c.n >= c.Limit → !(!dry && c.n >= c.Limit)
Counter.Add:logic#1 | !dry && c.n >= c.Limit → !dry || c.n >= c.Limit
Counter.Add:not#1 | !dry → dry
Counter.Add:flip#1 | c.n >= c.Limit → c.n < c.Limit
Counter.Add:bound#1 | c.n >= c.Limit → c.n > c.Limit
Safely:drop#1 | defer caught(&err) → dropped
Safely:drop#2 | f() → dropped
caught:drop#1 | if p := recover(); p != nil { *err = fmt.Errorf("panic: %v"… → dropped
caught:string#1 | "panic: %v" → ""
caught:flip#1 | p != nil → p == nil
Wait:clause#1 | case n := <-a: → no such clause
Wait:clause#2 | case n := <-b: → no such clause
Kind:drop#1 | switch v.(type) { case int, int64: return "number" case str… → dropped
Kind:clause#1 | case int, int64: → no such clause
Kind:case#1 | case int → no such case
Kind:case#2 | case int64 → no such case
Kind:drop#3 | return "number" → dropped
Kind:string#1 | "number" → ""
Kind:clause#2 | case string: → no such clause
Kind:drop#4 | return "text" → dropped
Kind:string#2 | "text" → ""
`), "\n")

func TestEachKindOfChangeIsMade(t *testing.T) {
	t.Parallel()
	s := newTiny(t, tiny)
	assert.Equal(t, wanted, described(s.mutants))
	// Outside of functions, and where recover stands, a mutant is a program of its own.
	var single []string
	for _, m := range s.mutants {
		if s.numbers[m] == 0 {
			single = append(single, strings.TrimPrefix(m.id, "tiny.go:"))
		}
	}
	assert.Equal(t, []string{"Patience:duration#1", "errTiny:string#1", "caught:drop#1", "caught:string#1", "caught:flip#1"}, single)
}

func TestIDsStayWhenLinesMove(t *testing.T) {
	t.Parallel()
	before := newTiny(t, tiny)
	text, err := os.ReadFile(filepath.Join("testdata", "tiny", "tiny.go"))
	require.NoError(t, err)
	changed := strings.Replace(string(text), "// Size says", "\n\n// Other is new.\nfunc Other(n int) bool { return n == 3 }\n\n// Size says", 1)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tiny.go"), []byte(changed), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/tiny\n\ngo 1.26\n"), 0o600))
	after := newTiny(t, options{folder: dir, files: []string{"tiny.go"}})
	others := slices.DeleteFunc(slices.Clone(after.mutants), func(m *mutant) bool { return strings.Contains(m.id, ":Other:") })
	assert.Equal(t, described(before.mutants), described(others))
	assert.Less(t, len(others), len(after.mutants))
	assert.NotEqual(t, before.mutants[len(before.mutants)-1].position.Line, others[len(others)-1].position.Line)
}

// mutate runs the command on a package of testdata.
func mutate(t *testing.T, list string, args ...string) (exitCode int, output string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "equivalent.txt")
	require.NoError(t, os.WriteFile(path, []byte(list), 0o600))
	var out strings.Builder
	exitCode, err = run(t.Context(), append([]string{"-files", "tiny.go", "-dir", filepath.Join("testdata", "tiny"), "-list", path}, args...), &out)
	return exitCode, out.String(), err
}

// The tests of tiny do not ask for Sunday.
const survivors = `
tiny.go:Weekend:case#2 | case "Sunday" → no such case | nobody tests it
tiny.go:Weekend:string#2 | "Sunday" → "" | nobody tests it
`

func TestWhatNoTestFindsIsReported(t *testing.T) {
	t.Parallel()
	code, out, err := mutate(t, "# nothing yet\n")
	require.NoError(t, err)
	assert.Equal(t, 1, code, "exit code with survivors")
	assert.Contains(t, out, "tiny.go:30:17: case \"Sunday\" → no such case\n\ttiny.go:Weekend:case#2\n")
	assert.Contains(t, out, "tiny.go:30:19: \"Sunday\" → \"\"\n\ttiny.go:Weekend:string#2\n")
	assert.Contains(t, out, " 0 survived that are listed, 2 survived\n", "what else: %s", out)
	assert.Contains(t, out, "57 tried", "every mutant that compiles")
}

func TestWhatIsListedIsNoSurvivor(t *testing.T) {
	t.Parallel()
	code, out, err := mutate(t, survivors+`
tiny.go:Size:flip#1 | n < 0 → n >= 0 | wrong: a test finds it
other.go:Size:flip#1 | a → b | of another file: not looked at
`)
	require.NoError(t, err)
	assert.Equal(t, 0, code, "exit code without survivors")
	assert.Contains(t, out, "2 survived that are listed, 0 survived\n")
	assert.Contains(t, out, "tiny.go:Size:flip#1 is listed, and a test finds it")
}

func TestStaleEntriesFail(t *testing.T) {
	t.Parallel()
	code, out, err := mutate(t, survivors+`
tiny.go:Size:flip#9 | n < 0 → n >= 0 | there is no ninth
tiny.go:Size:flip#2 | n < 0 → n >= 0 | the second is another
`, "-time", "1ns")
	require.NoError(t, err)
	assert.Equal(t, 1, code, "exit code with entries that are of no mutant")
	assert.Contains(t, out, "line 5: tiny.go:Size:flip#9: there is no such mutant")
	assert.Contains(t, out, "line 6: tiny.go:Size:flip#2 is now n == 7 → n != 7")
}

func TestListThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tiny.go:Size:flip#1 n < 0 → n >= 0 because":               "not of the form",
		"tiny.go:Size:flip#1 | n < 0 → n >= 0":                     "not of the form",
		"tiny.go:Size:flip#1 | n < 0 → n >= 0 | ":                  "not of the form",
		"tiny.go:Size:flip#1 | a | b\ntiny.go:Size:flip#1 | a | b": "there already",
	} {
		_, _, err := mutate(t, text)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestChangeThatHoldsTheSeparatorIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "list")
	require.NoError(t, os.WriteFile(path, []byte("a.go:f:drop#1 | x = a | b → dropped | why"), 0o600))
	list, err := readList(path)
	require.NoError(t, err)
	assert.Equal(t, equivalent{"a.go:f:drop#1", "x = a | b → dropped", "why", 1}, list["a.go:f:drop#1"])
}

func TestSeedSaysWhichAreDrawn(t *testing.T) {
	t.Parallel()
	all := newTiny(t, tiny).mutants
	draw := func(o options, list equivalents) []*mutant { return (&session{options: o, mutants: all}).draw(list) }
	hour := options{seed: 1, budget: time.Hour}
	first := draw(hour, nil)
	assert.Equal(t, described(first), described(draw(hour, nil)))
	assert.NotEqual(t, described(first), described(draw(options{seed: 2, budget: time.Hour}, nil)))
	assert.Len(t, first, len(all))
	assert.Equal(t, described(all), described(draw(options{seed: 1}, nil)), "without a limit all, in their order")

	m := all[3]
	list := equivalents{m.id: {change: m.change}}
	assert.NotContains(t, draw(hour, list), m, "what is listed is not drawn")
	assert.Contains(t, draw(options{}, list), m, "but run with all")
	list[m.id] = equivalent{change: "another"}
	assert.Contains(t, draw(hour, list), m)
}

func TestBudgetEndsTheRun(t *testing.T) {
	t.Parallel()
	code, out, err := mutate(t, survivors, "-time", "1ns")
	require.NoError(t, err)
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "\n0 tried")
}

func TestOneMutantIsShownWithItsTests(t *testing.T) {
	t.Parallel()
	code, out, err := mutate(t, survivors, "-id", "tiny.go:Sum:drop#3") // the list has others
	require.NoError(t, err)
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "tiny_test.go")
	assert.Contains(t, out, "sum: got 0, want 3")
	_, _, err = mutate(t, "", "-id", "tiny.go:Sum:drop#7")
	assert.ErrorContains(t, err, "no such mutant")
}

func TestSlowTestsFindWhatOthersDoNot(t *testing.T) {
	t.Parallel()
	// Only the slow test looks at this text.
	code, out, err := mutate(t, "", "-id", "tiny.go:errTiny:string#1", "-slow", "Slowly")
	require.NoError(t, err)
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "text: got , want tiny")
}

func TestFailingTestsAreAnError(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	_, err := run(t.Context(), []string{"-dir", filepath.Join("testdata", "failing"), "-files", "failing.go", "-list", os.DevNull}, &out)
	assert.ErrorContains(t, err, "fail without any mutant")
	_, _, err = mutate(t, "", "-files", "none.go")
	assert.ErrorContains(t, err, "no file none.go")
}

func TestMutantThatNeverEndsIsStopped(t *testing.T) {
	t.Parallel()
	s := newTiny(t, options{folder: tiny.folder, files: []string{"halve.go"}})
	number := s.numbers[s.mutants[slices.IndexFunc(s.mutants, func(m *mutant) bool { return m.id == "halve.go:Halve:bound#1" })]]
	r, _, err := s.test(t.Context(), s.program, number, 100*time.Millisecond, "-test.run", "Halve")
	require.NoError(t, err)
	assert.Equal(t, timedOut, r)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _, err = s.test(ctx, s.program, number, 10*time.Minute, "-test.run", "Halve")
	require.ErrorIs(t, err, context.DeadlineExceeded, "the end of the run is no result")
}

func TestMutantThatDoesNotCompileIsNotCounted(t *testing.T) {
	t.Parallel()
	s := newTiny(t, tiny)
	m := *s.mutants[0] // outside of functions
	m.text = "nothing"
	r, _, err := s.runOne(t.Context(), &m)
	require.NoError(t, err)
	assert.Equal(t, doesNotCompile, r)
}

func TestOwnTestsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	own, err := ownTests(filepath.Join("testdata", "tiny", "tiny.go"))
	require.NoError(t, err)
	assert.Equal(t, "^(none|TestSize|TestWeekend|TestSum|TestFirst|TestCounter|TestSafely|TestWait|TestKind|TestHalve|TestSlowly)$", own)
}
