package stack

import (
	"errors"

	"waybill.example/devstack/tempdir"
)

// TempDir makes a state directory for a stack that is not to be kept, and
// returns what removes it with all that the stack has put there; see [tempdir.Make].
func TempDir(kind string) (dir string, remove func() error, err error) {
	dir, removeDir, err := tempdir.Make(kind)
	if err != nil {
		return "", nil, err
	}
	return dir, func() error { return errors.Join(wipe(dir), removeDir()) }, nil
}
