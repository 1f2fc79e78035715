package app

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"waybill.example/outbox-relay/internal/relay"
)

// A pattern is a topic's name, or begins or ends with a star.
var topicPattern = regexp.MustCompile(`^(\*|\*?[a-zA-Z0-9._-]{1,249}|[a-zA-Z0-9._-]{1,249}\*)$`)

const topicsForm = "RELAY_TOPICS must list name=topic|topic, separated by commas, semicolons or white space, " +
	"where a topic may begin or end with * for any characters"

// topics returns which topics rows of each database may be for, nil where RELAY_TOPICS is not set.
// Once it is, every database has to be in it: one that was forgotten would be the one that may
// write anywhere.
func (c Config) topics() (allowed map[string]relay.Topics, faults []error) {
	entries := strings.FieldsFunc(c.Topics, func(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) })
	if len(entries) == 0 {
		return nil, nil
	}
	pairs, _ := c.Databases.Entries() // whose faults are its own
	var names []string
	for _, db := range pairs {
		names = append(names, db.Name)
	}
	allowed = map[string]relay.Topics{}
	for _, entry := range entries {
		name, list, found := strings.Cut(entry, "=")
		patterns := strings.Split(list, "|")
		bad := slices.IndexFunc(patterns, func(p string) bool { return !topicPattern.MatchString(p) })
		switch _, twice := allowed[name]; {
		case !found || name == "":
			faults = append(faults, fmt.Errorf("%s; %q is not of that form", topicsForm, entry))
			continue
		case bad >= 0:
			faults = append(faults, fmt.Errorf("%s; %q of %s is no topic", topicsForm, patterns[bad], name))
		case twice:
			faults = append(faults, fmt.Errorf("RELAY_TOPICS names %s twice", name))
		case !slices.Contains(names, name):
			faults = append(faults, fmt.Errorf("RELAY_TOPICS names %s, which RELAY_DATABASES does not", name))
		}
		allowed[name] = patterns
	}
	for _, name := range names {
		if _, ok := allowed[name]; !ok {
			faults = append(faults, fmt.Errorf("RELAY_TOPICS does not name %s; %s=* allows it every topic", name, name))
		}
	}
	return allowed, faults
}
