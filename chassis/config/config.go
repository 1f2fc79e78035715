// Package config reads a service's settings from the environment into a struct, and reports every
// fault in them at once.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Validator is implemented by a config struct, or by a struct inside one, whose values need a
// closer look than their types give. It returns every fault.
type Validator interface{ Validate() []error }

// Load fills cfg, a pointer to a struct with env tags (see caarlos0/env), from the environment. A
// field whose variable is unset and has no envDefault keeps its value. The error lists every fault, a line each.
func Load(cfg any) error {
	var faults []error
	if err := env.Parse(cfg); err != nil {
		var many env.AggregateError
		if !errors.As(err, &many) {
			return fmt.Errorf("read settings: %w", err)
		}
		faults = append(faults, many.Errors...)
	}
	faults = append(faults, validate(reflect.ValueOf(cfg).Elem())...)
	if len(faults) == 0 {
		return nil
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = "  " + f.Error()
	}
	return fmt.Errorf("these settings are at fault:\n%s", strings.Join(lines, "\n"))
}

func validate(v reflect.Value) []error {
	var faults []error
	if validator, ok := reflect.TypeAssert[Validator](v); ok {
		faults = append(faults, validator.Validate()...)
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct && v.Type().Field(i).IsExported() {
			faults = append(faults, validate(f)...)
		}
	}
	return faults
}

// Masked returns the settings as name=value pairs for the log, by the variables' names. Values of
// fields tagged secret:"true" are shown as *** where they are set.
func Masked(cfg any) []any {
	var out []any
	walk(reflect.Indirect(reflect.ValueOf(cfg)), &out)
	return out
}

func walk(v reflect.Value, out *[]any) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		switch {
		case !field.IsExported():
		case name == "" && value.Kind() == reflect.Struct:
			walk(value, out)
		case name == "":
		case field.Tag.Get("secret") == "true" && !value.IsZero():
			*out = append(*out, strings.ToLower(name), "***")
		default:
			*out = append(*out, strings.ToLower(name), fmt.Sprint(value.Interface()))
		}
	}
}
