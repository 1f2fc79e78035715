package stack

import (
	"errors"
	"fmt"
	"os"
)

// TempDir makes a state directory for a stack that is not to be kept, and
// returns what removes it with all that the stack has put there.
func TempDir() (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp("", "waybill-"); err != nil {
		return "", nil, fmt.Errorf("make a state directory: %w", err)
	}
	// The database server may run as another user, who must get through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make a state directory: %w", err)
	}
	return dir, func() error {
		return errors.Join(wipe(dir), os.RemoveAll(dir))
	}, nil
}
