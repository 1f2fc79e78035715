package diagram_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/orchestrator/console/internal/diagram"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

func order(t *testing.T) saga.Description {
	t.Helper()
	d, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	return d.Describe()
}

// rejected is an order of which Inventory refused the reservation.
func rejected() httpapi.Detail {
	at := func(ms int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, ms*1e6, time.UTC) }
	return httpapi.Detail{
		StartedAt: at(0), State: "CANCELLED",
		Steps: []httpapi.StepDetail{{Name: "order", Status: "undone", Undos: 1}, {Name: "reserve", Status: "failed", Attempts: 1}, {Name: "confirm", Status: "idle"}},
		Timeline: []inspect.Line{
			{Seq: 1, At: at(0), Kind: "started", CauseType: "OrderCreated", To: "RUNNING", Commands: []store.Sent{{Type: "ReserveInventory", Step: "reserve", Attempt: 1}}},
			{Seq: 2, At: at(40), Kind: "replied", Step: "reserve", CauseType: "InventoryRejected", From: "RUNNING", To: "COMPENSATING", Commands: []store.Sent{{Type: "CancelOrder", Step: "order", Undo: true, Attempt: 1}}},
			{Seq: 3, At: at(100), Kind: "replied", Step: "order", CauseType: "OrderCancelled", From: "COMPENSATING", To: "CANCELLED"},
		},
	}
}

func anchor(seq int) string { return "#t" + strconv.Itoa(seq) }

// The path that a saga took is lit, with the time of each edge and a link to its transition; what
// it did not take is not.
func TestOf_LightsThePathTaken(t *testing.T) {
	t.Parallel()
	o := diagram.Of(order(t), rejected(), time.Duration.String, anchor)
	require.Equal(t, diagram.Mark{Class: "lit", Note: "40ms", Link: "#t2"}, o.Edges["fail:reserve"])
	require.Equal(t, diagram.Mark{Class: "undone", Note: "60ms", Link: "#t3"}, o.Nodes["undo:order"])
	require.Equal(t, diagram.Mark{Class: "failed", Note: "100ms", Link: "#t3"}, o.Nodes["cancelled"])
	require.Equal(t, diagram.Mark{Class: "failed", Note: "refused", Link: "#t1"}, o.Nodes["step:reserve"])
	for _, not := range []string{"ok:reserve", "lost:reserve", "ok:confirm", "cancel"} {
		require.Empty(t, o.Edges[not], not)
	}
	require.Empty(t, o.Nodes["completed"])
}

func TestCounted_SaysWhatWasNeverGone(t *testing.T) {
	t.Parallel()
	d := order(t)
	o := diagram.Counted(d, inspect.Coverage{
		Transitions: []inspect.Happened{
			{Kind: "started", CauseType: "OrderCreated", To: "RUNNING", Count: 7},
			{Kind: "replied", Step: "reserve", CauseType: "InventoryReserved", From: "RUNNING", To: "RUNNING", Count: 6},
			{Kind: "replied", Step: "confirm", CauseType: "OrderConfirmed", From: "RUNNING", To: "CONFIRMED", Count: 6},
		},
		Sent: []inspect.SentCommands{{Step: "reserve", Count: 8}, {Step: "confirm", Count: 6}},
	}, func(n int64) string { return strconv.FormatInt(n, 10) })
	require.Equal(t, "6 ×", o.Edges["ok:reserve"].Note)
	require.Equal(t, "8 sent", o.Nodes["step:reserve"].Note)
	require.Equal(t, "6 ×", o.Nodes["completed"].Note)
	require.Equal(t, []string{"order: undone", "reserve: refused", "reserve: given up", "reserve: undone", "confirm: refused", "cancelled after completion"}, diagram.Uncovered(d, o))
}

// The picture is well-formed whatever names a definition has, has no style and no script of its
// own, and shows every step.
func TestDraw_IsWellFormedAndEscapes(t *testing.T) {
	t.Parallel()
	d := order(t)
	d.Stages[1][0].Name = `<script>alert("x")</script>`
	d.Stages = append(d.Stages, []saga.StepDescription{{Name: "hotel", Does: saga.Asks, Command: "BookHotel"}, {Name: "flight", Does: saga.Awaits, Success: []string{"Booked"}}})
	svg := string(diagram.Draw(d, diagram.Of(order(t), rejected(), time.Duration.String, anchor)))
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.NotContains(t, svg, "<script")
	require.NotContains(t, svg, "style=")
	for _, name := range []string{"confirm", "hotel", "flight", "CONFIRMED", "CANCELLED", "undo order", `class="parallel"`} {
		require.Contains(t, svg, name)
	}
}
