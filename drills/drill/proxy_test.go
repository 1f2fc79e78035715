package drill

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitABit = time.Minute
	tick     = time.Millisecond
)

// echo sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return listener.Addr().String()
}

// A black hole swallows what is sent and closes nothing; healed, a new connection works.
func TestABlackHoleSwallowsAndHeals(t *testing.T) {
	t.Parallel()
	p, err := newProxy("echo", echo(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	roundTrip := func(waitTimeout time.Duration) error {
		c, err := net.Dial("tcp", p.Listen)
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(waitTimeout)))
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 1))
		return err
	}
	require.NoError(t, roundTrip(waitABit))
	for _, bad := range blackHole {
		require.NoError(t, p.poison(bad))
	}
	require.ErrorContains(t, roundTrip(200*time.Millisecond), "timeout")
	p.heal(t.Context())
	require.NoError(t, roundTrip(waitABit))
	require.Error(t, p.poison(toxic{Type: "nonsense", Stream: "upstream"}))
}
