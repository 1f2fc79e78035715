package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// breaks lists what of messages that adhere to the schema was would not adhere to the schema is: a
// consumer of today has to read what a producer of yesterday has sent, and what lies on the topics.
// It knows the keywords of JSON Schema that the contracts use; of any other it only says that it
// has changed.
func breaks(was, is any, at string) (found []string) {
	broken := func(format string, args ...any) {
		found = append(found, cmp.Or(at, "the message")+": "+fmt.Sprintf(format, args...))
	}
	before, ok := was.(map[string]any)
	after, ok2 := is.(map[string]any)
	if !ok || !ok2 {
		if !reflect.DeepEqual(was, is) {
			broken("changed from %s to %s", text(was), text(is))
		}
		return found
	}
	for _, keyword := range slices.Sorted(maps.Keys(union(before, after))) {
		old, had := before[keyword]
		now, has := after[keyword]
		switch keyword {
		case "$schema", "$id", "title", "description", "examples", "default", "$comment", "deprecated":
		case "properties":
			found = append(found, properties(old, now, at)...)
		case "items":
			switch {
			case has && !had:
				broken("items have a schema now")
			case has:
				found = append(found, breaks(old, now, at+"[]")...)
			}
		case "required":
			for _, name := range strs(now) {
				if !slices.Contains(strs(old), name) {
					broken("%q is required now", name)
				}
			}
		case "enum":
			for _, value := range list(old) {
				if has && !slices.ContainsFunc(list(now), func(v any) bool { return reflect.DeepEqual(v, value) }) {
					broken("%s is not allowed any more", text(value))
				}
			}
			if has && !had {
				broken("only some values are allowed now")
			}
		case "minimum", "minLength", "minItems", "minProperties", "exclusiveMinimum":
			if has && (!had || number(now) > number(old)) {
				broken("%s was %s and is %s", keyword, text(old), text(now))
			}
		case "maximum", "maxLength", "maxItems", "maxProperties", "exclusiveMaximum":
			if has && (!had || number(now) < number(old)) {
				broken("%s was %s and is %s", keyword, text(old), text(now))
			}
		default: // type, const, format, pattern, additionalProperties, oneOf and the like
			if has && !reflect.DeepEqual(old, now) {
				broken("%s was %s and is %s", keyword, text(old), text(now))
			}
		}
	}
	return found
}

// properties compares those that messages may have had. One that is new may not have a type other
// than older messages have it with, which did not have it; one that is gone is not looked at.
func properties(was, is any, at string) (found []string) {
	before, _ := was.(map[string]any)
	after, _ := is.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now, has := after[name]; has {
			found = append(found, breaks(before[name], now, strings.TrimPrefix(at+"."+name, "."))...)
		}
	}
	return found
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func list(v any) []any { l, _ := v.([]any); return l }

func strs(v any) (all []string) {
	for _, s := range list(v) {
		name, _ := s.(string)
		all = append(all, name)
	}
	return all
}

func number(v any) float64 { n, _ := v.(float64); return n }

func text(v any) string {
	if v == nil {
		return "absent"
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(encoded)
}
