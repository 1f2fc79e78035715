package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill/contracts"
	"waybill/drills/load"
)

// The commands that findings propose. They are written to be pasted into a shell in the source tree
// of a running stack.

func repairExplain(order int64) string { return fmt.Sprintf("orchestrator saga explain %d", order) }

func repairShow(order int64) string {
	return fmt.Sprintf("curl -s localhost:8080/v1/orders/%d", order)
}

func repairCancel(order int64) string {
	return fmt.Sprintf(`curl -s -X POST localhost:8080/v1/orders/%d/cancel -H 'Content-Type: application/json' -d '{"reason":"not reserved"}'`, order)
}

// repairLost places the order again: the client believes that it has one.
func repairLost(e load.Entry) string {
	body, _ := json.Marshal(map[string]any{"userId": e.UserID, "sku": e.SKU, "quantity": e.Quantity}) // strings and a number
	return fmt.Sprintf("curl -s -X POST localhost:8080/v1/orders -H 'Content-Type: application/json' -d '%s'", quote(string(body)))
}

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
	return fmt.Sprintf(`psql "$ORCHESTRATOR_DB" -c "insert into outbox (event_id, topic, key, type, payload) values ('%s', '%s', '%s', '%s', convert_to('%s', 'UTF8'))"`,
		record.EventID, record.Topic, record.Key, record.Type, strings.ReplaceAll(string(record.Payload), `"`, `\"`))
}

func repairReplayKey(database string, order int64) string {
	return fmt.Sprintf("outbox-relay replay --database %s --key %d --yes", database, order)
}

func repairReplayRows(first, last row) string {
	return fmt.Sprintf("outbox-relay replay --database %s --from-id %d --to-id %d --yes", first.Database, first.ID, last.ID)
}

func repairPending(w row) string { return "outbox-relay pending --database " + w.Database }

func repairLook(w row) string {
	return fmt.Sprintf("outbox-relay show %d --database %s", w.ID, w.Database)
}

// repairStuck has one row tried again, or all of them.
func repairStuck(database string, ids []int64) string {
	if len(ids) == 1 {
		return fmt.Sprintf("outbox-relay stuck retry --database %s %d", database, ids[0])
	}
	return fmt.Sprintf("outbox-relay stuck retry --database %s --all", database)
}

func repairShowRow(w row) string {
	return fmt.Sprintf(`psql "$%s_DB" -c "select * from outbox where event_id = '%s'"`, strings.ToUpper(w.Database), w.EventID)
}

// repairStock trusts what is on the shelf and what is reserved of it, and corrects what was received.
func repairStock(s shelf) string {
	return fmt.Sprintf(`psql "$INVENTORY_DB" -c "update stock set received = %d where sku = '%s' and on_hand = %d"`,
		s.OnHand+s.Reserved, strings.NewReplacer("'", "''", `"`, `\"`, "$", `\$`, "`", "\\`", `\`, `\\`).Replace(s.SKU), s.OnHand)
}

// repairOverdue looks first: a saga that waits for something which is away is not helped by asking again.
func repairOverdue(order int64) string {
	return fmt.Sprintf(`orchestrator saga explain %d && orchestrator saga retry %d --reason "overdue"`, order, order)
}

// repairDeadLetter gives the message back to its consumer, which must have been mended first.
func repairDeadLetter(w row) string {
	return fmt.Sprintf("outbox-relay replay --database %s --from-id %d --to-id %d --topic %s --yes",
		w.Database, w.ID, w.ID, strings.TrimSuffix(w.Topic, ".dlq"))
}

// quote makes text safe between single quotes of a shell.
func quote(text string) string { return strings.ReplaceAll(text, "'", `'\''`) }

func repairShowMessage(m message) string {
	return fmt.Sprintf("kcat -b localhost:19092 -C -t %s -p %d -o %d -c 1 -f '%%h\\n%%s\\n'", m.Topic, m.Partition, m.Offset)
}
