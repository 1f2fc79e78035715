package loopback_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
)

// No port is in the range from which a kernel allocates, in use, or allocated twice.
func TestFreePorts_AreNotThoseThatTheKernelHandsOut(t *testing.T) {
	t.Parallel()
	ports, err := loopback.FreePorts(50)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, port := range ports {
		require.False(t, seen[port])
		seen[port] = true
		require.Less(t, port, 32_768, "where Linux begins; others begin at 49,152")
		listener, err := net.Listen("tcp", loopback.Addr(port))
		require.NoError(t, err)
		t.Cleanup(func() { listener.Close() })
	}
	for range 50 {
		port, err := loopback.FreePort()
		require.NoError(t, err)
		require.False(t, seen[port])
		seen[port] = true
	}
}
