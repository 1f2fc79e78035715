package postgres

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// The first and the last instant that a timestamp of a row is shown as. RFC 3339 has four digits
// for a year, and encoding/json refuses all others.
var (
	firstInstant = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

// BoundInstants has a session read every timestamp with time zone as an instant that can be shown:
// in UTC, and infinity, or a year that RFC 3339 cannot write, as the first or the last instant that
// it can. Otherwise one such row, which nothing of ours writes, would keep a whole list from being
// read.
func BoundInstants(m *pgtype.Map) {
	m.RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: instants{&pgtype.TimestamptzCodec{}}})
}

// instants is pgx's codec, but for what is read into a [time.Time].
type instants struct{ *pgtype.TimestamptzCodec }

// PlanScan implements [pgtype.Codec].
func (c instants) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*time.Time); ok && format == pgtype.BinaryFormatCode {
		return scanInstant{}
	}
	return c.TimestamptzCodec.PlanScan(m, oid, format, target)
}

type scanInstant struct{}

// epoch is what Postgres counts microseconds from: 2000-01-01, in Unix microseconds.
const epoch = 946_684_800_000_000

// Scan implements [pgtype.ScanPlan].
func (scanInstant) Scan(src []byte, target any) error {
	if len(src) != 8 {
		return fmt.Errorf("a timestamp has 8 bytes, not %d (or is null)", len(src))
	}
	since := int64(binary.BigEndian.Uint64(src))
	*target.(*time.Time) = instant(since)
	return nil
}

// instant is the time so many microseconds after the epoch of Postgres, within bounds. Its
// infinities are the smallest and the largest number.
func instant(since int64) time.Time {
	switch {
	case since < firstInstant.UnixMicro()-epoch:
		return firstInstant
	case since > lastInstant.UnixMicro()-epoch:
		return lastInstant
	}
	return time.UnixMicro(since + epoch).UTC()
}
