package exitstatus_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/exitstatus"
)

func TestOf(t *testing.T) {
	t.Parallel()
	var grammar struct {
		Name string `arg:""`
	}
	_, usage := kong.Must(&grammar).Parse(nil)
	require.Error(t, usage)
	require.Equal(t, exitstatus.Usage, exitstatus.Of(fmt.Errorf("devstack: %w", usage)))
	require.Equal(t, exitstatus.Failed, exitstatus.Of(errors.New("it went wrong")))
	require.Zero(t, exitstatus.Of(nil))
}
