package version_test

import (
	"fmt"

	"waybill.example/chassis/version"
)

// What is said of a program where it reports itself.
func Example() {
	fmt.Println(version.Info{Version: "v1.2.0", Commit: "4fbf927c1a0ba902b74bf92f3577b34da6a3ce92", Go: "go1.26.7", Platform: "linux/arm64"})
	// Output: v1.2.0 4fbf927c1a0b go1.26.7 linux/arm64
}
