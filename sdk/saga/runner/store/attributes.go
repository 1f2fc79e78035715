package store

import (
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Attributes are rows of their own, written when a saga's data has changed and not with each step:
// an index on the saga's row would be written by each update of it.
const forgetAttributesSQL = `
delete from saga_attributes a
 using unnest($1::text[], $2::text[]) as n (id, definition)
 where a.saga_id = n.id and a.definition = n.definition`

const attributesSQL = `
insert into saga_attributes (saga_id, definition, name, value, started_at)
select n.id, n.definition, n.name, n.value, n.started_at
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) as n (id, definition, name, value, started_at)`

// saveAttributes queues what writes the attributes of the sagas that have changed them.
func saveAttributes(batch *pgx.Batch, changes []*Change) {
	var oldIDs, oldDefinitions, ids, definitions, names, values []string
	var started []time.Time
	for _, c := range changes {
		if c.Attributes == nil {
			continue
		}
		if c.Before.Exists() {
			oldIDs, oldDefinitions = append(oldIDs, c.After.ID), append(oldDefinitions, c.After.Definition)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
			ids, definitions = append(ids, c.After.ID), append(definitions, c.After.Definition)
			names, values = append(names, name), append(values, c.Attributes[name])
			started = append(started, c.After.StartedAt)
		}
	}
	if len(oldIDs) > 0 {
		batch.Queue(forgetAttributesSQL, oldIDs, oldDefinitions)
	}
	if len(ids) > 0 {
		batch.Queue(attributesSQL, ids, definitions, names, values, started)
	}
}
