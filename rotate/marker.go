package rotate

import (
	"crypto/rand"
	"regexp"
	"strings"
)

// maxName is in bytes, and a common size of database columns: the API documents no limit.
const maxName = 255

const markerLetters = 10

// marker has 50 random bits, enough to tell the at most 100 tokens of a user apart.
var marker = regexp.MustCompile(` ?\[r-[A-Z2-7]{10}\]$`)

// BaseName returns a token's name without the marker that this package puts at its end. A name
// without a marker is returned as it is.
func BaseName(name string) string { return marker.ReplaceAllString(name, "") }

// mark returns the name with a new marker, truncated if that makes it too long.
func mark(name string) string {
	suffix := "[r-" + rand.Text()[:markerLetters] + "]"
	name = base(name)
	if name == "" {
		return suffix
	}
	return name + " " + suffix
}

// base returns what mark keeps of a name.
func base(name string) string {
	name = BaseName(name)
	if cut := maxName - len(" [r-]") - markerLetters; len(name) > cut {
		name = strings.ToValidUTF8(name[:cut], "") // no part of a character
	}
	return name
}
