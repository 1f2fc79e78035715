package inbox

import (
	"strings"
	"unicode/utf8"
)

// storable says whether Postgres can hold s as text: UTF-8 without a NUL.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// text makes s storable.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
