package terminal

import (
	"io"
	"os"
)

// Screen reports whether w is a terminal that takes escape sequences, so that what is there can be
// drawn again.
func Screen(w io.Writer) bool {
	file, ok := w.(*os.File)
	if kind := os.Getenv("TERM"); !ok || kind == "" || kind == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Coloured reports whether w is a [Screen] whose user has not asked for text without colours
// (https://no-color.org).
func Coloured(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Screen(w) }
