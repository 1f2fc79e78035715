package config

import (
	"fmt"
	"log/slog"
	"reflect"
)

// mask is what is shown of a secret.
const mask = "***"

// Secret is a setting that must not be shown, such as a password or a URL with one. However it is
// printed or logged, alone or inside a struct, *** stands for it; string(s) is the value.
type Secret string

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], for JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Secrets is a list of settings that must not be shown: a [Secret] of several values.
type Secrets []string

// String implements [fmt.Stringer].
func (s Secrets) String() string {
	if len(s) == 0 {
		return ""
	}
	return mask
}

// GoString implements [fmt.GoStringer].
func (s Secrets) GoString() string { return fmt.Sprintf("%q", s.String()) }

// LogValue implements [slog.LogValuer].
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], for JSON.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// secret reports whether values of a type must not be shown.
func secret(t reflect.Type) bool {
	return t == reflect.TypeFor[Secret]() || t == reflect.TypeFor[Secrets]()
}
