package sagas

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
)

// idleFor is how long nothing happens before it is called idle, in milliseconds.
const idleFor = 1000

// trail is the timeline over all services, where the time went, the messages and the data.
type trail struct {
	Refused  string      `json:"refused,omitempty"`
	Events   []event     `json:"events"`
	Bill     *bill       `json:"bill,omitempty"`
	Messages []message   `json:"messages"`
	Data     []dataAfter `json:"data"`
	Idle     bool        `json:"-"` // is shown
	IdleMS   float64     `json:"idleMs"`
	Test     string      `json:"-"` // the saga as a Go test
}

// event is a line of the timeline.
type event struct {
	explain.Event

	Layer string `json:"layer"` // HTTP, outbox, relay, inbox, saga or effect
	// Message is the place of its message on the page.
	Message string `json:"-"`
}

// IdleBefore reports whether nothing happened for long before it.
func (e event) IdleBefore() bool { return e.AfterMS >= idleFor }

var layers = map[string]string{"accepted": "HTTP", "sent": "outbox", "published": "relay", "handled": "inbox", "decided": "saga", "became": "effect"}

// bill is where the time went, to be drawn.
type bill struct {
	explain.Bill

	Legs  []leg  `json:"-"`
	Parts []part `json:"-"`
}

// leg is one bar: its place among a thousand.
type leg struct {
	explain.Leg

	X, Width float64
	Class    string
}

type part struct {
	Name     string
	MS       float64
	X, Width float64
	Class    string
}

var partClasses = map[string]string{
	explain.PartTransaction: "part-a", explain.PartRelay: "part-b", explain.PartAppend: "part-b", explain.PartBroker: "part-c", explain.PartQueue: "part-c",
	explain.PartUnsplit: "part-d", explain.PartWait: "part-idle", explain.PartOpen: "part-idle",
}

// message is one that was sent, and what can be copied of it.
type message struct {
	explain.SentMessage

	Carries       page.Payload `json:"payload"`
	Anchor        string       `json:"-"`
	Curl, SQL, Go string       `json:"-"`
}

// dataAfter is a transition that changed the saga's data.
type dataAfter struct {
	Seq     int      `json:"seq"`
	Changes []change `json:"changes"`
	Why     string   `json:"why,omitempty"`
}

func (x *screen) trail(ctx context.Context, r *page.Request) (any, error) {
	ref := target(r)
	t := trail{Idle: r.URL.Query().Get("idle") != "hide"}
	var report explained
	var carried explain.Trail
	var detail httpapi.Detail
	var errs [3]error
	var asking sync.WaitGroup
	asking.Go(func() { report, errs[0] = x.report(ctx, r) })
	asking.Go(func() {
		carried, errs[1] = source.Now[explain.Trail](ctx, x.sources.Orchestrator, api(ref, "/messages", nil))
	})
	asking.Go(func() { detail, errs[2] = source.Get[httpapi.Detail](ctx, x.sources.Orchestrator, api(ref, "", nil)) })
	asking.Wait()
	if err := cmp.Or(errs[0], errs[1], errs[2]); err != nil {
		if reason, refused := refusal(err); refused {
			return trail{Refused: reason}, nil
		}
		return nil, err
	}
	description, _ := source.Get[saga.Description](ctx, x.sources.Orchestrator, page.Path("/v1/definitions/%s", ref.Definition)+"?version="+strconv.Itoa(detail.Version))
	t.Refused = report.Refused
	t.events(r, report.Report.Timeline)
	t.Bill = drawn(report.Report.Bill, t.Idle)
	t.messages(r, carried.Messages, description)
	t.data(r, carried.Data)
	if !r.Payload([]byte("{}")).Masked() {
		t.Test = testOf(detail, carried.Messages, description)
	}
	return t, nil
}

func anchorOf(database string, id int64) string { return fmt.Sprintf("message-%s-%d", database, id) }

