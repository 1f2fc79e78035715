//go:build !linux

package procstat

// Supported says that this system does not tell: figures of CPU and memory are left out.
const Supported = false

// Read returns nothing.
func Read(int) (Usage, error) { return Usage{}, nil }

// Self returns nothing.
func Self() Usage { return Usage{} }

// Switches returns 0.
func Switches(int) int64 { return 0 }
