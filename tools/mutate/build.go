package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

// source is one file of the package.
type source struct {
	path, base string
	text       string
	file       *ast.File
	fset       *token.FileSet
}

func (s *source) position(p token.Pos) token.Position {
	at := s.fset.Position(p)
	at.Filename = s.base
	return at
}

func (s *source) offset(p token.Pos) int            { return s.position(p).Offset }
func (s *source) between(from, to token.Pos) string { return s.text[s.offset(from):s.offset(to)] }
func (s *source) code(n ast.Node) string            { return s.between(n.Pos(), n.End()) }

// code is the package whose mutants are made.
type code struct {
	*packages.Package
	dir, work string // work is a temporary folder
	sources   []*source
}

// load parses the package in a folder.
func load(ctx context.Context, folder, work string) (*code, error) {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	mode := packages.NeedName | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo
	loaded, err := packages.Load(&packages.Config{Context: ctx, Dir: dir, Mode: mode}, ".")
	if err != nil {
		return nil, err
	}
	c := &code{Package: loaded[0], dir: dir, work: work}
	if len(c.Errors) > 0 {
		return nil, c.Errors[0]
	}
	for i, path := range c.CompiledGoFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c.sources = append(c.sources, &source{path, filepath.Base(path), string(text), c.Syntax[i], c.Fset})
	}
	return c, nil
}

// importer returns the packages that the package imports already.
type importer []*types.Package

func (list importer) Import(path string) (*types.Package, error) {
	for _, p := range list {
		if p.Path() == path {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s is not imported", path)
}

const (
	variable   = "GO_MUTANT" // of the environment: the number of the mutant that runs; 0 is none
	switchFile = "zz_mutant_switch.go"
	switchText = "import (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar runningMutant, _ = strconv.Atoi(os.Getenv(\"" + variable + "\"))\n"
)

// check type-checks the package with some of its files replaced, and returns every
// error.
func (c *code) check(replaced map[*source]string) (failures []error) {
	fail := func(err error) { failures = append(failures, err) }
	parse := func(name, text string) *ast.File {
		file, err := parser.ParseFile(c.Fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			fail(err)
		}
		return file
	}
	files := []*ast.File{parse(switchFile, "package "+c.Name+"\n\nvar runningMutant int\n")}
	for _, s := range c.sources {
		if text, ok := replaced[s]; ok {
			files = append(files, parse(s.base, text))
		} else {
			files = append(files, s.file)
		}
	}
	if len(failures) == 0 {
		config := types.Config{Importer: importer(c.Types.Imports()), Error: fail}
		_, _ = config.Check(c.PkgPath, c.Fset, files, nil) // the error is the first that was passed to fail
	}
	return failures
}

// canSwitch reports whether a mutant can be one of many in a program. It can in a
// function, except where recover depends on who calls it.
func (m *mutant) canSwitch() bool {
	if m.function == nil {
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
	return m.source.text[:m.start] + m.text + m.source.text[m.end:]
}

// stretch is the part of a text that holds a mutant's function.
type stretch struct {
	start, end int
	m          *mutant
}

// switched returns the source with a switch at the begin of each function, which
// runs a copy of its body with the mutant that the environment selects.
func (s *source) switched(numbers map[*mutant]int, mutants []*mutant) (string, []stretch) {
	var text strings.Builder
	var stretches []stretch
	at := 0
	var current *ast.FuncDecl
	for _, m := range mutants { // in the order of the file
		if m.source != s {
			continue
		}
		body := m.function.Body
		if m.function != current {
			if current != nil {
				text.WriteString("}\n")
			}
			text.WriteString(s.text[at:s.offset(body.Lbrace)+1] + "\nswitch runningMutant {\n")
			current, at = m.function, s.offset(body.Lbrace)+1
		}
		start := text.Len()
		call, end := "return func() ", "()\n"
		if results := m.function.Type.Results; results != nil {
			call += s.code(results) + " "
		} else {
			call, end = "func() ", "(); return\n"
		}
		fmt.Fprintf(&text, "case %d: %s%s%s%s%s", numbers[m], call,
			s.text[s.offset(body.Lbrace):m.start], m.text, s.text[m.end:s.offset(body.Rbrace)+1], end)
		stretches = append(stretches, stretch{start, text.Len(), m})
	}
	if current != nil {
		text.WriteString("}\n")
	}
	return text.String() + s.text[at:], stretches
}

// together returns those of the mutants that compile in one program, each with its
// number, and the files of that program.
func (c *code) together(mutants []*mutant) (numbers map[*mutant]int, files map[*source]string, err error) {
	for {
		numbers, files = map[*mutant]int{}, map[*source]string{}
		for i, m := range mutants {
			numbers[m] = i + 1
		}
		stretches := map[string][]stretch{}
		for _, s := range c.sources {
			files[s], stretches[s.base] = s.switched(numbers, mutants)
		}
		broken := map[*mutant]bool{}
		for _, err := range c.check(files) {
			failure, ok := errors.AsType[types.Error](err)
			if !ok {
				return nil, nil, err
			}
			at := c.Fset.Position(failure.Pos)
			found := false
			for _, part := range stretches[at.Filename] {
				if part.start <= at.Offset && at.Offset < part.end {
					broken[part.m], found = true, true
				}
			}
			if !found {
				return nil, nil, fmt.Errorf("the program with all mutants does not compile: %w", err)
			}
		}
		if len(broken) == 0 {
			return numbers, files, nil
		}
		var kept []*mutant
		for _, m := range mutants {
			if !broken[m] {
				kept = append(kept, m)
			}
		}
		mutants = kept
	}
}

// compile compiles the package's tests with some files replaced.
func (c *code) compile(ctx context.Context, files map[*source]string) (program string, err error) {
	folder, err := os.MkdirTemp(c.work, "")
	if err != nil {
		return "", err
	}
	texts := map[string]string{filepath.Join(c.dir, switchFile): "package " + c.Name + "\n\n" + switchText}
	for s, text := range files {
		texts[s.path] = text
	}
	overlay := map[string]string{}
	for path, text := range texts {
		overlay[path] = filepath.Join(folder, filepath.Base(path))
		if err := os.WriteFile(overlay[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	listFile := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(listFile, list, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(folder, "program.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", listFile, "-o", program, ".")
	build.Dir = c.dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	return program, nil
}
