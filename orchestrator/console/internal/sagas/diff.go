package sagas

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// change is a value of a saga's data that differs.
type change struct {
	Path          string // a JSON pointer (RFC 6901)
	Before, After string // JSON; empty: there is none
}

// changes lists what differs between two JSON documents, by path. Numbers are compared as they are
// written: none is too large.
func changes(before, after json.RawMessage) []change {
	was, hadAny := decoded(before)
	is, hasAny := decoded(after)
	if !hadAny {
		was = map[string]any{}
	}
	if !hasAny {
		is = map[string]any{}
	}
	return differ("", was, is)
}

func decoded(raw json.RawMessage) (any, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	return v, decoder.Decode(&v) == nil
}

type absent struct{}

func differ(path string, before, after any) []change {
	was, object := before.(map[string]any)
	is, both := after.(map[string]any)
	switch {
	case object && both:
		names := maps.Clone(was)
		maps.Copy(names, is)
		var all []change
		for _, name := range slices.Sorted(maps.Keys(names)) {
			all = append(all, differ(path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), value(was, name), value(is, name))...)
		}
		return all
	case reflect.DeepEqual(before, after):
		return nil
	}
	return []change{{path, written(before), written(after)}}
}

func value(object map[string]any, name string) any {
	if v, ok := object[name]; ok {
		return v
	}
	return absent{}
}

// written is a value as JSON.
func written(v any) string {
	if _, none := v.(absent); none {
		return ""
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // it was decoded a moment ago
	return strings.TrimSpace(b.String())
}
