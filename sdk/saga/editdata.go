package saga

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// patched applies a JSON merge patch to a saga's data. It returns the data as the definition would
// have written it, and what has changed, a line for each value.
func (d *Definition) patched(data, patch json.RawMessage) (json.RawMessage, []string, error) {
	before, err := decodeJSON(data)
	if err != nil {
		return nil, nil, fmt.Errorf("saga data: %w", err)
	}
	changes, err := decodeJSON(patch)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the patch: %w", ErrBadData, err)
	}
	if _, object := changes.(map[string]any); !object {
		return nil, nil, fmt.Errorf("%w: the patch must be a JSON object", ErrBadData)
	}
	merged, err := json.Marshal(mergePatch(before, changes))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadData, err)
	}
	written, err := d.strictly(merged)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadData, err)
	}
	after, err := decodeJSON(written)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadData, err)
	}
	if name, ok := unknownField("", changes, before, after); !ok {
		return nil, nil, fmt.Errorf("%w: unknown field %q", ErrBadData, name)
	}
	return written, difference("", before, after), nil
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return v, nil
}

// mergePatch is RFC 7396.
func mergePatch(target, patch any) any {
	changes, object := patch.(map[string]any)
	if !object {
		return patch
	}
	merged := map[string]any{}
	if was, ok := target.(map[string]any); ok {
		maps.Copy(merged, was)
	}
	for name, value := range changes {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = mergePatch(merged[name], value)
		}
	}
	return merged
}

// unknownField finds a name in a patch that differs from a field of the data in case alone:
// encoding/json would take it for that field. A field that is empty may be left out of the data.
func unknownField(path string, patch, before, after any) (string, bool) {
	changes, object := patch.(map[string]any)
	was, _ := before.(map[string]any)
	is, structured := after.(map[string]any)
	if !object || !structured {
		return "", true
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		_, had := was[name]
		_, has := is[name]
		if !had && !has {
			for other := range is {
				if strings.EqualFold(other, name) {
					return path + name, false
				}
			}
		}
		if field, ok := unknownField(path+name+"/", changes[name], was[name], is[name]); !ok {
			return field, false
		}
	}
	return "", true
}

// difference lists the values that differ, each by its JSON pointer (RFC 6901).
func difference(path string, before, after any) []string {
	was, object := before.(map[string]any)
	is, both := after.(map[string]any)
	if object && both {
		names := maps.Clone(was)
		maps.Copy(names, is)
		var lines []string
		for _, name := range slices.Sorted(maps.Keys(names)) {
			lines = append(lines, difference(path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), was[name], is[name])...)
		}
		return lines
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	return []string{path + ": " + brief(before) + " → " + brief(after)}
}

// brief is a value as a note shows it.
func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if runes := []rune(string(text)); len(runes) > 200 {
		return string(runes[:199]) + "…"
	}
	return string(text)
}

var errNUL = errors.New("it has the character U+0000, which Postgres cannot store")

// hasNUL says whether JSON has an escaped NUL character. A backslash before it that is escaped
// itself counts as one as well.
func hasNUL(data json.RawMessage) bool { return bytes.Contains(data, []byte("\\u0000")) }

// strictData decodes data without letting unknown fields pass, and writes it as the engine would.
func strictData[D any](raw json.RawMessage) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var d D
	if err := decoder.Decode(&d); err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

// fits says whether data can be decoded, as each function of the definition does.
func fits[D any](raw json.RawMessage) error {
	var d D
	return json.Unmarshal(raw, &d)
}
