// Package loopback names ports on this machine's loopback interface, the only
// one that the development stack listens on.
package loopback

import (
	"fmt"
	"net"
	"strconv"
)

// Addr returns host:port for a port.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// FreePort returns a TCP port that nobody listens on just now. Somebody may
// before the caller does.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", Addr(0))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
