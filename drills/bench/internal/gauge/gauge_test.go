package gauge_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/bench/internal/gauge"
)

// burn uses some CPU time.
func burn(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func TestTheTimeOfChildrenIsTheirParents(t *testing.T) {
	t.Parallel()
	if !gauge.Supported {
		t.Skip("this system does not tell")
	}
	if os.Getenv("GAUGE_TEST_BURN") != "" {
		burn(300 * time.Millisecond)
		return
	}
	before, err := gauge.Read(os.Getpid())
	require.NoError(t, err)
	self := gauge.Self()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "GAUGE_TEST_BURN=1")
	require.NoError(t, child.Run())
	after, err := gauge.Read(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after.CPU-before.CPU, 100*time.Millisecond)
	require.Positive(t, self.Memory)
}

func TestAProcessThatIsGoneIsAnError(t *testing.T) {
	t.Parallel()
	if !gauge.Supported {
		t.Skip("this system does not tell")
	}
	_, err := gauge.Read(1 << 30)
	require.Error(t, err)
}
