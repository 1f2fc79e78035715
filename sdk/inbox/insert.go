package inbox

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

const insertSQL = `
insert into inbox (event_id, consumer, topic, "partition", "offset", digest)`

// The witness is looked up by the insert itself: a statement of its own costs four times as much.
// So is whether there are keys whose messages wait.
const (
	acceptedSQL = `
on conflict do nothing
returning event_id, now(), exists (select from parked_keys where consumer = $1)`
	witnessedSQL = `
where case when exists (select from inbox where consumer = $1 and event_id = $2) then true
      else inbox_expect_positions(0, 1) is null end`
)

// arraysSQL takes any number of rows.
const arraysSQL = insertSQL + `
select event_id, $1, topic, "partition", "offset", digest
from unnest($3::uuid[], $4::text[], $5::int[], $6::bigint[], $7::bigint[])
  as m (event_id, topic, "partition", "offset", digest)
where $2::uuid is null or case when exists (select from inbox where consumer = $1 and event_id = $2) then true
      else inbox_expect_positions(0, 1) is null end` + acceptedSQL

// listed is up to how many rows a list of values costs less than arrays do: by 8 to 13 µs of
// Postgres.
const listed = 4

// listSQL is the statements for lists of values, by the number of rows and whether there is a
// witness.
var listSQL = func() (sql [listed + 1][2]string) {
	for n := 1; n <= listed; n++ {
		sql[n] = [2]string{list(n, false), list(n, true)}
	}
	return sql
}()

func list(n int, witnessed bool) string {
	rows, parameter := make([]string, n), 2
	if witnessed {
		parameter++
	}
	for i := range rows {
		rows[i] = fmt.Sprintf("($%d::uuid, $1, $%d::text, $%d::int, $%d::bigint, $%d::bigint)",
			parameter, parameter+1, parameter+2, parameter+3, parameter+4)
		parameter += 5
	}
	values := "values " + strings.Join(rows, ", ")
	if witnessed {
		values = "select * from (" + values + ") as m" + witnessedSQL
	}
	return insertSQL + "\n" + values + acceptedSQL
}

// statement returns the insert of the rows.
func (a *acceptance) statement(witness uuid.UUID) (sql string, args []any) {
	n := len(a.rows)
	if n > listed {
		return arraysSQL, a.arrays(witness)
	}
	args = make([]any, 0, 2+5*n)
	args = append(args, a.consumer)
	sql = listSQL[n][0]
	if witness != uuid.Nil {
		sql, args = listSQL[n][1], append(args, [16]byte(witness))
	}
	for _, i := range a.rows {
		d := &a.entries[i].Delivery
		args = append(args, [16]byte(a.entries[i].EventID), d.Topic, d.Partition, d.Offset, a.digests[i])
	}
	return sql, args
}

// arrays returns one array per column.
func (a *acceptance) arrays(witness uuid.UUID) []any {
	n := len(a.rows)
	ids, topics := make([][16]byte, n), make([]string, n) // what pgx encodes as it is
	partitions, offsets, digests := make([]int32, n), make([]int64, n), make([]int64, n)
	for to, i := range a.rows {
		d := &a.entries[i].Delivery
		ids[to], topics[to], partitions[to], offsets[to] = a.entries[i].EventID, d.Topic, d.Partition, d.Offset
		digests[to] = a.digests[i]
	}
	required := pgtype.UUID{Bytes: witness, Valid: witness != uuid.Nil}
	return []any{a.consumer, required, ids, topics, partitions, offsets, digests}
}
