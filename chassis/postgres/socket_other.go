//go:build !linux

package postgres

import "syscall"

// limitUnacknowledged does nothing where the kernel has no TCP_USER_TIMEOUT: keepalives and the
// deadline of each attempt remain.
func limitUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }
