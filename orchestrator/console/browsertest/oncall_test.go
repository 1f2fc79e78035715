package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// What follows is what a person on call does: each fault is made behind the console's back, found
// from the overview, put right in the console alone, and seen to be gone on the overview. No other
// test may use the stack meanwhile.

// notices waits until the overview says something among what needs a person, and follows its link.
func (b *tab) notices(text string) {
	b.t.Helper()
	b.visit("/")
	b.awaitText(".attention", text)
	eval[bool](b, fmt.Sprintf(`([...document.querySelectorAll(".attention a")].find(a => a.innerText.includes(%q)).click(), true)`, text))
	b.await(`document.readyState === "complete" && (location.pathname !== "/" || location.hash)`)
}

// isWell waits until the overview says it no more.
func (b *tab) isWell(text string) {
	b.t.Helper()
	b.visit("/")
	b.awaitText("#live", "Open sagas")
	b.awaitGone("#live .attention", text)
}

// opened opens a form by its button, and waits until it has taken the focus and shows its preview.
func (b *tab) opened(form string) {
	b.t.Helper()
	b.click(form + " > summary")
	b.await(fmt.Sprintf(`document.activeElement?.closest("form") === document.querySelector(%q).querySelector("form")`, form))
	b.await(fmt.Sprintf(`!document.querySelector(%q).querySelector(".preview:empty")`, form))
}

// does opens a form by its button, fills in the reason and sends it; it waits for the outcome.
func (b *tab) does(form, reason, outcome string) {
	b.t.Helper()
	b.opened(form)
	b.fill(form+" input[name=reason]", reason)
	b.click(form + " .buttons button:not([data-close])")
	b.awaitText(form+" output", outcome)
	b.await(fmt.Sprintf(`!document.querySelector(%q).querySelector("input[name=reason]").checkVisibility()`, form)) // the outcome took its place
}

// Anyone who asks for the order meanwhile learns why it has no saga, and sees it as soon as it has.
func TestOnCall_TheRelayIsPaused(t *testing.T) { //nolint:paralleltest // it pauses what all tests need
	tab := open(t, operatorToken)
	tab.world.call(t, http.MethodPost, stack.Relay, "/v1/outbox/orders/pause", `{"reason":"and forgot it"}`)
	order := tab.world.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, false)
	waiting := open(t, viewerToken)
	waiting.becomes(order, "There is no such saga")
	waiting.awaitText("#explain", "No saga has begun")
	waiting.awaitText("#explain", "paused")
	waiting.accessible()
	waiting.shot("saga-not-begun")
	tab.notices("the outbox of orders is paused")
	tab.awaitText("#live", "Paused by an operator")
	tab.does(`details[id="action:/outbox/orders/resume"]`, "forgotten", "Resumed")
	tab.isWell("paused")
	waiting.awaitText("#live", "CONFIRMED")
	waiting.awaitGone("#explain", "No saga has begun")
}

// The topic of Orders' dead letters is gone, and one more is to go there.
func TestOnCall_ATopicIsMissing(t *testing.T) { //nolint:paralleltest // it deletes what other tests need
	tab := open(t, operatorToken)
	w, topic := tab.world, contracts.TopicOrderCommands+".dlq"
	w.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true) // there is a topic that it can be like
	w.deleteTopic(t, topic)
	letter := w.deadLetter(t, 8_700_000_001, "")
	tab.notices("of orders the broker refuses")
	tab.awaitText("#live", topic)
	tab.awaitText("#live", "UNKNOWN_TOPIC")
	form := fmt.Sprintf(`details[id="action:/outbox/orders/topics/%s/create"]`, topic)
	tab.click(form + " > summary")
	tab.awaitText(form+" .preview", "3 partitions")
	tab.accessible()
	tab.shot("topic-missing")
	tab.click(form + " [data-close]")
	tab.does(form, "somebody has deleted it", "was created")
	tab.isWell("the broker refuses")
	require.Equal(t, 3, w.partitions(t, topic))
	tab.visit("/audit-log?action=outbox.create-topic")
	tab.awaitText("#live", "topic/"+topic)
	tab.visit(fmt.Sprintf("/dead-letters/orders/%d", letter))
	tab.does(`details[id="action:/dead-letters/orders/`+fmt.Sprint(letter)+`/discard"]`, "of a test", "iscarded")
	tab.isWell("dead letter")
}

