package kafka

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/fault"
	"waybill.example/sdk/inbox"
)

var (
	errConstraint = errors.New("violates a check")
	errTrigger    = errors.New("audit log full")

	ofMessage   = fault.OfMessage(errConstraint.Error())
	ofStatement = fault.Fault{Kind: fault.Statement, Reason: "raised_exception", Alike: "P0001"}
)

// failing is a consumer's backlog that finds messages which cannot be applied faster than it tries
// them again.
type failing struct {
	backlog
	offset int64
}

// find holds a message that has failed alone, of a key of its own.
func (f *failing) find(cause fault.Fault, err error) *held {
	f.offset++
	h := f.add(inbox.Delivery{Topic: "topic", Key: fmt.Append(nil, f.offset), Offset: f.offset}, cause, err)
	h.failed(cause, err, time.Now())
	return h
}

// retry tries the message whose turn it is, and returns it. One that is exhausted is set aside.
func (f *failing) retry() *held {
	h := f.due(time.Now())
	switch {
	case h == nil:
	case h.exhausted():
		f.remove(h)
	default:
		h.failed(h.fault, h.err, time.Now())
	}
	return h
}

// Five messages at fault are found for each attempt with one that is held. The first is set aside
// after the attempts that it is granted all the same, and so is each after it; and a message that
// waits for something else is tried again and again beside them.
func TestBacklog_AMessageAtFaultDoesNotWaitForThoseThatFailAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &failing{backlog: newBacklog()}
		waiting := f.find(ofStatement, errTrigger)
		first := f.find(ofMessage, errConstraint)
		var aside []int64
		tried := 0
		for range 100 {
			for range 5 {
				f.find(ofMessage, errConstraint)
			}
			time.Sleep(5 * time.Second) //nolint:forbidigo // in a synctest bubble; longer than any pause between attempts
			h := f.retry()
			if h == waiting {
				tried++
			} else if !f.has(h) {
				aside = append(aside, h.message.Offset)
			}
		}
		// Each takes three turns, two attempts and setting it aside, and has every second.
		require.Len(t, aside, 16)
		for i, offset := range aside {
			require.Equal(t, first.message.Offset+int64(i), offset, "in the order in which they failed")
		}
		require.Equal(t, 50, tried)
	})
}

// While a kind is suspended none is set aside, and any of its messages may be the one that
// succeeds: all of them are tried in turn.
func TestBacklog_OfASuspendedKindAllTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &failing{backlog: newBacklog()}
		for range breakerOpens {
			f.countFailure(f.find(ofMessage, errConstraint).message, ofMessage)
		}
		tried := map[*held]bool{}
		for range breakerOpens {
			time.Sleep(5 * time.Second) //nolint:forbidigo // in a synctest bubble
			h := f.due(time.Now())
			h.failed(h.fault, h.err, time.Now())
			f.postponeProbe(h.message)
			tried[h] = true
		}
		require.Len(t, tried, breakerOpens)
	})
}
