package fastly

import "context"

// BusyKeyFile is KeyFile while another call looks at the file, until done.
func BusyKeyFile(path string) (key func(context.Context) (Secret, error), done func()) {
	f := &keyFile{path: path, turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	return f.key, func() { <-f.turn }
}
