package service

import (
	"os"

	"github.com/alecthomas/kong"
)

// Command is the main function of a command that is no service: it runs the verb that the command
// line names and exits with the status of a service. The verbs are a pointer to a struct for kong;
// their Run methods may take what those of [Main] do.
func Command(name, description string, verbs any, options ...kong.Option) {
	var version struct {
		Version kong.VersionFlag `help:"Say what was built, and stop."`
	}
	os.Exit(runVerb(name, description, &version, append(options, kong.Embed(verbs))...))
}
