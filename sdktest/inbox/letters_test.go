package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

func TestStore_RefusesToRedriveWhatIsNotTheFirstOfItsKey(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"], p.garbled["a3"] = errors.New("no"), errors.New("no")
	p.process(t, keyed(1, "a", "a1"))
	p.process(t, keyed(2, "a", "a2"), keyed(3, "a", "a3"), keyed(4, "a", "a4"))
	require.Equal(t, []string{"a1 dead", "a2 parked", "a3 dead", "a4 parked"}, p.all(t))
	_, err := p.letters.Redrive(t.Context(), p.id(t, "a3"), deadletter.Change{})
	first, ok := errors.AsType[*deadletter.FirstError](err)
	require.True(t, ok, err)
	require.Equal(t, p.id(t, "a1"), first.ID)
	_, err = p.letters.Redrive(t.Context(), p.id(t, "a2"), deadletter.Change{})
	require.ErrorContains(t, err, "it is parked")
	_, err = p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{Revision: 7})
	require.ErrorIs(t, err, deadletter.ErrRevision)
	_, err = p.letters.Redrive(t.Context(), 999, deadletter.Change{})
	require.ErrorIs(t, err, deadletter.ErrNotFound)
	p.discarded(t, "a1")
	_, err = p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{})
	require.ErrorContains(t, err, "it is discarded")
	require.Equal(t, []string{"a2"}, p.applied(t), "a3 is dead still")
}

func TestStore_AnEditedCopyTakesThePlaceOfTheMessage(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	edited, err := p.letters.Edit(t.Context(), p.id(t, "a1"), deadletter.Edited{EventID: uuid.New(), Payload: []byte("a1 edited")}, deadletter.Change{Note: "typo"})
	require.NoError(t, err)
	require.Equal(t, []string{"a1 superseded", "a1 edited dead", "a2 parked"}, p.all(t))
	p.redriven(t, "a1 edited")
	require.Equal(t, []string{"a1 edited", "a2"}, p.applied(t))
	original, err := p.letters.Get(t.Context(), p.id(t, "a1"))
	require.NoError(t, err)
	require.Equal(t, edited.ID, *original.SupersededBy)
	p.repair("a1")
	require.Equal(t, inbox.Outcome{Duplicates: 1}, p.process(t, keyed(1, "a", "a1")), "the original is not applied when Kafka delivers it again")
}

func TestStore_RemovesWhatIsClosedAndOldOnly(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	for i, key := range []string{"a", "b", "c"} {
		p.refused[key+"1"] = errors.New("no")
		p.process(t, keyed(int64(10*i+1), key, key+"1"), keyed(int64(10*i+2), key, key+"2"))
	}
	p.discarded(t, "a1")
	p.repair("b1")
	p.redriven(t, "b1")
	n, err := p.letters.Sweep(t.Context(), 1<<40, 100)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = p.letters.Sweep(t.Context(), 0, 3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = p.letters.Sweep(t.Context(), 0, 3)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"c1 dead", "c2 parked"}, p.all(t))
}

func TestCause_LeavesOutWhatDiffersFromMessageToMessage(t *testing.T) {
	t.Parallel()
	require.Equal(t, deadletter.Cause(errors.New("order 17 does not exist")), deadletter.Cause(errors.New("order 18 does not exist")))
	require.Equal(t, deadletter.Cause(fmt.Errorf(`event id %s: "x"`, uuid.New())), deadletter.Cause(fmt.Errorf(`event id %s: "y"`, uuid.New())))
	require.NotEqual(t, deadletter.Cause(errors.New("order 17 does not exist")), deadletter.Cause(errors.New("order 17 is cancelled")))
}

func TestRedriver_WaitsOutWhatIsNotTheMessagesFault(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"), keyed(2, "a", "a2"))
	p.repair("a1")
	_, err := p.pool.Exec(t.Context(), `alter table applied rename to hidden`)
	require.NoError(t, err)
	l, err := p.letters.Redrive(t.Context(), p.id(t, "a1"), deadletter.Change{})
	require.NoError(t, err)
	require.ErrorContains(t, p.redrive.RunQueue(t.Context(), *l.KeyID), `relation "applied" does not exist`)
	require.Equal(t, []string{"a1 parked", "a2 parked"}, p.all(t))
	_, err = p.pool.Exec(t.Context(), `alter table hidden rename to applied`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.redrive.Run(ctx) }()
	require.Eventually(t, func() bool { return len(p.applied(t)) == 2 }, 30*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestRedriver_APanicIsTheMessagesFault(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	p.refused["a1"] = errors.New("no")
	p.process(t, keyed(1, "a", "a1"))
	p.Apply = func(context.Context, *inbox.Tx, *struct{}, []inbox.Received[string]) ([]outbox.Message, error) {
		panic("oh")
	}
	p.redriven(t, "a1")
	l, err := p.letters.Get(t.Context(), p.id(t, "a1"))
	require.NoError(t, err)
	require.Contains(t, l.Reason, "panicked: oh")
}