func (w *world) kafka(t *testing.T, request kmsg.Request) kmsg.Response {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.broker()))
	require.NoError(t, err)
	defer client.Close()
	response, err := client.Request(t.Context(), request)
	require.NoError(t, err)
	return response
}

func (w *world) deleteTopic(t *testing.T, topic string) {
	t.Helper()
	request := kmsg.NewPtrDeleteTopicsRequest()
	one := kmsg.NewDeleteTopicsRequestTopic()
	one.Topic = &topic
	request.Topics, request.TopicNames = append(request.Topics, one), []string{topic}
	for _, answer := range w.kafka(t, request).(*kmsg.DeleteTopicsResponse).Topics {
		require.NoError(t, kerr.ErrorForCode(answer.ErrorCode))
	}
}

func (w *world) partitions(t *testing.T, topic string) int {
	t.Helper()
	request := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &topic
	request.Topics = append(request.Topics, one)
	return len(w.kafka(t, request).(*kmsg.MetadataResponse).Topics[0].Partitions)
}

// A frozen process takes connections and answers nothing. It is frozen and thawed in the console.
func TestOnCall_AServiceIsFrozen(t *testing.T) { //nolint:paralleltest // it freezes what all tests need
	tab := open(t, adminToken)
	t.Cleanup(func() { _ = tab.world.stack.Act(context.WithoutCancel(t.Context()), stack.Thaw, stack.Inventory) })
	tab.visit("/break-it")
	tab.click(`button[aria-label="freeze inventory"]`)
	tab.awaitText("#process-inventory", "frozen")
	order := tab.world.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, false)
	tab.notices("inventory does not answer")
	tab.awaitText("#process-inventory", "frozen")
	tab.accessible()
	tab.shot("break-it-frozen")
	tab.visit("/")
	tab.awaitText("#live", "it last said so") // its lag is not known
	tab.visit("/break-it")
	tab.click(`button[aria-label="thaw inventory"]`)
	tab.awaitText("#process-inventory", "running")
	tab.isWell("inventory")
	tab.becomes(order, "CONFIRMED")
}

// A session has changed a row with the service's login and has not committed.
func TestOnCall_ARowIsLocked(t *testing.T) { //nolint:paralleltest // it holds up what all tests need
	tab := open(t, operatorToken)
	w := tab.world
	sku := w.shelf(t, "lamp-locked")
	conn, err := pgx.Connect(t.Context(), w.loginOf(t, stack.Inventory))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), `set application_name = 'psql'`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `begin`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `update stock set on_hand = on_hand - 1 where sku = $1`, sku)
	require.NoError(t, err)
	order := w.place(t, fmt.Sprintf(`{"userId":"u1","sku":%q,"quantity":1}`, sku), false)
	tab.notices("inventory waits for a lock")
	row := fmt.Sprintf("#holder-inventory-%d", conn.PgConn().PID())
	tab.awaitText(row, "psql")
	tab.awaitText(row, "idle in transaction")
	tab.awaitText(row, "stock")
	tab.awaitText(row, "update stock set on_hand")
	tab.accessible()
	tab.shot("locks")
	tab.phone()
	tab.shot("locks-phone")
	tab.does(row+" details", "its owner went home", "was ended")
	tab.isWell("inventory")
	tab.becomes(order, "CONFIRMED")
	viewer := open(t, viewerToken)
	require.NotContains(t, eval[string](viewer, `fetch("/locks").then(r => r.text())`), "update stock")
}

// loginOf is how a service reaches its database.
func (w *world) loginOf(t *testing.T, service string) string {
	t.Helper()
	p, _ := w.stack.State().Process(service)
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Pid))
	require.NoError(t, err)
	variables := strings.Split(string(environment), "\x00")
	i := slices.IndexFunc(variables, func(v string) bool { return strings.HasPrefix(v, "DATABASE_URL=") })
	require.GreaterOrEqual(t, i, 0)
	return strings.TrimPrefix(variables[i], "DATABASE_URL=")
}

