package tempdir_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/tempdir"
)

// TestMain is also the process that is killed: it makes a directory, and hangs.
func TestMain(m *testing.M) {
	if os.Getenv("TEMPDIR_TEST_HANG") == "" {
		os.Exit(m.Run())
	}
	dir, _, err := tempdir.Make("test")
	if err != nil {
		panic(err)
	}
	fmt.Println(dir)
	select {}
}

func TestMake_RemovesWhatAKilledProcessHasLeftAndNothingElse(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	own, remove, err := tempdir.Make("test")
	require.NoError(t, err)
	info, err := os.Stat(own)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	stranger := filepath.Join(os.TempDir(), "waybill-test-stranger") // nobody has locked it ever
	require.NoError(t, os.Mkdir(stranger, 0o700))
	other, removeOther, err := tempdir.Make("other")
	require.NoError(t, err)

	hung := exec.CommandContext(t.Context(), os.Args[0])
	hung.Env = append(os.Environ(), "TEMPDIR_TEST_HANG=1")
	out, err := hung.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, hung.Start())
	var left string
	_, err = fmt.Fscanln(out, &left)
	require.NoError(t, err)
	require.DirExists(t, own, "the process that is to be killed removes nothing of ours")
	next := func() {
		_, remove, err := tempdir.Make("test")
		require.NoError(t, err)
		require.NoError(t, remove())
	}
	next()
	require.DirExists(t, left, "its process lives")
	require.NoError(t, hung.Process.Kill())
	require.Error(t, hung.Wait())
	next()
	require.NoDirExists(t, left)
	require.DirExists(t, own)
	require.DirExists(t, other)
	require.DirExists(t, stranger)

	require.NoError(t, remove())
	require.NoError(t, removeOther())
	require.NoDirExists(t, own)
}

// Those that are made at once take nothing from each other, though each looks for leftovers.
func TestMake_IsForManyAtOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 20 {
				dir, remove, err := tempdir.Make("test")
				if err == nil {
					_, err = os.Stat(filepath.Join(dir, "in-use"))
				}
				if err == nil {
					err = remove()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}
