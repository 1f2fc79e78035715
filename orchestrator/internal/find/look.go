package find

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/jobs"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// get asks a service; what it does not have is no error.
func get(ctx context.Context, c *apiclient.Client, path string, into any) (bool, error) {
	err := c.Get(ctx, path, into)
	if apiclient.NotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (f *Finder) order(ctx context.Context, id int64) ([]Meaning, error) {
	var order struct {
		Status, Reason, UserID string
		CreatedAt              time.Time
	}
	found, err := get(ctx, f.Orders, fmt.Sprintf("/v1/orders/%d", id), &order)
	if !found {
		return nil, err
	}
	what := fmt.Sprintf("%s, placed by %s at %s", order.Status, order.UserID, clock(order.CreatedAt))
	if order.Reason != "" {
		what += ": " + order.Reason
	}
	name := strconv.FormatInt(id, 10)
	return []Meaning{{"order", name, what, command("waybill", "explain", name)}}, nil
}

func (f *Finder) saga(ctx context.Context, definition, id string) ([]Meaning, error) {
	state, lines, err := f.Sagas.Get(ctx, saga.Ref{Definition: definition, ID: id})
	switch {
	case errors.Is(err, store.ErrSeveral):
		return []Meaning{{"saga", id, "several definitions have a saga of this id: " + err.Error(), ""}}, nil
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	what := fmt.Sprintf("%s since %s, version %d, revision %d", f.Sagas.Registry().StateName(state), clock(state.UpdatedAt), state.Version, state.Revision)
	if len(lines) > 0 {
		last := lines[len(lines)-1]
		what += fmt.Sprintf(", last %s by %s", strings.ReplaceAll(last.Kind, "_", " "), last.CauseType)
	}
	next := command("waybill", "saga", "show", "--definition="+state.Definition, "--", state.ID)
	if definition == "" && !strings.HasPrefix(id, "-") {
		next = command("waybill", "explain", id)
	}
	return []Meaning{{"saga", state.Definition + "/" + state.ID, what, next}}, nil
}

func (f *Finder) job(ctx context.Context, id int64) ([]Meaning, error) {
	job, err := f.Jobs.Get(ctx, id)
	if errors.Is(err, jobs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return jobMeaning(explain.OwnDatabase, job), nil
}

// jobOf asks another service for one of its jobs.
func jobOf(ctx context.Context, service string, client *apiclient.Client, id int64) ([]Meaning, error) {
	var job jobs.Job
	found, err := get(ctx, client, fmt.Sprintf("/v1/jobs/%d", id), &job)
	if !found {
		return nil, err
	}
	return jobMeaning(service, job), nil
}

func jobMeaning(service string, job jobs.Job) []Meaning {
	name := fmt.Sprintf("%s/%d", service, job.ID)
	what := fmt.Sprintf("%s of %d items for %s is %s: %d done, %d without effect, %d refused", job.Kind, job.Total, job.Actor, job.State, job.Done, job.NoEffect, job.Refused)
	return []Meaning{{"job", name, what, command("waybill", "jobs", "show", name)}}
}

// databases are those that the relay serves.
func (f *Finder) databases(ctx context.Context) ([]string, error) {
	var list struct{ Sources []struct{ Database string } }
	if err := f.Relay.Get(ctx, "/v1/sources", &list); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range list.Sources {
		names = append(names, s.Database)
	}
	return names, nil
}

// row is as much of a message as is used here.
type row struct {
	ID                  int64
	EventID, Topic, Key string
	Type, Status, Error string
	CreatedAt           time.Time
}

func (r row) meaning(database string) Meaning {
	what := fmt.Sprintf("%s for %s, key %s, written at %s: %s", r.Type, r.Topic, known(r.Key, "none"), clock(r.CreatedAt), r.Status)
	if r.Error != "" {
		what += ": " + r.Error
	}
	id := strconv.FormatInt(r.ID, 10)
	next := command("waybill", "relay", "show", "--database="+database, id)
	if r.Status == "stuck" {
		next = command("waybill", "relay", "stuck", "show", "--database="+database, id)
	}
	return Meaning{"outbox row", database + "/" + id, what, next}
}

func (f *Finder) row(ctx context.Context, database string, id int64) ([]Meaning, error) {
	var r row
	found, err := get(ctx, f.Relay, fmt.Sprintf("/v1/outbox/%s/rows/%d", url.PathEscape(database), id), &r)
	if !found {
		return nil, err
	}
	return []Meaning{r.meaning(database)}, nil
}

// key says what was sent under a key.
func (f *Finder) key(ctx context.Context, key string) ([]Meaning, error) {
	const limit = 200
	var found struct {
		Databases []struct {
			Database string
			Messages []row
		}
		Unreachable []string
	}
	query := url.Values{"key": {key}, "limit": {strconv.Itoa(limit)}}
	if err := f.Relay.Get(ctx, "/v1/messages?"+query.Encode(), &found); err != nil {
		return nil, err
	}
	var parts []string
	var waiting []Meaning
	for _, d := range found.Databases {
		if len(d.Messages) == 0 {
			continue
		}
		newest := d.Messages[len(d.Messages)-1]
		parts = append(parts, fmt.Sprintf("%s messages in the outbox of %s, the newest %s (row %d, %s)", atMost(len(d.Messages), limit), d.Database, newest.Type, newest.ID, newest.Status))
		for _, m := range d.Messages {
			if m.Status == "stuck" {
				waiting = append(waiting, m.meaning(d.Database))
			}
		}
	}
	if len(parts) == 0 {
		return nil, unreachable(found.Unreachable)
	}
	return append([]Meaning{{"key", key, strings.Join(parts, "; "), command("waybill", "explain", "--", key)}}, waiting...), nil
}

func atMost(n, limit int) string {
	if n == limit {
		return strconv.Itoa(n) + " or more"
	}
	return strconv.Itoa(n)
}

// unreachable is an error where a database did not answer the relay: that nothing was found says
// nothing about it.
func unreachable(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return &apiclient.Refusal{Detail: strings.Join(names, ", ") + " did not answer the relay"}
}

// recent looks for an event or a trace among the newest rows.
func (f *Finder) recent(ctx context.Context, event, trace string) ([]Meaning, error) {
	if f.Relay == nil {
		return nil, &apiclient.Refusal{Detail: "no relay is known here; set RELAY_URL"}
	}
	var found struct {
		Databases []struct {
			Database string
			Messages []row
		}
		Unreachable []string
	}
	query := url.Values{}
	if event != "" {
		query.Set("eventId", event)
	} else {
		query.Set("traceId", trace)
	}
	if err := f.Relay.Get(ctx, "/v1/recent-messages?"+query.Encode(), &found); err != nil {
		return nil, err
	}
	var all []Meaning
	for _, d := range found.Databases {
		for _, m := range d.Messages {
			all = append(all, m.meaning(d.Database))
		}
	}
	if len(all) > 0 && trace != "" {
		all = append([]Meaning{{"trace", trace, fmt.Sprintf("%d messages were sent in it", len(all)), ""}}, all...)
	}
	if len(all) == 0 {
		return nil, unreachable(found.Unreachable)
	}
	return all, nil
}

// delivery is where an event was handled.
type delivery struct {
	EventID         string
	Consumer, Topic string
	Partition       int32
	Offset          int64
	HandledAt       time.Time
}

func (f *Finder) handled(ctx context.Context, id uuid.UUID) ([]Meaning, error) {
	var found struct {
		Databases []struct {
			Database   string
			Deliveries []delivery
		}
		Unreachable []string
	}
	if err := f.Relay.Get(ctx, "/v1/deliveries?eventId="+id.String(), &found); err != nil {
		return nil, err
	}
	var all []delivery
	for _, d := range found.Databases {
		all = append(all, d.Deliveries...)
	}
	if len(all) == 0 {
		return nil, unreachable(found.Unreachable)
	}
	return []Meaning{f.event(ctx, id, all)}, nil
}

func (f *Finder) handledHere(ctx context.Context, id uuid.UUID) ([]Meaning, error) {
	all, err := inspect.Deliveries(ctx, f.Sagas.DB(), id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	var found []delivery
	for _, d := range all {
		found = append(found, delivery{id.String(), d.Consumer, d.Topic, d.Partition, d.Offset, d.HandledAt})
	}
	return []Meaning{f.event(ctx, id, found)}, nil
}

// event says where an event was handled, and of which key it is, as its record in Kafka says.
func (f *Finder) event(ctx context.Context, id uuid.UUID, all []delivery) Meaning {
	var parts []string
	for _, d := range all {
		parts = append(parts, fmt.Sprintf("handled by %s at %s from %s/%d@%d", d.Consumer, clock(d.HandledAt), d.Topic, d.Partition, d.Offset))
	}
	m := Meaning{Kind: "event", Name: id.String(), What: strings.Join(parts, "; ")}
	at := explain.Place{Topic: all[0].Topic, Partition: all[0].Partition, Offset: all[0].Offset}
	if r, ok := f.read(ctx, at); ok {
		m.What = fmt.Sprintf("%s of key %s, %s", known(r.Type, "a message"), known(r.Key, "none"), m.What)
		m.Next = command("waybill", "explain", "--", r.Key)
	}
	return m
}

func (f *Finder) read(ctx context.Context, at explain.Place) (explain.Record, bool) {
	if f.Records == nil {
		return explain.Record{}, false
	}
	found, _ := f.Records(ctx, []explain.Place{at}) // without it, less is said
	r, ok := found[at]
	return r, ok
}

// record says what is at a place in Kafka.
func (f *Finder) record(ctx context.Context, at explain.Place) ([]Meaning, error) {
	if f.Records == nil {
		return nil, &apiclient.Refusal{Detail: "no broker is known here"}
	}
	found, err := f.Records(ctx, []explain.Place{at})
	r, ok := found[at]
	if !ok {
		if err != nil {
			return nil, &apiclient.Refusal{Detail: "Kafka: " + err.Error()}
		}
		return nil, nil
	}
	name := fmt.Sprintf("%s/%d@%d", at.Topic, at.Partition, at.Offset)
	what := fmt.Sprintf("%s of key %s, event %s, at %s", known(r.Type, "a message without a type"), known(r.Key, "none"), known(r.EventID, "without an id"), clock(r.At))
	all := []Meaning{{"record", name, what, command("waybill", "find", "--", r.EventID)}}
	if id, err := uuid.Parse(r.EventID); err == nil && f.Relay != nil {
		handled, err := f.handled(ctx, id)
		if err != nil {
			return all, nil //nolint:nilerr // what is found is found
		}
		all = append(all, handled...)
	}
	return all, nil
}
