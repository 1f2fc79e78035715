package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/chassis/shell"
	"waybill.example/contracts"
	"waybill.example/drills/load"
)

// The commands that findings propose. They are written to be pasted into a shell in the source tree
// of a running stack, by somebody who holds every password of it; what is in a row may have been
// written by somebody who holds one. So each is put together by package shell and by nothing else.

// command is a line for a shell, or instead where a word of it cannot be shown.
func command(instead string, words ...string) string {
	line, err := shell.Command(words...)
	if err != nil {
		return instead
	}
	return line
}

// psql is a command that runs one statement in a database, or instead.
func psql(instead, database, statement string) string {
	quoted, err := shell.Quote(statement)
	if err != nil {
		return instead
	}
	variable := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(database))
	return `psql "$` + variable + `_DB" -c ` + quoted
}

// literal is text as SQL reads it.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func number(n int64) string { return strconv.FormatInt(n, 10) }

func repairExplain(order int64) string {
	return command("", "orchestrator", "saga", "explain", number(order))
}

func repairShow(order int64) string {
	return `curl -s ` + ordersURL + `/v1/orders/` + number(order)
}

// ordersURL is where Orders is, as the command waybill finds it.
const ordersURL = `"${ORDERS_URL:-http://localhost:8080}"`

// post is a request to Orders with a JSON body. The path is of our own making.
func post(instead, path string, body any) string {
	text, err := json.Marshal(body)
	if err != nil {
		return instead
	}
	quoted, err := shell.Quote(string(text))
	if err != nil {
		return instead
	}
	return `curl -s --fail-with-body -X POST ` + ordersURL + path + ` -H 'Content-Type: application/json' -d ` + quoted
}

func repairCancel(order int64) string {
	return post(repairShow(order), "/v1/orders/"+number(order)+"/cancel", map[string]string{"reason": "not reserved"})
}

// repairLost places the order again: the client believes that it has one.
func repairLost(e load.Entry) string {
	body := map[string]any{"userId": e.UserID, "sku": e.SKU, "quantity": e.Quantity}
	if len(e.Items) > 0 {
		body = map[string]any{"userId": e.UserID, "items": e.Items}
	}
	return post(repairShow(e.OrderID), "/v1/orders", body)
}

// repairMissing gives Orders what its sagas know of orders that it has lost.
const repairMissing = `psql "$ORCHESTRATOR_DB" -At -f docs/recover-orders.sql | psql "$ORDERS_DB" -v ON_ERROR_STOP=1 --single-transaction`

// repairRelease writes the command that the saga would have sent into the orchestrator's outbox.
// Inventory releases what an order holds, and does nothing where it holds nothing.
func repairRelease(order int64) string {
	return repairCommand(contracts.ReleaseInventory{Envelope: contracts.NewEnvelope(order, uuid.Nil, time.Now())})
}

// repairForced sends the order the command that its saga, which has ended without it, did not.
func repairForced(order int64, state string) string {
	envelope := contracts.NewEnvelope(order, uuid.Nil, time.Now())
	if state == confirmed {
		return repairCommand(contracts.ConfirmOrder{Envelope: envelope})
	}
	return repairCommand(contracts.CancelOrder{Envelope: envelope, Reason: "cancelled by an operator"})
}

func repairCommand(m contracts.Message) string {
	record, err := contracts.Encode(m)
	if err != nil {
		return "make audit"
	}
	return psql(repairExplain(m.Meta().OrderID), "orchestrator", fmt.Sprintf(
		"insert into outbox (event_id, topic, key, type, payload) values ('%s', %s, %s, %s, convert_to(%s, 'UTF8'))",
		record.EventID, literal(record.Topic), literal(record.Key), literal(record.Type), literal(string(record.Payload))))
}

// replayReason is what the relay's audit log says of a replay that the audit has proposed.
const replayReason = "found by the audit"

func repairReplayKey(database string, order int64) string {
	return command("", "outbox-relay", "replay", "--database="+database, "--key="+number(order), "--yes", "--reason="+replayReason)
}

func repairReplayRows(first, last row) string {
	return command("", "outbox-relay", "replay", "--database="+first.Database, "--from-id="+number(first.ID), "--to-id="+number(last.ID), "--yes", "--reason="+replayReason)
}

func repairPending(w row) string {
	return command("", "outbox-relay", "pending", "--database="+w.Database)
}

func repairLook(w row) string {
	return command("", "outbox-relay", "show", number(w.ID), "--database="+w.Database)
}

