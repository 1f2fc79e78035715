package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// call sends a request to a process of the stack as the administrator.
func (w *world) call(t *testing.T, method, process, path, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.url(process)+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, answer)
	return string(answer)
}

// shelf makes a sku of the test's own with something on it.
func (w *world) shelf(t *testing.T, sku string) string {
	t.Helper()
	w.call(t, http.MethodPut, stack.Inventory, "/v1/stock/"+sku, `{"onHand":100,"reason":"for the test"}`)
	return sku
}

// sql runs a statement in a database of the stack.
func (w *world) sql(t *testing.T, database, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.stack.State().Databases[database])
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// waiting is an order whose command to Inventory was lost: it waits for an hour. Nobody else is in
// its way, and a retry really reserves and confirms.
func (w *world) waiting(t *testing.T, id int64, user, sku string) string {
	t.Helper()
	w.sql(t, "orders", `insert into orders (id, user_id, sku, quantity) overriding system value values ($1, $2, $3, 1)`, id, user, sku)
	data, err := json.Marshal(map[string]any{"orderId": id, "userId": user, "sku": sku, "quantity": 1})
	require.NoError(t, err)
	command := uuid.New()
	w.sql(t, "orchestrator", `
with begun as (
insert into sagas (id, definition, version, phase, state, step, attempt, deadline, revision, reason, steps, data, started_at, updated_at, stage, start_id)
select $1::text, 'order', 1, 'RUNNING', 'RUNNING', 'reserve', 1, now() + interval '1 hour', 1, '',
       jsonb_build_array(jsonb_build_object('status', 'done'),
                         jsonb_build_object('status', 'waiting', 'attempt', 1, 'sent', jsonb_build_array($2::text), 'sentAt', now(), 'deadline', now() + interval '1 hour'),
                         '{}'::jsonb), $3::jsonb, now(), now(), 1, gen_random_uuid()),
named as (insert into saga_attributes (saga_id, definition, name, value, started_at) values ($1, 'order', 'sku', $4, now()))
insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_id, cause_type, actor, note, commands)
values ($1, 'order', 1, now(), 'started', '', 'RUNNING', '', gen_random_uuid(), 'OrderCreated', '', '',
        jsonb_build_array(jsonb_build_object('id', $2::text, 'type', 'ReserveInventory', 'step', 'reserve', 'attempt', 1)))`,
		fmt.Sprint(id), command.String(), data, sku)
	return fmt.Sprint(id)
}

// A saga is found, what a retry would send is looked at, it is retried, what came of it is shown
// where it was clicked, and the page follows by itself.
func TestSagas_OneIsRetriedWithItsPreview(t *testing.T) {
	t.Parallel()
	tab := open(t, operatorToken)
	id := tab.world.waiting(t, 700_001, "u1", tab.world.shelf(t, "lamp-retried"))
	tab.visit("/sagas?attr=sku%3Dlamp-retried")
	tab.awaitText("#live", "Waits for InventoryReserved or InventoryRejected")
	tab.click("main a.row")
	tab.awaitText("#live", "attempt 1 of")
	tab.awaitText("#explain", "is not in the orchestrator's outbox any more")
	tab.shot("saga-waiting")
	tab.click(`[id="act:retry:saga"] > summary`)
	tab.awaitText(`[id="act:retry:saga"] .preview`, "ReserveInventory")
	tab.shot("saga-preview")
	tab.accessible()
	tab.fill(`[id="reason:retry:saga"]`, "its command was lost")
	tab.click(`[id="act:retry:saga"] button.primary`)
	tab.await(retried)
	tab.awaitText("#live", "CONFIRMED")
	tab.awaitText("#live", "its command was lost")
	tab.awaitText("#trail", "reservation became")
	tab.shot("saga-retried")
	require.Contains(t, tab.world.call(t, http.MethodGet, stack.Orders, "/v1/orders/"+id, ""), `"CONFIRMED"`)
}

