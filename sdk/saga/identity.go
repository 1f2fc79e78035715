package saga

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// deriveID derives a command's id, and the jitter of its wait in [0,1), from what the
// command is: the engine needs no random source, and applying the same input
// again gives the same id, also after the database was put back to an earlier
// moment. The id is a version 7 UUID, so that tables keyed by it grow at one
// end; its time is that of what led to the command, not that of the clock.
func deriveID(s State, step string, undo bool, attempt int, stamp time.Time) (uuid.UUID, float64) {
	action := "do"
	if undo {
		action = "undo"
	}
	name := s.Definition + "\x00" + s.ID + "\x00" + step + "\x00" + action + "\x00" + strconv.Itoa(attempt)
	sum := sha256.Sum256([]byte(name))
	var id uuid.UUID
	copy(id[:], sum[:16])
	ms := stamp.UnixMilli()
	id[0], id[1], id[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	id[3], id[4], id[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	jitter := float64(binary.BigEndian.Uint64(sum[16:24])>>11) / (1 << 53)
	return id, jitter
}
