package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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

// A note is about all dead letters of a cause, also those to come, and goes some time after them.
func TestStore_ANoteIsOfAGroup(t *testing.T) {
	t.Parallel()
	p := newParking(t)
	for i, key := range []string{"a", "b"} {
		p.refused[key+"1"] = errors.New("order " + key + " is unknown")
		p.process(t, keyed(int64(10*i+1), key, key+"1"), keyed(int64(10*i+2), key, key+"2"))
	}
	p.refused["c1"] = errors.New(`order "c" is unknown`)
	p.refused["d1"] = errors.New(`order "d" is unknown`)
	p.process(t, keyed(31, "c", "c1"))
	seen := []deadletter.GroupNote{}
	audit := func(_ context.Context, _ pgx.Tx, l deadletter.Letter, before, after deadletter.GroupNote) error {
		require.Equal(t, "order … is unknown", l.Cause)
		seen = append(seen, before, after)
		return nil
	}
	write := func(id int64, revision int, owner string) (deadletter.GroupNote, error) {
		return p.letters.Annotate(t.Context(), id, deadletter.Annotation{Owner: owner, Note: "ticket 981", By: "ada", Revision: revision, Audit: audit})
	}
	c1 := p.id(t, "c1")
	for _, revision := range []int{-1, 1} {
		_, err := write(c1, revision, "ann")
		require.ErrorIs(t, err, deadletter.ErrRevision, "there is none yet")
	}
	n, err := write(c1, 0, "ann")
	require.NoError(t, err)
	require.Equal(t, 1, n.Revision)
	n, err = write(c1, 1, "bob")
	require.NoError(t, err)
	require.Equal(t, []any{"bob", "ticket 981", "ada", 2}, []any{n.Owner, n.Note, n.By, n.Revision})
	_, err = write(c1, 1, "eve")
	require.ErrorIs(t, err, deadletter.ErrRevision)
	require.Equal(t, []string{"", "ann", "ann", "bob"}, []string{seen[0].Owner, seen[1].Owner, seen[2].Owner, seen[3].Owner})
	_, err = write(p.id(t, "a2"), 0, "ann")
	require.ErrorIs(t, err, deadletter.ErrNoCause, "it is parked")
	_, err = write(999, 0, "ann")
	require.ErrorIs(t, err, deadletter.ErrNotFound)

	p.process(t, keyed(41, "d", "d1"))
	groups, err := p.letters.Groups(t.Context(), deadletter.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, groups, 3)
	for _, g := range groups {
		require.Equal(t, g.Cause == "order … is unknown", g.Note.Owner == "bob", g.Cause)
		require.Equal(t, g.Cause == "order … is unknown", g.Count == 2, g.Cause)
	}
	d1, err := p.letters.Get(t.Context(), p.id(t, "d1"))
	require.NoError(t, err)
	known, err := p.letters.Note(t.Context(), d1)
	require.NoError(t, err)
	require.Equal(t, n, known)

	removed, err := write(c1, 0, "")
	require.NoError(t, err)
	require.False(t, removed.Empty())
	_, err = p.letters.Annotate(t.Context(), c1, deadletter.Annotation{By: "ada"})
	require.NoError(t, err)
	known, err = p.letters.Note(t.Context(), d1)
	require.NoError(t, err)
	require.True(t, known.Empty())
	notes := func() (n int) {
		for range 2 { // the letters, then the notes
			_, err := p.letters.Sweep(t.Context(), 0, 100)
			require.NoError(t, err)
		}
		require.NoError(t, p.pool.QueryRow(t.Context(), `select count(*) from dead_letter_notes`).Scan(&n))
		return n
	}
	p.discarded(t, "c1")
	require.Equal(t, 1, notes(), "d1 is in its group")
	p.discarded(t, "d1")
	require.Zero(t, notes())
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
