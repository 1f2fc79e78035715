package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill.example/devstack/stack"
)

// history is finished orders to be: count of them from the id first on, copies of the order
// template.
type history struct{ template, first, count int64 }

// table says which rows of a table belong to the template, and which columns differ from copy to
// copy; in both, $1 stands for the template and n for the copy. A column that is not named is
// copied, an identity is drawn.
type table struct {
	name, rows string
	columns    map[string]string
}

const templateSQL = `
select (select id from orders where status = 'CONFIRMED' order by id desc limit 1), max(id) from orders`

// A version 7 UUID's time is what makes it sort; copies count up in its place, so that the indexes
// are filled from the right as they are in life.
const nextEventID = `(lpad(to_hex(1600000000000 + n), 12, '0') || substr(replace(event_id::text, '-', ''), 13))::uuid`

// outboxTable and inboxTable hold every message that the template has sent and received. An inbox
// does not say which order a message was about, so it is found by what the others have sent.
func outboxTable() table {
	return table{"outbox", "key = $1::text", map[string]string{"event_id": nextEventID, "key": "n::text"}}
}

func inboxTable(messages int) table {
	return table{
		"inbox", fmt.Sprintf("(event_id, consumer) in (select event_id, consumer from inbox where $1 > 0 order by event_id desc limit %d)", messages),
		map[string]string{"event_id": nextEventID},
	}
}

var historyTables = map[string][]table{
	stack.Orders: {
		{"orders", "id = $1::bigint", map[string]string{"id": "n"}},
		outboxTable(), inboxTable(1),
	},
	stack.Inventory: {
		{"reservations", "order_id = $1::bigint", map[string]string{"order_id": "n"}},
		outboxTable(), inboxTable(1),
	},
	stack.Orchestrator: {
		{"sagas", "id = $1::text", map[string]string{"id": "n::text"}},
		{"saga_transitions", "saga_id = $1::text", map[string]string{"saga_id": "n::text"}},
		outboxTable(), inboxTable(3),
	},
}

// published says that the relay has sent all of an outbox.
const publishedSQL = `
update outbox_cursor set published = published + int8multirange(int8range(1, (select max(id) + 1 from outbox)))`

// drawnSQL has the next order's id follow the copies.
const drawnSQL = `select setval(pg_get_serial_sequence('orders', 'id'), greatest($1::bigint, (select max(id) from orders)))`

const columnsSQL = `
select attname::text as name, attidentity <> '' or attgenerated <> '' as drawn from pg_attribute
where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`

type column struct {
	Name  string
	Drawn bool // by the table itself
}

// chunk is how many copies one transaction makes.
const chunk = 100_000

// fill makes the copies in one database, and leaves it as a database is that has had the time to
// tidy up.
func (h history) fill(ctx context.Context, url string, tables []table) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to fill the tables: %w", err)
	}
	defer conn.Close(ctx)
	for _, t := range tables {
		sql, err := t.copySQL(ctx, conn, h.template)
		if err != nil {
			return err
		}
		for from := h.first; from < h.first+h.count; from += chunk {
			if _, err := conn.Exec(ctx, sql, from, min(from+chunk, h.first+h.count)-1); err != nil {
				return fmt.Errorf("fill %s: %w", t.name, err)
			}
		}
		if t.name == stack.Orders {
			if _, err := conn.Exec(ctx, drawnSQL, h.first+h.count-1); err != nil {
				return fmt.Errorf("move the ids of orders: %w", err)
			}
		}
		if _, err := conn.Exec(ctx, "vacuum (analyze) "+pgx.Identifier{t.name}.Sanitize()); err != nil {
			return fmt.Errorf("vacuum %s: %w", t.name, err)
		}
	}
	if _, err := conn.Exec(ctx, publishedSQL); err != nil {
		return fmt.Errorf("move the cursor of the outbox: %w", err)
	}
	_, err = conn.Exec(ctx, "checkpoint")
	return err
}

// copySQL returns the statement that makes the copies $1 to $2.
func (t table) copySQL(ctx context.Context, conn *pgx.Conn, template int64) (string, error) {
	rows, err := conn.Query(ctx, columnsSQL, t.name)
	if err != nil {
		return "", fmt.Errorf("look up the columns of %s: %w", t.name, err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByName[column])
	if err != nil {
		return "", fmt.Errorf("look up the columns of %s: %w", t.name, err)
	}
	var names, values []string
	for _, c := range columns {
		quoted := pgx.Identifier{c.Name}.Sanitize()
		switch value, differs := t.columns[c.Name]; {
		case differs:
			names, values = append(names, quoted), append(values, value)
		case !c.Drawn:
			names, values = append(names, quoted), append(values, quoted)
		}
	}
	where := strings.ReplaceAll(t.rows, "$1", fmt.Sprintf("'%d'", template))
	return fmt.Sprintf(`insert into %s (%s) overriding system value
select %s from (select * from %s where %s) template cross join generate_series($1::bigint, $2::bigint) n`,
		t.name, strings.Join(names, ", "), strings.Join(values, ", "), t.name, where), nil
}
