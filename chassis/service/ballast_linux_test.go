package service

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Go clears memory that had been in use before, so the ballast was resident in a process that had
// left garbage behind by then: in some starts of the orchestrator.
func TestBallast_IsNotResident(t *testing.T) { //nolint:paralleltest // it looks at the whole process
	sink = make([]byte, 2*ballastBytes)
	for i := range sink {
		sink[i] = 1
	}
	sink = nil
	runtime.GC()
	keepBallast()
	defer func() { ballast = nil }()
	require.Less(t, resident(t, ballast), ballastBytes/100)
	require.Zero(t, ballast[len(ballast)/2])
}

// resident is how many bytes of memory the system provides.
func resident(t *testing.T, memory []byte) (n int) {
	t.Helper()
	page := os.Getpagesize()
	pages := make([]byte, len(memory)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE,
		uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(unsafe.Pointer(&pages[0])))
	require.Zero(t, errno)
	for _, p := range pages {
		n += int(p&1) * page
	}
	return n
}