func (t *trail) events(r *page.Request, all []explain.Event) {
	for _, e := range all {
		e.What = public(r, e)
		if e.AfterMS >= idleFor {
			t.IdleMS += e.AfterMS
		}
		t.Events = append(t.Events, event{Event: e, Layer: cmp.Or(layers[e.Kind], e.Kind)})
	}
}

// public is what happened as the reader may see it: not what was ordered and for whom, nor what a
// message or an operator gave as the reason.
func public(r *page.Request, e explain.Event) string {
	if r.Can(admin.Reader) {
		return e.What
	}
	switch e.Kind {
	case "accepted":
		return r.Text(e.What)
	case "decided":
		what, _, _ := strings.Cut(e.What, " (")
		return what
	case "became":
		what, _, _ := strings.Cut(e.What, ": ")
		return what
	}
	return e.What
}

func (t *trail) messages(r *page.Request, all []explain.SentMessage, description saga.Description) {
	places := map[string]string{}
	for _, m := range all {
		shown := message{SentMessage: m, Carries: r.Payload(m.Payload.Bytes()), Anchor: anchorOf(m.Database, m.ID), Curl: curlOf(m)}
		places[m.EventID.String()] = shown.Anchor
		if !shown.Carries.Masked() && whole(m) {
			shown.SQL, shown.Go = sqlOf(m), goOf(m, all, description)
		}
		shown.Error = r.Text(shown.Error)
		for name, value := range shown.Headers {
			shown.Headers[name] = r.Text(value)
		}
		shown.Payload = masking.View{}
		t.Messages = append(t.Messages, shown)
	}
	for i, e := range t.Events {
		if e.MessageID != nil {
			t.Events[i].Message = places[e.MessageID.String()]
		}
	}
}

// whole reports whether the payload of a message is here: all of its bytes, or all but what a rule
// masks.
func whole(m explain.SentMessage) bool {
	payload := m.Payload.Bytes()
	return payload != nil && (m.Masked != "" || int64(len(payload)) >= m.PayloadBytes)
}

func (t *trail) data(r *page.Request, lines []explain.DataLine) {
	var before explain.DataLine
	for _, l := range lines {
		d := dataAfter{Seq: l.Seq, Why: l.Why}
		if before.Why == "" {
			d.Changes = changes(before.Data.Bytes(), l.Data.Bytes())
		}
		if l.Why != "" {
			d.Changes = nil
		}
		for i, c := range d.Changes {
			d.Changes[i].Before, d.Changes[i].After = r.Text(c.Before), r.Text(c.After)
		}
		if len(d.Changes) > 0 || l.Why != before.Why {
			t.Data = append(t.Data, d)
		}
		before = l
	}
}

// drawn places the legs of a bill on a line of a thousand. What was idle takes no place where it is
// hidden.
func drawn(b *explain.Bill, idle bool) *bill {
	if b == nil {
		return nil
	}
	out := &bill{Bill: *b}
	total := 0.0
	shown := slices.DeleteFunc(slices.Clone(b.Legs), func(l explain.Leg) bool {
		return !idle && partClasses[l.Part] == "part-idle"
	})
	for _, l := range shown {
		total += l.MS
	}
	scale, x := 1000/max(total, 0.001), 0.0
	sums := map[string]float64{}
	for _, l := range shown {
		w := l.MS * scale
		out.Legs = append(out.Legs, leg{l, min(x, 997), max(w, 3), cmp.Or(partClasses[l.Part], "part-d")})
		x, sums[l.Part] = x+w, sums[l.Part]+l.MS
	}
	x = 0
	names := slices.SortedFunc(maps.Keys(sums), func(a, b string) int { return cmp.Or(-cmp.Compare(sums[a], sums[b]), cmp.Compare(a, b)) })
	for _, name := range names {
		w := sums[name] * scale
		out.Parts = append(out.Parts, part{name, sums[name], x, w, cmp.Or(partClasses[name], "part-d")})
		x += w
	}
	return out
}

// Since is how long after the first event an event was.
func (t trail) Since(e event) time.Duration { return e.At.Sub(t.Events[0].At) }
