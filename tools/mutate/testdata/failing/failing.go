// Package failing has a test that fails as it is.
package failing

func yes() bool { return false }
