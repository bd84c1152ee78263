package tolerant

import (
	"html"
	"strings"
)

// HTMLTitle returns the title of an HTML page, or what there is of it if the page was cut off; the
// page itself is no message.
func HTMLTitle(page string, cut bool) string {
	for _, tag := range []string{"title", "TITLE", "Title"} {
		_, rest, _ := strings.Cut(page, "<"+tag)
		_, rest, _ = strings.Cut(rest, ">")
		title, _, whole := strings.Cut(rest, "</"+tag)
		if whole || cut && rest != "" {
			title = html.UnescapeString(strings.ToValidUTF8(title, ""))
			return strings.Join(strings.Fields(title), " ")
		}
	}
	return ""
}
