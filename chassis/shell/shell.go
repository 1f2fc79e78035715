// Package shell writes commands that people paste into a shell. What stands in a row or a message
// was written by others, so every argument is quoted, and nobody else joins words to a line.
package shell

import (
	"fmt"
	"strings"

	"waybill.example/chassis/terminal"
)

// Command returns the words as one line that a POSIX shell (and bash, zsh) takes for exactly these
// words. It refuses a word that is not plain text: a terminal may act on a control character before
// the shell sees it, and nobody can read what they are about to paste.
func Command(words ...string) (string, error) {
	quoted := make([]string, len(words))
	for i, word := range words {
		var err error
		if quoted[i], err = Quote(word); err != nil {
			return "", err
		}
	}
	return strings.Join(quoted, " "), nil
}

// Quote returns one word, in single quotes unless all shells take it as it is.
func Quote(word string) (string, error) {
	switch {
	case !terminal.Plain(word):
		return "", fmt.Errorf("a command with control characters in it: %s", terminal.Clean(word))
	case bare(word):
		return word, nil
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'", nil
}

// bare reports whether no shell gives any character of the word a meaning.
func bare(word string) bool {
	special := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:,@%+", r)
	}
	// An option with its value, --topic=orders.v1, is the one place where = is a character as
	// others.
	if name, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "--") {
		word = name + value
	}
	return word != "" && !strings.ContainsFunc(word, special)
}