// What was decided on is what is acted on: a saga that has moved since its preview is left alone.
func TestSagas_WhatHasMovedIsLeftAlone(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	id := tab.world.waiting(t, 700_002, "u1", "lamp-moved")
	tab.visit("/sagas/order/" + id)
	tab.click(`[id="act:force:saga"] > summary`)
	tab.awaitText(`[id="act:force:saga"] .preview`, "It would send")
	later := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	tab.world.call(t, http.MethodPut, stack.Orchestrator, "/v1/sagas/"+id+"/deadlines/reserve?wait=0", `{"reason":"meanwhile","to":"`+later+`"}`)
	tab.awaitText("#live", "revision 2")
	tab.fill(`[id="reason:force:saga"]`, "decided about what was")
	tab.tolerate("412")
	tab.click(`[id="act:force:saga"] button.danger`)
	tab.awaitText(`[id="act:force:saga"] output`, "It has changed since you looked")
	tab.world.call(t, http.MethodPost, stack.Orchestrator, "/v1/sagas/"+id+"/suspend?wait=0", `{"reason":"meanwhile"}`)
	tab.awaitText("#live", "SUSPENDED")
	tab.visit("/sagas/order/" + id)
	tab.click(`[id="act:resume:saga"] > summary`)
	tab.fill(`[id="reason:resume:saga"]`, "looked at")
	tab.awaitText(`[id="act:resume:saga"] .preview`, "RUNNING")
	tab.click(`[id="act:resume:saga"] button.primary`)
	tab.awaitText("#live", "RUNNING")
	tab.click(`[id="act:move-deadline:reserve"] > summary`)
	tab.awaitText(`[id="act:move-deadline:reserve"] .preview`, "revision")
	tab.fill(`[id="reason:move-deadline:reserve"]`, "sooner")
	tab.click(`[id="act:move-deadline:reserve"] button.primary`)
	tab.await(`parseInt(document.querySelector("#live .countdown").innerText) < 11`)
}

// retried is what is shown where a saga was retried: the reply that came, or already the end.
const retried = `/InventoryReserved came within|The saga is CONFIRMED/.test(document.querySelector('[id="act:retry:saga"] output')?.innerText)`

// Without a mouse: find the saga, look at what a retry would do, and do it.
func TestSagas_KeyboardAlone(t *testing.T) {
	t.Parallel()
	tab := open(t, operatorToken)
	id := tab.world.waiting(t, 700_003, "u1", tab.world.shelf(t, "lamp-keys"))
	tab.press("/")
	tab.await(`document.activeElement?.id === "search"`)
	tab.fill("#search", id) // which empties it first: chromedp may have typed the key, too
	tab.press(kb.Enter)
	tab.await(`location.pathname === "/find" && document.querySelector("main a.row")`)
	tab.press("j" + kb.Enter)
	tab.await(`location.pathname === "/sagas/order/` + id + `" && document.querySelector('[id="act:retry:saga"]')`)
	for range 60 {
		if eval[bool](tab, `document.activeElement?.closest('[id="act:retry:saga"]') !== null`) {
			break
		}
		tab.press(kb.Tab)
	}
	tab.press(kb.Enter)
	tab.awaitText(`[id="act:retry:saga"] .preview`, "ReserveInventory")
	tab.press(kb.Tab) // from the step to what would be sent
	for range 10 {
		if eval[bool](tab, `document.activeElement?.name === "reason"`) {
			break
		}
		tab.press(kb.Tab)
	}
	tab.press("by keyboard" + kb.Enter)
	tab.await(retried)
	tab.awaitText("#live", "CONFIRMED")
}

// What people write is text, in every field that is shown.
func TestSagas_ScriptsStayText(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	evil := `<script>broken=1</script><img src=x onerror=broken=1>`
	id := tab.world.waiting(t, 700_004, evil, evil)
	tab.world.call(t, http.MethodPost, stack.Orchestrator, "/v1/sagas/"+id+"/suspend?wait=0", `{"reason":"`+evil+`"}`)
	tab.world.sql(t, "orchestrator", `update sagas set reason = $2, trouble = $2 where id = $1`, id, evil)
	for _, path := range []string{"/sagas?stuck=true", "/sagas/order/" + id, "/sagas?attr=" + "sku%3D%3Cscript%3Ebroken%3D1%3C%2Fscript%3E", "/sagas/batch?stuck=true&action=resume"} {
		tab.visit(path)
		tab.await(`document.querySelector("#live").innerText.length > 20`)
		require.False(t, eval[bool](tab, `Boolean(window.broken) || Boolean(document.querySelector("main img, main script"))`), path)
	}
	tab.visit("/sagas/order/" + id)
	tab.awaitText("#trail", "<script>")
	require.False(t, eval[bool](tab, `Boolean(window.broken) || Boolean(document.querySelector("main img, main script"))`))
}

