package terminal

import "strings"

// Wrap breaks lines between words. Lines of a paragraph are joined before. A line that begins
// with spaces is an item: what follows its first gap of several spaces is its description, which
// goes on in lines as far to the right.
func Wrap(text string, width int) string {
	var lines []string
	var head string // of the item: what is before its description
	var words []string
	flush := func() {
		if head != "" || len(words) > 0 {
			lines = append(lines, fill(head, words, width)...)
		}
		head, words = "", nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		content := strings.TrimLeft(line, " ")
		indent := len(line) - len(content)
		switch {
		case content == "":
			flush()
			lines = append(lines, "")
			continue
		case len(words) == 0 || indent != len(head):
			flush()
			head = line[:indent]
			if gap := strings.Index(content, "  "); indent > 0 && gap > 0 {
				content = strings.TrimLeft(content[gap:], " ")
				head = line[:len(line)-len(content)]
			}
		}
		words = append(words, strings.Fields(content)...)
	}
	flush()
	return strings.Join(lines, "\n")
}

// fill returns the lines of one paragraph or item.
func fill(head string, words []string, width int) (lines []string) {
	line, rest := head, strings.Repeat(" ", len(head))
	if strings.TrimSpace(head) == "" {
		rest = head + strings.Repeat(" ", min(len(head), 4)) // the usage, if it has several lines
	} else if len(head) > width/2 {
		lines = append(lines, strings.TrimRight(head, " "))
		indent := len(head) - len(strings.TrimLeft(head, " "))
		rest = strings.Repeat(" ", indent+4)
		line = rest
	}
	empty := true
	for _, word := range words {
		if !empty && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return append(lines, line)
}

// WrapCommands breaks command lines so that a shell still understands them.
func WrapCommands(text string, width int) string {
	var b strings.Builder
	for command := range strings.SplitSeq(text, "\n") {
		lines := fill("  ", strings.Fields(command), width-len(` \`))
		b.WriteString(strings.Join(lines, " \\\n") + "\n")
	}
	return b.String()
}
