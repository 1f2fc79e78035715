package procstat_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/bench/internal/procstat"
)

// burn uses some CPU time.
// burn uses so much of the processor's time, however long that takes beside other work.
func burn(much time.Duration) {
	for began := procstat.Self().CPU; procstat.Self().CPU-began < much; {
	}
}

func TestTheTimeOfChildrenIsTheirParents(t *testing.T) {
	t.Parallel()
	if !procstat.Supported {
		t.Skip("this system does not tell")
	}
	if os.Getenv("PROCSTAT_TEST_BURN") != "" {
		burn(300 * time.Millisecond)
		return
	}
	before, err := procstat.Read(os.Getpid())
	require.NoError(t, err)
	self := procstat.Self()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "PROCSTAT_TEST_BURN=1")
	require.NoError(t, child.Run())
	after, err := procstat.Read(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after.CPU-before.CPU, 100*time.Millisecond)
	require.Positive(t, self.Memory)
}

func TestAProcessThatIsGoneIsAnError(t *testing.T) {
	t.Parallel()
	if !procstat.Supported {
		t.Skip("this system does not tell")
	}
	_, err := procstat.Read(1 << 30)
	require.Error(t, err)
}
