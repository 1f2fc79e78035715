package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARunEndsWithTheCountOfEachFault(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), options{Seeds: 20, Orders: 20}, &out, io.Discard))
	require.Regexp(t, `^20 seeds, \d+ orders: \d+ confirmed, \d+ cancelled, every promise held`, out.String())
	require.Regexp(t, `(?m)^ +\d+ +messages lost$`, out.String())
}

func TestABrokenPromiseIsShownWithWhatLedToItAndHowToSeeItAgain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(t.Context(), options{Seeds: 200, Orders: 20, Bug: "release-is-forgotten"}, &out, io.Discard)
	require.ErrorIs(t, err, errBroken)
	require.Contains(t, out.String(), "VIOLATION")
	require.Contains(t, out.String(), "its items are still reserved")
	require.Regexp(t, `simulate --from \d+ --seeds 1 --bug release-is-forgotten --orders 20 --trace`, out.String())
}

func TestARunStopsWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), options{Seeds: 1 << 40, Orders: 20, For: 200 * time.Millisecond}, &out, io.Discard))
	require.Contains(t, out.String(), "every promise held")
}