// repairStuck has one row tried again, or all of them.
func repairStuck(database string, ids []int64) string {
	which := "--all"
	if len(ids) == 1 {
		which = number(ids[0])
	}
	return command("", "outbox-relay", "stuck", "retry", "--database="+database, which)
}

func repairShowRow(w row) string {
	return psql(repairLook(w), w.Database, fmt.Sprintf("select * from outbox where event_id = '%s'", w.EventID))
}

// repairStock trusts what is on hand and what is reserved, and corrects what was
// received.
func repairStock(s stockLevel) string {
	return psql(lookAtStock(s), "inventory", fmt.Sprintf("update stock set received = %d where sku = %s and on_hand = %d",
		s.OnHand+s.Reserved, literal(s.SKU), s.OnHand))
}

// lookAtStock finds a sku whose name cannot be shown.
func lookAtStock(s stockLevel) string {
	return psql("", "inventory", fmt.Sprintf("select encode(convert_to(sku, 'UTF8'), 'escape'), * from stock where received = %d and on_hand = %d", s.Received, s.OnHand))
}

// repairMovements trusts the level, which somebody has changed by hand, and logs the change.
func repairMovements(s stockLevel) string {
	return psql(lookAtStock(s), "inventory", fmt.Sprintf(
		"insert into stock_movements (sku, kind, delta, on_hand, reserved, reason, actor) values (%s, 'set', %d, %d, %d, 'changed outside of the API', session_user)",
		literal(s.SKU), s.Received-s.Moved, s.OnHand, s.Received-s.OnHand))
}

// repairOverdue looks first: a saga that waits for something which is down is not helped by asking
// again.
func repairOverdue(order int64) string {
	return repairExplain(order) + " && " + command("", "orchestrator", "saga", "retry", number(order), "--reason", "overdue")
}

// startConflict is in the reason of a dead letter whose saga another message has started
// (saga.ErrStartConflict).
const startConflict = "the saga was started by another message"

// usedBefore is in the reason of a dead letter that has the event id of a message which was handled
// (inbox.ConflictError).
const usedBefore = "was used before, by another message at"

// repairDeadLetter has the message applied again, now that what was wrong is repaired. An order
// whose id another order's saga has (Orders was restored) can be ended together with that saga
// only. An event that a restored database has decided again, and otherwise, is one whose first
// version has had its effect.
func repairDeadLetter(w row, restored bool) string {
	switch {
	case strings.Contains(w.Reason, startConflict):
		return command(repairLook(w), "orchestrator", "saga", "cancel", w.Key, "--reason=the order id was given out twice; please order again")
	case w.Letter == 0:
		return command("", "waybill", "dlq", "groups", "--service="+w.Database)
	case strings.Contains(w.Reason, usedBefore) && restored:
		return command("", "waybill", "dlq", "discard", number(w.Letter), "--service="+w.Database, "--reason=decided again after a restore; the first decision has had its effect")
	case strings.Contains(w.Reason, usedBefore):
		return command("", "waybill", "dlq", "show", number(w.Letter), "--service="+w.Database)
	}
	return command("", "waybill", "dlq", "redrive", number(w.Letter), "--service="+w.Database, "--reason=repaired")
}

// redriving begins the commands that have a dead letter applied again.
const redriving = "waybill dlq redrive "

// repairDeadLetters has all dead letters of a service applied again.
func repairDeadLetters(database string) string {
	return command("", "waybill", "dlq", "redrive", "--service="+database, "--all", "--reason=repaired")
}

func repairShowMessage(m message) string {
	return command("kcat -b localhost:19092 -L", "kcat", "-b", "localhost:19092", "-C", "-t", m.Topic, "-p", number(int64(m.Partition)), "-o", number(m.Offset),
		"-c", "1", "-f", `%h\n%s\n`)
}

// looking are the beginnings of commands that show more and change nothing.
var looking = []string{
	"orchestrator saga explain ", "outbox-relay pending ", "outbox-relay show ", "waybill dlq groups ", "waybill dlq show ", "kcat ", "make audit",
	"curl -s " + ordersURL,
}

// looks reports whether a command shows more and changes nothing.
func looks(command string) bool {
	if command == "" || strings.HasPrefix(command, "psql ") && strings.Contains(command, " -c 'select ") {
		return true
	}
	return !strings.Contains(command, " && ") && slices.ContainsFunc(looking, func(begins string) bool { return strings.HasPrefix(command, begins) })
}
