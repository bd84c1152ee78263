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

// loadTiny loads the package that has each kind of code to change.
func loadTiny(t *testing.T) *code {
	t.Helper()
	c, err := load(t.Context(), filepath.Join("testdata", "tiny"), t.TempDir())
	require.NoError(t, err)
	return c
}

func mutantsOf(t *testing.T, c *code) []*mutant {
	t.Helper()
	all, err := c.mutants([]string{"tiny.go"})
	require.NoError(t, err)
	return all
}

// described is each mutant as "ID | change", without the name of the file.
func described(mutants []*mutant) []string {
	var lines []string
	for _, m := range mutants {
		lines = append(lines, strings.TrimPrefix(m.id, "tiny.go:")+" | "+m.change())
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
	c := loadTiny(t)
	s, err := c.newSession(t.Context(), mutantsOf(t, c), options{})
	require.NoError(t, err)
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
	c := loadTiny(t)
	before := mutantsOf(t, c)

	dir := t.TempDir()
	at := slices.IndexFunc(c.sources, func(s *source) bool { return s.base == "tiny.go" })
	text := strings.Replace(string(c.sources[at].text), "// Size says", "\n\n// Other is new.\nfunc Other(n int) bool { return n == 3 }\n\n// Size says", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tiny.go"), []byte(text), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/tiny\n\ngo 1.26\n"), 0o600))
	moved, err := load(t.Context(), dir, t.TempDir())
	require.NoError(t, err)
	var after []*mutant
	for _, m := range mutantsOf(t, moved) {
		if !strings.Contains(m.id, ":Other:") {
			after = append(after, m)
		}
	}
	assert.Equal(t, described(before), described(after))
	assert.NotEqual(t, before[len(before)-1].position.Line, after[len(after)-1].position.Line)
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
	assert.Contains(t, out, " 0 survived that are listed, 2 survived;", "what else: %s", out)
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
	assert.Contains(t, out, "2 survived that are listed, 0 survived;")
	assert.Contains(t, out, "tiny.go:Size:flip#1 is listed, and a test finds it")
}

func TestStaleEntriesFail(t *testing.T) {
	t.Parallel()
	code, out, err := mutate(t, survivors+`
tiny.go:Size:flip#9 | n < 0 → n >= 0 | there is no ninth
tiny.go:Size:flip#2 | n < 0 → n >= 0 | the second is another
`, "-n", "1", "-seed", "3")
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
	c := loadTiny(t)
	s := &session{mutants: mutantsOf(t, c)}
	draw := func(seed uint64, n int) []string { return described(s.draw(options{seed: seed, n: n}, nil)) }
	first, again, other := draw(1, 10), draw(1, 10), draw(2, 10)
	assert.Equal(t, first, again)
	assert.NotEqual(t, first, other)
	assert.Len(t, draw(1, 10), 10)
	assert.Len(t, draw(1, 1000), len(s.mutants))
	assert.Equal(t, described(s.mutants), draw(1, 0), "without a number all, in their order")

	m := s.mutants[3]
	list := map[string]equivalent{m.id: {change: m.change()}}
	assert.NotContains(t, s.draw(options{seed: 1, n: 1000}, list), m, "what is listed is not drawn")
	assert.NotContains(t, s.draw(options{seed: 1, budget: time.Hour}, list), m)
	assert.Contains(t, s.draw(options{}, list), m, "but run with all")
	list[m.id] = equivalent{change: "another"}
	assert.Contains(t, s.draw(options{seed: 1, n: 1000}, list), m)
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
	c := loadTiny(t)
	all, err := c.mutants([]string{"halve.go"})
	require.NoError(t, err)
	s, err := c.newSession(t.Context(), all, options{})
	require.NoError(t, err)
	number := s.numbers[s.mutants[slices.IndexFunc(s.mutants, func(m *mutant) bool { return m.id == "halve.go:Halve:bound#1" })]]
	r, _, err := s.test(t.Context(), s.program, number, phase{[]string{"-test.run", "Halve"}, 100 * time.Millisecond})
	require.NoError(t, err)
	assert.Equal(t, timedOut, r)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _, err = s.test(ctx, s.program, number, phase{[]string{"-test.run", "Halve"}, 10 * time.Minute})
	require.ErrorIs(t, err, context.DeadlineExceeded, "the end of the run is no result")
}

func TestOwnTestsComeFirst(t *testing.T) {
	t.Parallel()
	c := loadTiny(t)
	list, err := phases(mutantsOf(t, c)[0], "^TestSlow", time.Second)
	require.NoError(t, err)
	own := "^(TestSize|TestWeekend|TestSum|TestFirst|TestCounter|TestSafely|TestWait|TestKind|TestHalve|TestSlowly)$"
	assert.Equal(t, []phase{
		{[]string{"-test.run", own, "-test.skip", "^TestSlow"}, time.Second},
		{[]string{"-test.skip", "^TestSlow|" + own}, time.Second},
	}, list)
}
