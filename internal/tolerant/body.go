package tolerant

import (
	"bytes"
	"compress/gzip"
	"io"
)

const maxPacked = 64 << 20 // bytes, which may stand for nothing

// Body returns the body of a response without compression and byte order mark, which something on
// the way may have added, whatever was asked for and whatever the header says.
func Body(r io.ReadCloser) io.ReadCloser { return &body{ReadCloser: r} }

type body struct {
	io.ReadCloser
	reader io.Reader // nil until the first read
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.reader != nil {
		return b.reader.Read(p)
	}
	b.reader = b.ReadCloser
	n, err = readStart(b.reader, p)
	if bytes.HasPrefix(p[:n], []byte("\x1f\x8b")) { // RFC 1952, section 2.3.1
		packed := io.MultiReader(bytes.NewReader(bytes.Clone(p[:n])), b.ReadCloser)
		b.reader, err = gzip.NewReader(io.LimitReader(packed, maxPacked))
		if err != nil {
			b.reader = nil
			return 0, err
		}
		n, err = readStart(b.reader, p)
	}
	if bytes.HasPrefix(p[:n], []byte("\ufeff")) {
		n = copy(p, p[len("\ufeff"):n])
	}
	return n, err
}

// readStart reads enough to tell what a body begins with.
func readStart(r io.Reader, p []byte) (n int, err error) {
	for n < min(len("\ufeff"), len(p)) && err == nil {
		var more int
		more, err = r.Read(p[n:])
		n += more
	}
	return n, err
}
