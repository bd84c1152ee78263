package rotate

import "github.com/fastly-tokens/fastly/internal/atomicfile"

// FaultyFileJournal is FileJournal with a fault before operations on the disk.
func FaultyFileJournal(path string, fault func(operation string) error) Journal {
	return &fileJournal{path: path, disk: atomicfile.Disk{Fault: fault}}
}

// FaultyWriteFile is WriteFile with a fault before operations on the disk.
func FaultyWriteFile(path string, fault func(operation string) error) Handover {
	return writeFile(atomicfile.Disk{Fault: fault}, path)
}
