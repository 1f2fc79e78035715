package source

import (
	"encoding/binary"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func columnsOf(id int64, payload string) [][]byte {
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	return [][]byte{number(id), make([]byte, 16), []byte("t"), []byte("k"), []byte("T"), []byte(payload), []byte("\x01{}"), number(0), nil}
}

// A batch takes memory as it fills, so that thousands of small ones can wait for a broker; and says
// truly how much.
func TestBatch_TakesMemoryAsItFills(t *testing.T) {
	t.Parallel()
	var names interned
	small := NewBatch(4000)
	_, err := small.add(columnsOf(1, "payload"), &names)
	require.NoError(t, err)
	require.Less(t, small.Bytes(), 2048)

	b := NewBatch(4000)
	for round := range 2 { // the second time in the memory of the first
		for id := range int64(4000) {
			row, err := b.add(columnsOf(id+1, "payload"), &names)
			require.NoError(t, err)
			require.Equal(t, id+1, row.ID)
		}
		require.Len(t, b.Rows, 4000)
		for i, row := range b.Rows {
			require.EqualValues(t, i+1, row.ID, "rows do not move")
			require.Equal(t, "payload", string(row.Payload))
			require.Equal(t, "{}", string(row.Headers))
		}
		_, err := b.add(columnsOf(4001, ""), &names)
		require.ErrorContains(t, err, "full", "round %d", round)
		b.Reset()
		require.Empty(t, b.Rows)
	}
}

func TestRow_ALogLineNamesItsKeyAndTrace(t *testing.T) {
	t.Parallel()
	row := Row{ID: 7, Topic: "orders.v1", Type: "OrderCreated", Key: []byte("17"), Headers: []byte(
		`{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "other": 1}`)}
	require.Contains(t, row.LogAttrs(), slog.String("key", "17"))
	require.Contains(t, row.LogAttrs(), slog.String("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"))
	row.Headers = nil
	require.Len(t, row.LogAttrs(), 5, "a row that is not loaded has its key at least")
}
