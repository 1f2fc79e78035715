// Package loopback names ports on this machine's loopback interface, the only
// one that the development stack listens on.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Addr returns host:port for a port.
func Addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// The ports that are given out lie below those that a kernel takes for connections and for who
// listens on any port: one of those could be taken from a server while it is restarted, and a
// client that tries again and again to reach it could be connected with itself.
const (
	lowest = 20_000
	count  = 10_000
)

var (
	origin = rand.Uint32N(count) // so that processes begin apart
	given  atomic.Uint32
)

// FreePort returns a TCP port that nobody listens on just now, and that this process is not given
// again soon. Another one may take it before the caller does.
func FreePort() (int, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreePorts returns several ports, as FreePort does, no two of them the same.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	var taken error
	for range count {
		if len(ports) == n {
			return ports, nil
		}
		port := lowest + int((origin+given.Add(1))%count)
		listener, err := net.Listen("tcp", Addr(port))
		if err != nil {
			taken = err
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find %d free ports: %w", n, taken)
}
