package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is one file of the package.
type source struct {
	path, base string
	text       []byte
	file       *ast.File
	fset       *token.FileSet
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

func (s *source) position(p token.Pos) token.Position {
	at := s.fset.Position(p)
	at.Filename = s.base
	return at
}

// code is the package whose mutants are made.
type code struct {
	dir, path string
	fset      *token.FileSet
	sources   []*source
	imports   types.Importer
	work      string // a temporary folder
}

// load parses the package in a folder. It first compiles the package's imports, so
// that their types are known.
func load(ctx context.Context, dir, work string) (*code, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-export", "-json=Dir,ImportPath,Export,GoFiles", "os", "strconv", ".") // two that switchFile needs
	list.Dir = dir
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	c := &code{dir: dir, work: work, fset: token.NewFileSet()}
	exports := map[string]string{}
	var files []string
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir, ImportPath, Export string
			GoFiles                 []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		c.path, files = p.ImportPath, p.GoFiles // the package itself comes last
	}
	c.imports = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(c.fset, name, text, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		c.sources = append(c.sources, &source{path: filepath.Join(dir, name), base: name, text: text, file: file, fset: c.fset})
	}
	return c, nil
}

// check type-checks the package with some of its files replaced, and returns the
// types and every error.
func (c *code) check(replaced map[*source]string) (*types.Info, []types.Error) {
	var failures []types.Error
	fail := func(err error) {
		var failure types.Error
		if !errors.As(err, &failure) {
			failure = types.Error{Msg: err.Error()}
		}
		failures = append(failures, failure)
	}
	files := make([]*ast.File, 0, len(c.sources)+1)
	for _, src := range c.sources {
		file := src.file
		if text, ok := replaced[src]; ok {
			var err error
			if file, err = parser.ParseFile(c.fset, src.base, text, parser.SkipObjectResolution); err != nil {
				fail(err)
				return nil, failures
			}
		}
		files = append(files, file)
	}
	if len(replaced) > 0 {
		file, err := parser.ParseFile(c.fset, switchFile, switchText(c.sources[0].file.Name.Name), parser.SkipObjectResolution)
		if err != nil {
			fail(err)
		}
		files = append(files, file)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: c.imports, Error: fail}
	// Its error is the first that was passed to fail.
	_, _ = config.Check(c.path, c.fset, files, info)
	return info, failures
}

const (
	variable   = "GO_MUTANT" // of the environment: the number of the mutant that runs
	switchFile = "zz_mutant_switch.go"
)

// switchText returns the file that reads which mutant runs; 0 is none.
func switchText(name string) string {
	return `package ` + name + `

import (
	"os"
	"strconv"
)

var runningMutant = func() int {
	n, _ := strconv.Atoi(os.Getenv("` + variable + `"))
	return n
}()
`
}

// canSwitch reports whether a mutant can be one of many in a program. It can in a
// function, except where it matters which function calls it.
func (m *mutant) canSwitch() bool {
	if m.function == nil || m.function.Recv == nil && (m.function.Name.Name == "init" || m.function.Name.Name == "main") {
		return false
	}
	recovers := false
	ast.Inspect(m.function.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "recover" {
				recovers = true
			}
		}
		_, literal := n.(*ast.FuncLit)
		return !literal
	})
	return !recovers
}

// apply is the source with the mutant in it.
func (m *mutant) apply() string {
	return string(m.source.text[:m.start]) + m.text + string(m.source.text[m.end:])
}

// stretch is the part of a text that holds a mutant's function.
type stretch struct {
	start, end int
	m          *mutant
}

// switched returns the source with a copy of its function for each mutant. The
// function itself becomes one that calls the copy that the environment selects, by
// its number in the map.
func (s *source) switched(numbers map[*mutant]int, mutants []*mutant) (string, []stretch) {
	byFunction := map[*ast.FuncDecl][]*mutant{}
	for _, m := range mutants {
		if m.source == s {
			byFunction[m.function] = append(byFunction[m.function], m)
		}
	}
	var text strings.Builder
	var copies []string
	var owners []*mutant
	at := 0
	for _, decl := range s.file.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if !ok || len(byFunction[d]) == 0 {
			continue
		}
		from, name, to := s.offset(d.Pos()), s.offset(d.Name.Pos()), s.offset(d.End())
		afterName := name + len(d.Name.Name)
		text.Write(s.text[at:from])
		at = to
		copies = append(copies, string(s.text[from:name])+copyName(d, 0)+string(s.text[afterName:to]))
		owners = append(owners, nil)
		for _, m := range byFunction[d] {
			copies = append(copies, string(s.text[from:name])+copyName(d, numbers[m])+
				string(s.text[afterName:m.start])+m.text+string(s.text[m.end:to]))
			owners = append(owners, m)
		}
		text.WriteString(s.dispatcher(d, numbers, byFunction[d]))
	}
	text.Write(s.text[at:])
	var stretches []stretch
	for i, c := range copies {
		text.WriteString("\n\n")
		start := text.Len()
		text.WriteString(c)
		if owners[i] != nil {
			stretches = append(stretches, stretch{start, text.Len(), owners[i]})
		}
	}
	text.WriteString("\n")
	return text.String(), stretches
}

