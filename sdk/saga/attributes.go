package saga

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// AttributeValue is what a search attribute can be.
type AttributeValue interface {
	~string | ~int | ~int64 | ~bool | time.Time
}

// Attribute declares a search attribute of the sagas of a definition: value derives it from the
// saga's data. It is stored beside the saga, indexed, whenever the data changes, so that sagas can
// be listed by it. A value that is empty, zero, false or the zero time is stored like any other.
//
// Attributes can change without a new version: sagas have those that were declared when their data
// changed last.
func Attribute[D any, V AttributeValue](b *Builder[D], name string, value func(D) V) {
	a := attribute{name: name}
	if value != nil {
		a.value = func(raw json.RawMessage) (string, error) {
			var d D
			if err := json.Unmarshal(raw, &d); err != nil {
				return "", fmt.Errorf("saga data: %w", err)
			}
			return attributeText(value(d)), nil
		}
	}
	b.def.attributes = append(b.def.attributes, a)
}

// attributeText is the text that a value is stored and searched as.
func attributeText(v any) string {
	switch v := v.(type) {
	case string:
		return Text(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return Text(fmt.Sprint(v)) // a type of the definition's own that is one of these
	}
}

// AttributeNames are the names of the search attributes that the definition declares, in its order.
func (d *Definition) AttributeNames() []string {
	names := make([]string, len(d.attributes))
	for i, a := range d.attributes {
		names[i] = a.name
	}
	return names
}

// setData replaces the saga's data, and the attributes that derive from it.
func (a *application) setData(data json.RawMessage) error {
	a.state.Data = data
	if len(a.def.attributes) == 0 {
		return nil
	}
	a.attributes = make(map[string]string, len(a.def.attributes))
	for _, one := range a.def.attributes {
		value, err := one.value(data)
		if err != nil {
			return fmt.Errorf("attribute %q: %w", one.name, err)
		}
		a.attributes[one.name] = value
	}
	return nil
}