// An operator has forced a saga to CONFIRMED whose items were never there. The audit beside the
// system notices.
func TestOnCall_ASagaIsForced(t *testing.T) { //nolint:paralleltest // it pauses what all tests need
	tab := open(t, adminToken)
	w := tab.world
	w.watch(t)
	w.call(t, http.MethodPost, stack.Relay, "/v1/outbox/orchestrator/pause", `{"reason":"to be faster than Inventory"}`)
	w.until(t, stack.Relay, "/v1/sources", `"state":"paused"`)
	order := w.place(t, `{"userId":"u1","sku":"unicorn","quantity":1}`, false)
	w.until(t, stack.Orchestrator, "/v1/sagas?state=RUNNING", `"id":"`+order+`"`)
	w.call(t, http.MethodPost, stack.Orchestrator, "/v1/sagas/"+order+"/force?wait=0", `{"end":"CONFIRMED","reason":"the customer was angry"}`)
	w.call(t, http.MethodPost, stack.Relay, "/v1/outbox/orchestrator/resume", `{"reason":"done"}`)

	tab.notices("the audit found")
	tab.awaitText("#live", "order "+order)
	tab.accessible()
	eval[bool](tab, "document.querySelector('#audit').scrollIntoView(), true")
	tab.shot("audit-findings")
	eval[bool](tab, fmt.Sprintf(`([...document.querySelectorAll("tr a.row")].find(a => a.innerText === "order %s").click(), true)`, order))
	tab.await(`location.pathname === "/find" && document.querySelector("main a.row")`)
	tab.click(`main a.row[href*="/sagas/"]`)
	tab.awaitText("#live", "the customer was angry")
	tab.does(`[id="act:cancel:saga"]`, "there are no unicorns", "CANCELLED")
	tab.awaitText("#live", "CANCELLED")
	tab.visit("/")
	tab.awaitText("#live", "last pass")
	tab.awaitGone("#live", "order "+order)
	require.Contains(t, w.call(t, http.MethodGet, stack.Orders, "/v1/orders/"+order, ""), `"CANCELLED"`)
}

// until waits until a service says something.
func (w *world) until(t *testing.T, process, path, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(w.call(t, http.MethodGet, process, path, ""), text) }, patience, 50*time.Millisecond, text)
}

// watch has the audit beside the system until the test ends, as make audit AUDITFLAGS=--watch does.
func (w *world) watch(t *testing.T) {
	t.Helper()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	binary := filepath.Join(w.dir, "drills")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./drills")
	build.Dir = workspace
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	watch := exec.Command(binary, "audit", "--dir", w.dir, "--watch", "--every", "500ms", "--settle", "500ms", "--addr", w.audit)
	watch.Stdout, watch.Stderr = t.Output(), t.Output()
	require.NoError(t, watch.Start())
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait() })
}

// Inventory's reply says "reserved":"yes", which the orchestrator cannot read.
func TestOnCall_AReplyIsDeadLettered(t *testing.T) { //nolint:paralleltest // a dead letter would be another test's trouble
	tab := open(t, operatorToken)
	w := tab.world
	const id = 700_900
	order := w.waiting(t, id, "u1", w.shelf(t, "lamp-reply"))
	command := query[string](t, w, "orchestrator", `select steps -> 1 -> 'sent' ->> 0 from sagas where id = $1`, order)
	reply, err := contracts.Encode(contracts.InventoryReserved{Envelope: contracts.NewEnvelope(id, uuid.New(), time.Now()), Reserved: true})
	require.NoError(t, err)
	w.produce(t, &kgo.Record{
		Topic: contracts.TopicInventory, Key: []byte(order), Value: []byte(strings.Replace(string(reply.Payload), `"reserved":true`, `"reserved":"yes"`, 1)),
		Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("InventoryReserved")}, {Key: contracts.HeaderInReplyTo, Value: []byte(command)}, {Key: contracts.HeaderCausationID, Value: []byte(command)}},
	})
	tab.notices("1 dead letter of orchestrator")
	tab.awaitText("#live", "InventoryReserved")
	tab.click(`#live a[href*="/dead-letters/orchestrator/"]`)
	tab.awaitText(".payload", `"yes"`)
	tab.click(`a[href$="/edit"]`)
	tab.awaitText("h1", "Edit dead letter")
	tab.until("#difference", "orchestrator would read it", func() {
		eval[bool](tab, `(p => { p.value = p.value.replace('"yes"', 'true'); return true })(document.querySelector("#payload"))`)
		tab.click("form.form button.primary")
	})
	tab.fill("#difference input[name=reason]", "it meant true")
	tab.click("#difference button.primary")
	tab.awaitText("#difference output", "has its place")
	tab.isWell("dead letter")
	tab.becomes(order, "CONFIRMED")
}
