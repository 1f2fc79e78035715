package inbox

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Health says whether a consumer has had to drop messages: see [Processor.Reject]. The zero value
// is ready to use.
type Health struct{ dropped atomic.Int64 }

func (h *Health) drop() {
	if h != nil {
		h.dropped.Add(1)
	}
}

// Check returns an error once a message was dropped, for as long as the process runs: an
// operator has to look. It is for a readiness page.
func (h *Health) Check(context.Context) error {
	if n := h.dropped.Load(); n > 0 {
		return fmt.Errorf("%d messages were dropped, because the outbox refused their dead letters; the log names them", n)
	}
	return nil
}
