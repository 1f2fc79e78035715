package browsertest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDeadLetters_OneIsEditedAndRedriven(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	const order = 9_007_199_254_740_993 // there is no such order
	existing := w.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true)
	id := w.deadLetter(t, order, `"extra":12345678901234567890,`)
	tab := open(t, operatorToken)
	tab.visit("/dead-letters")
	tab.awaitText("#live", "ConfirmOrder")
	tab.accessible()
	tab.shot("dead-letters")
	tab.visit("/dead-letters/all?service=orders")
	tab.awaitText("#live", fmt.Sprint(order))
	tab.accessible()
	tab.shot("dead-letters-all")
	tab.visit(fmt.Sprintf("/dead-letters/orders/%d", id))
	tab.awaitText("#live", "could not apply it")
	tab.awaitText(".payload", "12345678901234567890")
	tab.harmless()
	tab.accessible()
	tab.shot("dead-letter")

	tab.click(`a[href$="/edit"]`)
	tab.awaitText("h1", "Edit dead letter")
	change := func(orderID string) {
		eval[bool](tab, fmt.Sprintf(`(p => { p.value = p.value.replace(/"orderId": -?\d+/, '"orderId": %s'); return true })(document.querySelector("#payload"))`, orderID))
		tab.click("form.form button.primary")
	}
	change("-1")
	tab.awaitText("#difference", "would not read it")
	tab.awaitText("#difference", `+   "orderId": -1,`)
	tab.until("#difference", "orders would read it", func() { change(existing) })
	tab.accessible()
	tab.shot("dead-letter-edit")
	tab.fill("#difference input[name=reason]", "the order was meant to be "+existing)
	tab.click("#difference button.primary")
	tab.awaitText("#difference output", "has its place")
	tab.click("#difference output a")
	tab.awaitText("#live", "It was redriven")
	tab.awaitText("#live", fmt.Sprintf("dead letter %d", id)) // of which it is a copy
	tab.awaitText(".payload", "12345678901234567890")
	tab.shot("dead-letter-redriven")
}

func TestDeadLetters_AllThatMatchAreDiscardedAsABatch(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	const orders = 8_800_770_000
	for i := range int64(3) {
		w.deadLetter(t, orders+i, "")
	}
	tab := open(t, adminToken)
	tab.visit("/dead-letters/all?service=orders&reason=88007700")
	tab.awaitText("#live", fmt.Sprint(orders+2))
	tab.click(`form[hx-post$="/discard/preview"] button`)
	tab.awaitText("#batch", "It would discard 3 dead letters of orders")
	tab.accessible()
	tab.shot("dead-letters-batch")
	tab.fill("#batch input[name=reason]", "of a test "+hostile)
	tab.fill("#batch input[name=count]", "3")
	tab.click("#batch form button")
	tab.awaitText("#batch output", "one after the other")
	tab.click("#batch output a")
	tab.awaitText("#live", "finished")
	tab.awaitText("#live", "was discarded")
	tab.harmless()
	tab.accessible()
	tab.shot("batch")
	tab.visit("/batches")
	tab.awaitText("#live", "discard dead letters")
	tab.accessible()
	tab.shot("batches")
	tab.harmless()
}

func TestDeadLetters_AGroupHasAnOwnerAndANote(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	w.deadLetter(t, 8_900_000_001, "")
	tab := open(t, operatorToken)
	tab.visit("/dead-letters?key=8900000001")
	tab.click(`details[id^="note:orders:"] summary`)
	tab.fill(`details[open] input[name=owner]`, "olga "+hostile)
	tab.fill(`details[open] input[name=note]`, "ticket 981")
	tab.click(`details[open] button.primary`)
	tab.awaitText(".group-note", "ticket 981")
	tab.awaitText(".group-note", "olga <script>")
	tab.harmless()
	tab.accessible()
	tab.shot("dead-letters-note")
}

func TestDeadLetters_AreMaskedForViewers(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	const order = 8_900_000_077
	id := w.deadLetter(t, order, "")
	tab := open(t, viewerToken)
	tab.visit(fmt.Sprintf("/dead-letters/orders/%d", id))
	tab.awaitText("#live", "the role viewer does not see")
	tab.accessible()
	for _, path := range []string{"/dead-letters", "/dead-letters/all", fmt.Sprintf("/dead-letters/orders/%d", id), fmt.Sprintf("/dead-letters/orders/%d/edit", id)} {
		for _, accept := range []string{"text/html", "application/json"} {
			body := eval[string](tab, fmt.Sprintf("fetch(%q, {headers: {Accept: %q}}).then(r => r.text())", path, accept))
			require.NotContains(t, body, fmt.Sprint(order), path)
		}
	}
}

// A batch is redriven one after the other, paused, resumed, and takes effect; and what was typed
// has to be how many there are by then.
func TestDeadLetters_AllThatMatchAreRedrivenAsABatch(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	const orders = 8_800_660_000
	letter := func(n int64) {
		w.deadLetter(t, orders+n, "")
		w.exec(t, "orders", `insert into orders (id, user_id, sku, quantity) overriding system value values ($1, 'u1', 'burger', 1)`, orders+n)
	}
	letter(0)
	letter(1)
	tab := open(t, adminToken)
	preview := func() {
		tab.visit("/dead-letters/all?service=orders&reason=88006600")
		tab.awaitText("#live", fmt.Sprint(orders))
		tab.click(`form[hx-post$="/redrive/preview"] button`)
		tab.awaitText("#batch", "It would redrive")
		tab.fill("#batch input[name=reason]", "the orders are there now")
		tab.fill("#batch input[name=rate]", "0.15") // it does not end before it is paused
	}
	preview()
	tab.awaitText("#batch", "redrive 2 dead letters")
	letter(2)
	tab.tolerate("422")
	tab.fill("#batch input[name=count]", "2")
	tab.click("#batch form button")
	tab.awaitText("#batch output", "it is 3 by now")
	require.Equal(t, int64(3), query[int64](t, w, "orders", `select count(*) from dead_letters where state = 'dead' and convert_from(key, 'UTF8') like '88006600%'`), "nothing was done")
	preview()
	tab.fill("#batch input[name=count]", "3")
	tab.click("#batch form button")
	tab.awaitText("#batch output", "one after the other")
	require.False(t, eval[bool](tab, `document.querySelector("#batch input[name=count]").checkVisibility()`), "what was done is not offered again")
	tab.click("#batch output a")
	tab.awaitText("#live", "have had their turn")
	batch := eval[string](tab, "location.pathname")
	tab.does(fmt.Sprintf(`details[id="action:%s/pause"]`, batch), "wait", "It is paused")
	tab.awaitText("#live .badge", "paused")
	tab.does(fmt.Sprintf(`details[id="action:%s/resume"]`, batch), "go on", "It is")
	tab.awaitText("#live .badge", "finished")
	for n := range int64(3) {
		require.Equal(t, "CONFIRMED", query[string](t, w, "orders", "select status from orders where id = $1", orders+n))
	}
}
