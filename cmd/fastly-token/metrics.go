package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fastly-tokens/fastly"
)

// writeMetrics writes the tokens in the OpenMetrics text format
// (https://github.com/prometheus/OpenMetrics).
func (au *audit) writeMetrics(tokens []fastly.TokenResponse) error {
	now := au.now()
	var b bytes.Buffer
	metric := func(name, unit, help string, value func(t *fastly.TokenResponse) (float64, bool)) {
		fmt.Fprintf(&b, "# TYPE %s gauge\n# UNIT %s %s\n# HELP %s %s\n", name, name, unit, name, help)
		for i := range tokens {
			t := &tokens[i]
			if v, ok := value(t); ok && t.DeletedAt.IsZero() {
				fmt.Fprintf(&b, "%s{id=%s,name=%s,user=%s} %s\n", name, label(t.ID), label(t.Name), label(t.UserID), strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
	}
	metric("fastly_token_expiry_seconds", "seconds", "Time until the token expires; absent if it never does.", func(t *fastly.TokenResponse) (float64, bool) {
		return t.ExpiresAt.Sub(now).Round(1e9).Seconds(), !t.ExpiresAt.IsZero()
	})
	metric("fastly_token_unused_days", "days", "Time since the token was last used; absent if it never was.", func(t *fastly.TokenResponse) (float64, bool) {
		return float64(now.Sub(t.LastUsedAt).Milliseconds()*1000/day.Milliseconds()) / 1000, !t.LastUsedAt.IsZero()
	})
	b.WriteString("# EOF\n")
	if au.out == "" {
		return au.print(b.String())
	}
	return replaceFile(au.out, b.Bytes(), 0o644)
}

// label is the value of a label, in quotes.
func label(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(escape(text)) + `"`
}

// replaceFile replaces a file atomically.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() { // not /dev/null, of all files
		return usagef("--out: %q is not a regular file", path)
	}
	// Not ending in .prom: the collector must not see it.
	temp, err := os.CreateTemp(filepath.Dir(path), ".fastly-token-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already, if all went well
	_, err = temp.Write(content)
	if chmodErr := temp.Chmod(mode); err == nil {
		err = chmodErr
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
