package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// named names the variable in an error that names the field of a struct, which operators do not
// know.
func named(problem error, t reflect.Type, environment map[string]string) error {
	parse, ok := errors.AsType[env.ParseError](problem)
	if !ok {
		return problem
	}
	names := variables(t, "", parse, environment)
	if len(names) == 0 {
		return problem
	}
	return fmt.Errorf("%s: %w", strings.Join(names, " or "), parse.Err)
}

// variables are those that are set and whose fields the error may be about: fields of several
// structs can have one name.
func variables(t reflect.Type, prefix string, of env.ParseError, environment map[string]string) (names []string) {
	for field := range t.Fields() {
		name, inside := variable(field, prefix)
		switch {
		case name == "" && field.Type.Kind() == reflect.Struct:
			names = append(names, variables(field.Type, inside, of, environment)...)
		case field.Name == of.Name && field.Type == of.Type && environment[name] != "":
			names = append(names, name)
		}
	}
	return names
}