// copyName returns an unexported name, so that reflection finds no new methods.
func copyName(d *ast.FuncDecl, number int) string {
	return fmt.Sprintf("mutant%d_%s", number, d.Name.Name)
}

// dispatcher returns the function that calls one of the copies.
func (s *source) dispatcher(d *ast.FuncDecl, numbers map[*mutant]int, mutants []*mutant) string {
	var head, args strings.Builder
	head.WriteString("func ")
	callee := ""
	if d.Recv != nil {
		head.WriteString("(mutantReceiver " + s.slice(d.Recv.List[0].Type) + ") ")
		callee = "mutantReceiver."
	}
	head.WriteString(d.Name.Name)
	instance := ""
	if d.Type.TypeParams != nil {
		head.WriteString(s.slice(d.Type.TypeParams))
		var names []string
		for _, field := range d.Type.TypeParams.List {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
		instance = "[" + strings.Join(names, ", ") + "]"
	}
	head.WriteString("(")
	n := 0
	for _, field := range d.Type.Params.List {
		for range max(1, len(field.Names)) {
			fmt.Fprintf(&head, "mutantArg%d %s, ", n, s.slice(field.Type))
			fmt.Fprintf(&args, "mutantArg%d", n)
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				args.WriteString("...")
			}
			args.WriteString(", ")
			n++
		}
	}
	head.WriteString(") ")
	keyword, end := "", "; return"
	if d.Type.Results != nil {
		head.WriteString(s.slice(d.Type.Results))
		keyword, end = "return ", ""
	}
	var b strings.Builder
	b.WriteString(head.String() + " {\n\tswitch runningMutant {\n")
	call := func(number int) {
		b.WriteString(keyword + callee + copyName(d, number) + instance + "(" + args.String() + ")")
	}
	for _, m := range mutants {
		fmt.Fprintf(&b, "\tcase %d: ", numbers[m])
		call(numbers[m])
		b.WriteString(end + "\n")
	}
	b.WriteString("\t}\n\t")
	call(0)
	b.WriteString("\n}")
	return b.String()
}

func (s *source) slice(n ast.Node) string {
	return string(s.text[s.offset(n.Pos()):s.offset(n.End())])
}

// compiling returns the mutants that compile, together in one program or each by
// itself, and the files of that program.
func (c *code) compiling(mutants []*mutant) (switched, single []*mutant, files map[*source]string, err error) {
	for _, m := range mutants {
		if m.canSwitch() {
			switched = append(switched, m)
		} else if _, failures := c.check(map[*source]string{m.source: m.apply()}); len(failures) == 0 {
			single = append(single, m)
		}
	}
	for {
		numbers := map[*mutant]int{}
		for i, m := range switched {
			numbers[m] = i + 1
		}
		files = map[*source]string{}
		stretches := map[string][]stretch{}
		for _, src := range c.sources {
			if text, copies := src.switched(numbers, switched); len(copies) > 0 {
				files[src], stretches[src.base] = text, copies
			}
		}
		if len(files) == 0 {
			return nil, single, nil, nil
		}
		_, failures := c.check(files)
		if len(failures) == 0 {
			return switched, single, files, nil
		}
		broken := map[*mutant]bool{}
		for _, failure := range failures {
			at := token.Position{}
			if failure.Fset != nil {
				at = failure.Fset.Position(failure.Pos)
			}
			found := false
			for _, part := range stretches[at.Filename] {
				if part.start <= at.Offset && at.Offset < part.end {
					broken[part.m], found = true, true
				}
			}
			if !found {
				return nil, nil, nil, fmt.Errorf("the program with all mutants does not compile: %s: %s", at, failure.Msg)
			}
		}
		kept := switched[:0]
		for _, m := range switched {
			if !broken[m] {
				kept = append(kept, m)
			}
		}
		switched = kept
	}
}

// compile compiles the package's tests with some files replaced.
func (c *code) compile(ctx context.Context, files map[*source]string) (program string, err error) {
	folder, err := os.MkdirTemp(c.work, "")
	if err != nil {
		return "", err
	}
	overlay := map[string]string{}
	write := func(path, text string) error {
		overlay[path] = filepath.Join(folder, filepath.Base(path))
		return os.WriteFile(overlay[path], []byte(text), 0o600) //nolint:gosec // in a folder of this program's own
	}
	for src, text := range files {
		if err := write(src.path, text); err != nil {
			return "", err
		}
	}
	if err := write(filepath.Join(c.dir, switchFile), switchText(c.sources[0].file.Name.Name)); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), list, 0o600); err != nil { //nolint:gosec // as above
		return "", err
	}
	program = filepath.Join(folder, "program.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", filepath.Join(folder, "overlay.json"), "-o", program, ".") //nolint:gosec // of this program's own making
	build.Dir = c.dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	return program, nil
}
