package service

import "runtime/debug"

// version is the version of the main module: a tag, or for other builds from a repository a
// pseudo-version with the commit and +dirty if files were changed.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
