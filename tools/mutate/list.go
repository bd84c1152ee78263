package main

import (
	"fmt"
	"os"
	"strings"
)

// equivalent is a listed mutant, which changes no behavior.
type equivalent struct {
	id, change, reason string
	line               int
}

// readList reads a list of equivalent mutants: a line for each, ID | change |
// reason. Empty lines and those that begin with # are comments.
func readList(path string) (map[string]equivalent, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list := map[string]equivalent{}
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

func (m *mutant) isListed(list map[string]equivalent) bool {
	e, ok := list[m.id]
	return ok && e.change == m.change()
}

// stale returns a line for each entry that matches no mutant of the files, because
// its ID now belongs to another change or to none.
func stale(list map[string]equivalent, mutants []*mutant, files []string) []string {
	changes := map[string]string{}
	for _, m := range mutants {
		changes[m.id] = m.change()
	}
	looked := map[string]bool{}
	for _, name := range files {
		looked[name] = true
	}
	var lines []string
	for _, e := range list {
		file, _, _ := strings.Cut(e.id, ":")
		change, ok := changes[e.id]
		switch {
		case !looked[file]:
		case !ok:
			lines = append(lines, fmt.Sprintf("line %d: %s: there is no such mutant", e.line, e.id))
		case change != e.change:
			lines = append(lines, fmt.Sprintf("line %d: %s is now %s", e.line, e.id, change))
		}
	}
	return lines
}
