package fastly

import "context"

// BusyKeyFile is KeyFile while another call looks at the file, until done.
func BusyKeyFile(path string) (key func(context.Context) (Secret, error), done func()) {
	f := newKeyFile(path)
	f.turn <- struct{}{}
	return f.key, func() { <-f.turn }
}
