// Package config reads a service's settings from the environment into a struct, and reports every
// problem with them at once.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Validator is implemented by a config struct, or by a struct inside one, whose values need a
// closer look than their types give. It returns every problem.
type Validator interface{ Validate() []error }

// ErrInvalid is wrapped by every error of [Load].
var ErrInvalid = errors.New("invalid configuration")

// Load fills cfg, a pointer to a struct with env tags (see caarlos0/env), from the environment. A
// field whose variable is unset and has no envDefault keeps its value. A [Secret] may be in a file,
// which the variable with _FILE appended to its name names, as is usual in containers; those of
// [Secrets] may be on a line each. The error lists every problem, a line each.
func Load(cfg any) error {
	environment := env.ToMap(os.Environ())
	problems := readFiles(reflect.ValueOf(cfg).Elem().Type(), "", environment)
	if err := env.ParseWithOptions(cfg, env.Options{Environment: environment}); err != nil {
		var many env.AggregateError
		if !errors.As(err, &many) {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		for _, problem := range many.Errors {
			problems = append(problems, named(problem, reflect.TypeOf(cfg).Elem(), environment))
		}
	}
	problems = append(problems, validate(reflect.ValueOf(cfg).Elem())...)
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = "  " + p.Error()
	}
	return fmt.Errorf("%w:\n%s", ErrInvalid, strings.Join(lines, "\n"))
}

// variable returns the name of the environment variable that sets a field of a struct whose own
// fields have this prefix; "" where none does. A struct inside has settings of its own, whose names
// begin with the prefix that inside returns.
func variable(field reflect.StructField, prefix string) (name, inside string) {
	if name, _, _ = strings.Cut(field.Tag.Get("env"), ","); name != "" {
		name = prefix + name
	}
	return name, prefix + field.Tag.Get("envPrefix")
}

// readFiles puts what the files of secrets hold into the environment.
func readFiles(t reflect.Type, prefix string, environment map[string]string) (problems []error) {
	for field := range t.Fields() {
		name, inside := variable(field, prefix)
		if name == "" && field.Type.Kind() == reflect.Struct {
			problems = append(problems, readFiles(field.Type, inside, environment)...)
		}
		path := environment[name+"_FILE"]
		if name == "" || !secret(field.Type) || path == "" {
			continue
		}
		text, err := readFile(path)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s_FILE: %w", name, err))
		case environment[name] != "":
			problems = append(problems, fmt.Errorf("%s and %s_FILE are both set", name, name))
		case field.Type == reflect.TypeFor[Secrets]():
			environment[name] = strings.Join(Pairs(text), ",")
		default:
			environment[name] = text
		}
	}
	return problems
}

func validate(v reflect.Value) []error {
	var problems []error
	if validator, ok := reflect.TypeAssert[Validator](v); ok {
		problems = append(problems, validator.Validate()...)
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct && v.Type().Field(i).IsExported() {
			problems = append(problems, validate(f)...)
		}
	}
	return problems
}

// Cautioner is implemented by a config struct, or by a struct inside one, whose values can be meant
// but are not safe everywhere. It returns what an operator should know.
type Cautioner interface{ Cautions() []string }

// Announce logs that a process starts, with the settings that its environment has, masked, and at
// debug with those that it leaves as they are: dozens, among which nobody would find the others. It
// warns of settings that are not safe.
func Announce(log *slog.Logger, cfg any) {
	var given, defaults []any
	for setting := range slices.Chunk(Masked(cfg), 2) {
		name := strings.ToUpper(setting[0].(string))
		_, is := os.LookupEnv(name)
		_, inFile := os.LookupEnv(name + "_FILE")
		if is || inFile {
			given = append(given, setting...)
		} else {
			defaults = append(defaults, setting...)
		}
	}
	log.Info("starting", given...)
	log.Debug("settings by default", defaults...)
	for _, caution := range cautions(reflect.Indirect(reflect.ValueOf(cfg))) {
		log.Warn("a setting is not safe", "caution", caution)
	}
}

func cautions(v reflect.Value) []string {
	var found []string
	if c, ok := reflect.TypeAssert[Cautioner](v); ok {
		found = append(found, c.Cautions()...)
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct && v.Type().Field(i).IsExported() {
			found = append(found, cautions(f)...)
		}
	}
	return found
}

// Masked returns the settings as name=value pairs for the log, by the variables' names. A [Secret]
// is shown as *** where it is set, and so is what precedes the @ of any URL.
func Masked(cfg any) []any {
	var out []any
	walk(reflect.Indirect(reflect.ValueOf(cfg)), "", &out)
	return out
}

// credentials is the part of a URL that says who.
var credentials = regexp.MustCompile(`://[^/?#\s,]*@`)

func walk(v reflect.Value, prefix string, out *[]any) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, inside := variable(field, prefix)
		switch {
		case !field.IsExported():
		case name == "" && value.Kind() == reflect.Struct:
			walk(value, inside, out)
		case name == "":
		default:
			*out = append(*out, strings.ToLower(name), credentials.ReplaceAllString(fmt.Sprint(value.Interface()), "://***@"))
		}
	}
}
