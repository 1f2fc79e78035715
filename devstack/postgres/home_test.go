package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// makePlace claims a place for a directory, and has a cluster in it with the pid of a server.
func makePlace(t *testing.T, all places, dir string, pid int) (place string) {
	t.Helper()
	require.NoError(t, all.claim(dir))
	place = all.place(dir)
	require.NoError(t, os.MkdirAll(filepath.Join(place, "data"), 0o755))
	if pid != 0 {
		require.NoError(t, os.WriteFile(filepath.Join(place, "data", "postmaster.pid"), fmt.Appendf(nil, "%d\n/data\n", pid), 0o600))
	}
	return place
}

func TestPlaces_LastAsLongAsTheirDirectories(t *testing.T) {
	t.Parallel()
	all, dirs := places(filepath.Join(t.TempDir(), "places")), t.TempDir()
	dir := func(name string) string { return filepath.Join(dirs, name, "postgres") }
	kept, gone := makePlace(t, all, dir("kept"), 0), makePlace(t, all, dir("gone"), 0)
	crashed, running := makePlace(t, all, dir("crashed"), 1<<30), makePlace(t, all, dir("running"), os.Getpid())
	unknown := filepath.Join(string(all), "0123456789ab") // of a version that left no notes
	require.NoError(t, os.Mkdir(unknown, 0o700))

	require.NoError(t, all.tidy())
	for _, place := range []string{kept, gone, crashed, running, unknown} {
		require.DirExists(t, place)
	}
	for _, name := range []string{"gone", "crashed", "running"} {
		require.NoError(t, os.RemoveAll(filepath.Join(dirs, name)))
	}
	require.NoError(t, all.tidy())
	for _, place := range []string{gone, crashed} {
		require.NoDirExists(t, place)
		require.NoFileExists(t, place+noteSuffix)
	}
	for _, place := range []string{kept, running, unknown} {
		require.DirExists(t, place)
	}
}

// A user who removes the directory of a stack, to begin again, finds no data of before.
func TestPlaces_AnewForADirectoryThatWasRemoved(t *testing.T) {
	t.Parallel()
	all, dir := places(filepath.Join(t.TempDir(), "places")), filepath.Join(t.TempDir(), "postgres")
	place := makePlace(t, all, dir, 0)
	require.NoError(t, all.claim(dir))
	require.DirExists(t, place)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, all.claim(dir))
	require.NoDirExists(t, place)
}

func TestPlaces_ClaimedAtOnce(t *testing.T) {
	t.Parallel()
	all, dirs := places(filepath.Join(t.TempDir(), "places")), t.TempDir()
	var claiming sync.WaitGroup
	for n := range 20 {
		claiming.Go(func() {
			dir := filepath.Join(dirs, fmt.Sprint(n))
			err := all.claim(dir)
			if err == nil {
				err = os.Mkdir(all.place(dir), 0o755) // fails where there is one
			}
			if err == nil {
				err = all.tidy()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	claiming.Wait()
	require.NoError(t, all.tidy())
	for n := range 20 {
		require.DirExists(t, all.place(filepath.Join(dirs, fmt.Sprint(n))))
	}
}

func TestRemove_TakesAPlaceAndItsNote(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("every directory that we reach can be reached by the server, which runs as we do")
	}
	dir := filepath.Join(t.TempDir(), "postgres") // closed
	home, err := claim(dir)
	require.NoError(t, err)
	require.NotEqual(t, dir, home)
	require.NoError(t, os.Mkdir(home, 0o755))
	require.FileExists(t, home+noteSuffix)
	require.NoError(t, Remove(dir))
	require.NoDirExists(t, home)
	require.NoFileExists(t, home+noteSuffix)
}
