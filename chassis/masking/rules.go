package masking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"

	"waybill.example/chassis/admin"
	"waybill.example/sdk/inbox"
)

// Config is what can be set.
type Config struct {
	// File has the rules; empty: there are none, and nothing is hidden.
	File string `env:"PAYLOAD_MASKS"`
}

// Validate implements config.Validator.
func (c Config) Validate() []error {
	if _, err := c.Load(); err != nil {
		return []error{err}
	}
	return nil
}

// Load reads the rules, nil where there are none.
func (c Config) Load() (*Rules, error) {
	if c.File == "" {
		return nil, nil //nolint:nilnil // no rules hide nothing
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return nil, fmt.Errorf("PAYLOAD_MASKS: %w", err)
	}
	rules, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("PAYLOAD_MASKS: %s: %w", c.File, err)
	}
	return rules, nil
}

// Rules say what is hidden from whom. They are not changed, and safe for concurrent use; nil ones
// hide nothing.
type Rules struct {
	rules []rule
	// audited are those of sagas, for the entries of an audit log, which have the data one level
	// further down.
	audited *Rules
}

// rule is about the messages of topics or about the sagas of definitions, by pattern.
type rule struct {
	topic, kind, saga string
	clear             admin.Role // the least that sees it all
	paths             []*spec.PathQuery
}

// file is the file of rules.
type file struct {
	Rules []struct {
		Topic string   `json:"topic"`
		Type  string   `json:"type"`
		Saga  string   `json:"saga"`
		Paths []string `json:"paths"`
		Clear string   `json:"clear"`
	} `json:"rules"`
}

// Parse reads rules. The error says which of them is wrong, and how: a rule that is not understood
// would hide nothing.
func Parse(text []byte) (*Rules, error) {
	var f file
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("it is no file of rules: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("it has more than one JSON value")
	}
	if len(f.Rules) == 0 {
		return nil, errors.New(`it has no "rules"; leave the setting out to hide nothing`)
	}
	rules := &Rules{}
	for i, from := range f.Rules {
		one := rule{topic: from.Topic, kind: from.Type, saga: from.Saga, clear: admin.Admin}
		err := one.check()
		if err == nil && from.Clear != "" {
			one.clear, err = admin.ParseRole(from.Clear)
		}
		if err == nil {
			one.paths, err = parsePaths(from.Paths)
		}
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		rules.rules = append(rules.rules, one)
	}
	rules.audited = rules.below("$.data")
	return rules, nil
}

func (r *rule) check() error {
	switch {
	case (r.topic == "") == (r.saga == ""):
		return errors.New(`say one of "topic" and "saga"`)
	case r.saga != "" && r.kind != "":
		return errors.New(`"type" is of the messages of a topic, and means nothing with "saga"`)
	}
	if _, err := path.Match(r.topic+r.saga, ""); err != nil {
		return fmt.Errorf("%q is no pattern: %w", r.topic+r.saga, err)
	}
	return nil
}

func parsePaths(texts []string) (paths []*spec.PathQuery, err error) {
	if len(texts) == 0 {
		return nil, errors.New(`it has no "paths"`)
	}
	for _, text := range texts {
		parsed, err := jsonpath.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		for _, segment := range parsed.Query().Segments() {
			for _, selector := range segment.Selectors() {
				if _, filters := selector.(*spec.FilterSelector); filters {
					return nil, fmt.Errorf("%q has a filter: what is hidden must not depend on what a message says of itself", text)
				}
			}
		}
		paths = append(paths, parsed.Query())
	}
	return paths, nil
}

// ofMessage reports whether a rule is about a message, or about the dead letters of its topic.
func (r *rule) ofMessage(topic, kind string) bool {
	if r.topic == "" || r.kind != "" && kind != "" && !strings.EqualFold(r.kind, kind) {
		return false
	}
	return matches(r.topic, topic) || matches(r.topic, strings.TrimSuffix(topic, inbox.DeadLetterTopic(""))) ||
		topic == inbox.DeadLetterTopic(r.topic) // a long topic's is no longer its name and a suffix
}

func (r *rule) ofSaga(definition string) bool { return r.saga != "" && matches(r.saga, definition) }

// unslashed has a * match all of a name, which path.Match splits at slashes.
var unslashed = strings.NewReplacer("/", "_")

// matches is true where it cannot be known: the pattern was looked at before.
func matches(pattern, name string) bool {
	found, err := path.Match(unslashed.Replace(pattern), unslashed.Replace(name))
	return found || err != nil
}
