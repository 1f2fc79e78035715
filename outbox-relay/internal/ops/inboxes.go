package ops

import (
	"context"
	"maps"
	"slices"
)

// inboxCount adds up, over the pages of a selection, what the consumers of one database know of it.
type inboxCount struct {
	consumers map[string]*Effect
	topics    map[string][]string // topic → its consumers here
	err       error
}

const (
	// Who reads a topic shows in how far they have come, and where that was not kept in what they
	// have handled lately.
	consumersSQL = `
select consumer from public.consumer_positions where topic = $1
union
select consumer
  from public.inbox
 where ctid >= format('(%s,0)', greatest(0, pg_relation_size('public.inbox') / current_setting('block_size')::bigint - 128))::tid
   and topic = $1`
	knownSQL = `select consumer, count(*) from public.inbox where event_id = any($1::uuid[]) group by consumer`
)

func (c *inboxCount) add(ctx context.Context, inbox *Database, events []event) {
	if c.err != nil {
		return
	}
	if c.consumers == nil {
		c.consumers, c.topics = map[string]*Effect{}, map[string][]string{}
	}
	byTopic := map[string][]string{}
	for _, e := range events {
		byTopic[e.Topic] = append(byTopic[e.Topic], e.EventID)
	}
	for topic, ids := range byTopic {
		if c.err = c.addTopic(ctx, inbox, topic, ids); c.err != nil {
			return
		}
	}
}

func (c *inboxCount) addTopic(ctx context.Context, inbox *Database, topic string, ids []string) error {
	readers, ok := c.topics[topic]
	if !ok {
		found, err := collect[struct{ Name string }](ctx, inbox, "list consumers", consumersSQL, topic)
		if err != nil {
			return err
		}
		for _, consumer := range found {
			readers = append(readers, consumer.Name)
		}
		c.topics[topic] = readers
	}
	if len(readers) == 0 {
		return nil
	}
	known, err := collect[struct {
		Consumer string
		Rows     int64
	}](ctx, inbox, "look up events", knownSQL, ids)
	if err != nil {
		return err
	}
	counts := map[string]int64{}
	for _, k := range known {
		counts[k.Consumer] = k.Rows
	}
	for _, consumer := range readers {
		effect := c.consumers[consumer]
		if effect == nil {
			effect = &Effect{Consumer: consumer}
			c.consumers[consumer] = effect
		}
		effect.Known += counts[consumer]
		effect.New += int64(len(ids)) - counts[consumer]
	}
	return nil
}

func (c *inboxCount) effects(database string) []Effect {
	var all []Effect
	for _, consumer := range slices.Sorted(maps.Keys(c.consumers)) {
		effect := *c.consumers[consumer]
		effect.Database = database
		all = append(all, effect)
	}
	return all
}