// What a filter chooses is counted, previewed and confirmed by typing the count; it becomes a job.
func TestSagas_ABatchIsConfirmedByItsCount(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	sku := tab.world.shelf(t, "lamp-batch")
	for id := range int64(3) {
		tab.world.waiting(t, 700_010+id, "u1", sku)
	}
	tab.visit("/sagas?attr=sku%3Dlamp-batch")
	tab.awaitText("#live", "700012")
	tab.click(`[id="choose:order/700010"]`)
	tab.click(`[id="choose:order/700011"]`)
	tab.shot("sagas-chosen")
	tab.click("#live form button")
	tab.awaitText("#live", "It would be done to 2 sagas")
	tab.awaitText("#live", "sends ReserveInventory")
	tab.shot("saga-batch")
	tab.accessible()
	tab.fill(`[id="reason:batch"]`, "their commands were lost")
	tab.fill(`[id="count:batch"]`, "2")
	tab.click(".confirm button.primary")
	tab.awaitText(".confirm output", "was made of 2 sagas")
	tab.visit("/sagas?attr=sku%3Dlamp-batch&state=CONFIRMED")
	tab.awaitText("#live", "700011")
	tab.visit("/sagas?attr=sku%3Dlamp-batch&state=RUNNING")
	tab.awaitText("#live", "700012")
}

// A viewer sees where sagas stand, and neither what they carry nor a button that works.
func TestSagas_ViewersSeeNoPayloads(t *testing.T) {
	t.Parallel()
	tab := open(t, viewerToken)
	id := tab.world.waiting(t, 700_020, "somebody-private", "lamp-private")
	tab.visit("/sagas/order/" + id)
	tab.awaitText("#trail", "Timeline")
	for _, path := range []string{"", "/trail", "/explain"} {
		html := eval[string](tab, `fetch("/sagas/order/`+id+path+`").then(r => r.text())`)
		data := eval[string](tab, `fetch("/sagas/order/`+id+path+`?format=json").then(r => r.text())`)
		require.NotContains(t, html+data, "private", path)
	}
	require.Contains(t, eval[string](tab, `document.querySelector(".acts button").dataset.why`), "needs operator")
}

// Every page answers JSON at its URL.
func TestSagas_PagesAreJSON(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	id := tab.world.waiting(t, 700_030, "u1", "lamp-json")
	for path, want := range map[string]string{
		"/sagas": `"says"`, "/sagas/order/" + id: `"lamp-json"`, "/sagas/order/" + id + "/trail": `"events"`, "/sagas/order/" + id + "/preview?action=retry": `"ReserveInventory"`,
		"/definitions": `"versions"`, "/definitions/order/1": `"coverage"`, "/sagas/batch?attr=sku%3Dlamp-json": `"count": 1`,
	} {
		answer := eval[string](tab, `fetch("`+path+`", {headers: {Accept: "application/json"}}).then(r => r.text())`)
		require.True(t, json.Valid([]byte(answer)), path)
		require.Contains(t, answer, want, path)
	}
}

func TestSagas_LookFine(t *testing.T) {
	t.Parallel()
	tab := open(t, operatorToken)
	sku := tab.world.shelf(t, "lamp-fine")
	confirmed := tab.world.place(t, `{"userId":"u1","sku":"`+sku+`","quantity":2}`, true)
	cancelled := tab.world.place(t, `{"userId":"u1","sku":"no-such-lamp","quantity":2}`, true)
	tab.visit("/sagas/order/" + confirmed)
	tab.awaitText("#live", "CONFIRMED")
	tab.awaitText("#trail", "Where the time went")
	tab.shot("saga")
	tab.accessible()
	tab.scheme("dark")
	tab.shot("saga-dark")
	tab.scheme("light")
	eval[bool](tab, "scrollTo(0, 750), true")
	tab.shot("saga-below")
	eval[bool](tab, "document.querySelector('.message').open = true, document.querySelector('#messages').scrollIntoView(), true")
	tab.shot("saga-messages")
	tab.phone()
	eval[bool](tab, "scrollTo(0, 0), true")
	tab.shot("saga-phone")
	tab.run(chromedp.EmulateViewport(1440, 900))
	tab.visit("/sagas/order/" + cancelled)
	tab.awaitText("#live", "CANCELLED")
	tab.awaitText("#trail", "Where the time went")
	tab.shot("saga-cancelled")
	tab.visit("/sagas")
	tab.awaitText("#live", confirmed)
	tab.shot("sagas")
	tab.accessible()
	tab.phone()
	tab.shot("sagas-phone")
}

func TestDefinitions_LookFine(t *testing.T) {
	t.Parallel()
	tab := open(t, operatorToken)
	tab.visit("/definitions")
	tab.awaitText("#live", "order")
	tab.shot("definitions")
	tab.accessible()
	tab.click("main a.row")
	tab.awaitText("#live", "Coverage")
	tab.shot("definition")
	tab.accessible()
	tab.phone()
}
