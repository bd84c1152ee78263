package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// equivalent is a listed mutant, which changes no behavior.
type equivalent struct {
	id, change, reason string
	line               int
}

// equivalents are listed mutants by their IDs.
type equivalents map[string]equivalent

// readList reads a list of equivalent mutants: a line for each, ID | change |
// reason. Empty lines and those that begin with # are comments.
func readList(path string) (equivalents, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list := equivalents{}
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// The change itself may hold the separator.
		id, rest, ok := strings.Cut(line, " | ")
		at := strings.LastIndex(rest, " | ")
		if !ok || at < 0 || strings.TrimSpace(rest[at+3:]) == "" {
			return nil, fmt.Errorf("%s:%d: not of the form ID | change | reason", path, i+1)
		}
		if _, twice := list[id]; twice {
			return nil, fmt.Errorf("%s:%d: %s is there already", path, i+1, id)
		}
		list[id] = equivalent{id, rest[:at], rest[at+3:], i + 1}
	}
	return list, nil
}

func (list equivalents) has(m *mutant) bool {
	e, ok := list[m.id]
	return ok && e.change == m.change
}

// stale returns a line for each entry that matches no mutant of the files, because
// its ID now belongs to another change or to none.
func (list equivalents) stale(mutants []*mutant, files []string) (lines []string) {
	changes := map[string]string{}
	for _, m := range mutants {
		changes[m.id] = m.change
	}
	for _, e := range list {
		file, _, _ := strings.Cut(e.id, ":")
		change, ok := changes[e.id]
		switch {
		case !slices.Contains(files, file):
		case !ok:
			lines = append(lines, fmt.Sprintf("line %d: %s: there is no such mutant", e.line, e.id))
		case change != e.change:
			lines = append(lines, fmt.Sprintf("line %d: %s is now %s", e.line, e.id, change))
		}
	}
	slices.Sort(lines)
	return lines
}
