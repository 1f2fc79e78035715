package kafka_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/kafka"
)

// logins records what a client was given.
type logins struct {
	mu  sync.Mutex
	all []string
}

func (l *logins) SetSaslCredentials(username, password string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, username+":"+password)
	return nil
}

func (l *logins) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return ""
	}
	return l.all[len(l.all)-1]
}

// A client is given the password of the file when that changes, and one that is made then has it at
// once. What is no password logs nobody out.
func TestConfig_AClientFollowsThePasswordInItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("first\n")
	t.Setenv("KAFKA_SASL_PASSWORD_FILE", file)
	t.Setenv("KAFKA_SASL_USERNAME", "orders")
	t.Setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
	var c kafka.Config
	require.NoError(t, config.Load(&c))
	client, fixed := &logins{}, &logins{}
	stop := c.FollowLogin(client)
	stopFixed := c.LoginAs("relay-orders", "own").FollowLogin(fixed)

	write("second\n")
	require.Eventually(t, func() bool { return client.last() == "orders:second" }, 30*time.Second, 20*time.Millisecond)
	password, err := c.ProducerConfig("x", nil).Get("sasl.password", "")
	require.NoError(t, err)
	require.Equal(t, "second", password)
	write("")
	write("third")
	require.Eventually(t, func() bool { return client.last() == "orders:third" }, 30*time.Second, 20*time.Millisecond)
	stop()
	stop()
	stopFixed()
	require.Empty(t, fixed.last(), "a login of its own is none of this file's")
	for _, password := range client.all {
		require.NotEqual(t, "orders:", password)
	}
}
