package collect

import (
	"context"
	"encoding/json"
	"time"

	"waybill.example/chassis/auditlog"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/saga"
)

// Trail finds out what a saga sent and was sent, and what its data was after each transition. The
// errors are those of [inspect.Inspector.Get]; a service that does not answer is named.
func (c *Collector) Trail(ctx context.Context, ref saga.Ref, now time.Time) (explain.Trail, error) {
	state, history, err := c.Sagas.Get(ctx, ref)
	if err != nil {
		return explain.Trail{}, err
	}
	e := explain.Evidence{ID: state.ID, Now: now.UTC(), Registry: c.Sagas.Registry(), Saga: &state, History: history, Payloads: true}
	c.collect(ctx, &e)
	c.records(ctx, &e)
	c.reveal(ctx, &e)
	return e.Trail(c.Decode, c.edits(ctx, e)), nil
}

// reveal decodes the payloads that can be decoded here. What cannot stays as it travels.
func (c *Collector) reveal(ctx context.Context, e *explain.Evidence) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, d := range e.Databases {
		for i := range d.Sent {
			m := &d.Sent[i]
			m.Encoding = payload.Describe(func(name string) string { return m.Headers[name] })
			if c.Payloads == nil || m.Encoding == "" || int64(len(m.Payload)) < m.PayloadBytes {
				continue
			}
			plain, err := c.Payloads.Decode(ctx, payload.Message{
				ID: m.EventID, Topic: m.Topic, Key: e.ID, Type: m.Type, Headers: m.Headers, Value: m.Payload,
			})
			if err == nil {
				m.Payload, m.PayloadBytes, m.Headers = plain.Value, int64(len(plain.Value)), plain.Headers
			}
		}
	}
}

// edits returns what operators wrote into the saga's data, by the revision that they made of it, as
// the audit log has it.
func (c *Collector) edits(ctx context.Context, e explain.Evidence) map[int]json.RawMessage {
	edits := map[int]json.RawMessage{}
	for _, l := range e.History {
		if l.CauseType == string(saga.ActEditData) {
			edits[l.Seq] = nil
		}
	}
	if len(edits) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// An entry that has expired, or cannot be read, is one that is not known.
	entries, _ := auditlog.List(ctx, c.Sagas.DB(), auditlog.Filter{Object: "saga/" + e.Saga.Ref().String(), Action: "saga." + string(saga.ActEditData)})
	clear(edits)
	for _, entry := range entries {
		var after struct {
			Revision int
			Data     json.RawMessage
		}
		if json.Unmarshal(entry.After, &after) == nil && after.Data != nil {
			edits[after.Revision] = after.Data
		}
	}
	return edits
}
