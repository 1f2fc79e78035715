package saga_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/sdk/saga"
)

var errNoReceipt = errors.New("no receipt")

// whens are the futures of a preview as lines.
func whens(list []saga.Future) string {
	var lines []string
	for _, f := range list {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

func TestPreview_SaysWhatWouldBeSentAndWhatCouldFollow(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	p, err := registry(t, orderSaga(t)).Preview(s.State(), saga.Resolve{Operator: operator, Step: "reserve", As: saga.Done}, s.Now(), 2)
	require.NoError(t, err)
	require.Equal(t, "ConfirmOrder", p.Decisions[0].Commands[0].Type)
	require.Equal(t, `OrderConfirmed (confirm): CONFIRMED
OrderCancelled (confirm): COMPENSATING, sends ReleaseInventory
no answer until `+s.Now().Add(10*time.Second).Format(time.RFC3339)+` (confirm): RUNNING, sends ConfirmOrder`, whens(p.Then))
	require.Empty(t, p.Then[0].Then)
	require.Contains(t, whens(p.Then[1].Then), "InventoryReleased (reserve): CANCELLED")
	require.Equal(t, 1, s.State().Revision, "nothing has happened")
}

func TestPreview_OfWhatIsRefusedIsTheRefusal(t *testing.T) {
	t.Parallel()
	s := begin(t, orderSaga(t))
	_, err := registry(t, orderSaga(t)).Preview(s.State(), saga.RestartFrom{Operator: operator, Step: "confirm"}, s.Now(), 2)
	require.ErrorIs(t, err, saga.ErrNoRestart)
}

// A reply may bring what later steps need: what follows then is not guessed at.
func TestPreview_SaysWhereItDependsOnWhatAReplySays(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("picky", 1)
	s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	s.Step("pay").Send("Pay", body).SuccessKeeping("Paid", func(_ *purchase, m saga.Message) error {
		var receipt struct{ Number string }
		if err := json.Unmarshal(m.Data, &receipt); err != nil || receipt.Number == "" {
			return errNoReceipt
		}
		return nil
	}).Wait(twice, "x").NoUndo("x")
	def, err := s.Build()
	require.NoError(t, err)
	p := begin(t, def)
	preview, err := registry(t, def).Preview(p.State(), saga.RetryNow{Operator: operator}, p.Now(), 3)
	require.NoError(t, err)
	require.Contains(t, preview.Then[0].Unknown, errNoReceipt.Error())
}

// Of many parallel steps there are more futures than anybody reads.
func TestPreview_IsBounded(t *testing.T) {
	t.Parallel()
	s := saga.Define[purchase]("wide", 1)
	s.StartOn("Start", saga.From(func(p purchase) purchase { return p }))
	s.Step("gate").After(time.Minute)
	for i := range 20 {
		name := string(rune('a' + i))
		s.Parallel(name).Send("Do"+name, body).Success("Done"+name).Failure("Not"+name, nil).Wait(twice, "x").NoUndo("x")
	}
	def, err := s.Build()
	require.NoError(t, err)
	p := begin(t, def)
	preview, err := registry(t, def).Preview(p.State(), saga.RetryNow{Operator: operator}, p.Now(), 100)
	require.NoError(t, err)
	require.True(t, preview.Truncated)
	var count func([]saga.Future) int
	count = func(list []saga.Future) int {
		n := len(list)
		for _, f := range list {
			n += count(f.Then)
		}
		return n
	}
	require.LessOrEqual(t, count(preview.Then), 200)
}

// Whatever the saga and whatever is done to it: what the preview says would be decided is what is
// decided, and the future of what really comes next is among its futures.
func TestPreview_IsWhatThenHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &run{
			t: t, def: anyDefinition(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			ids: map[uuid.UUID]bool{}, effects: map[string]bool{}, silent: map[string]bool{}, preview: true,
		}
		for _, name := range r.def.StepNames() {
			r.effects[name] = true // what may be undone is another test's business
		}
		r.apply(saga.Message{ID: uuid.New(), Type: "Start", Key: "1", Data: []byte(`{}`)})
		for range rapid.IntRange(1, 15).Draw(t, "events") {
			switch {
			case rapid.Bool().Draw(t, "intervene"):
				r.intervene()
			case len(r.commands) > 0 && rapid.Bool().Draw(t, "answer"):
				r.answer(r.commands[len(r.commands)-1], "done")
			default:
				r.passTime()
			}
		}
	})
}
