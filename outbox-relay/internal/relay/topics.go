package relay

import "strings"

// Topics are the topics that rows of a database may be for: names, and patterns that begin or end
// with a star, which stands for any characters.
type Topics []string

// Allow says whether rows may be for a topic. Nil allows every one.
func (t Topics) Allow(topic string) bool {
	if t == nil {
		return true
	}
	for _, pattern := range t {
		switch {
		case strings.HasPrefix(pattern, "*"):
			if strings.HasSuffix(topic, pattern[1:]) {
				return true
			}
		case strings.HasSuffix(pattern, "*"):
			if strings.HasPrefix(topic, pattern[:len(pattern)-1]) {
				return true
			}
		case pattern == topic:
			return true
		}
	}
	return false
}
