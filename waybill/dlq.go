package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/terminal"
	saga "waybill.example/orchestrator/cli"
)

// dlqVerbs look after the messages that a service could not apply.
type dlqVerbs struct {
	List    dlqList    `cmd:"" help:"List dead letters and what waits behind them, newest first."`
	Groups  dlqGroups  `cmd:"" help:"Dead letters by cause, the largest group first."`
	Show    dlqShow    `cmd:"" help:"Show one: what it holds, why it is dead, and what waits behind it."`
	Redrive dlqRedrive `cmd:"" help:"Apply one again, or all that a filter chooses, and then what waits behind them."`
	Discard dlqDiscard `cmd:"" help:"Never apply one, or all that a filter chooses, and go on with what waits behind them."`
	Edit    dlqEdit    `cmd:"" help:"Put an edited copy, with an id of its own, in the place of one."`
	Note    dlqNote    `cmd:"" help:"Say who looks at the dead letters of one cause, and what is known of them."`
	Export  dlqExport  `cmd:"" help:"Print dead letters with what they hold, one JSON object per line."`
}

// consumers are the services that have dead letters.
var consumers = []string{"orders", "inventory", "orchestrator"}

// dlqFilter chooses dead letters.
type dlqFilter struct {
	State     string        `help:"open (dead or parked), dead, parked, redriven, discarded, superseded or any." enum:"open,dead,parked,redriven,discarded,superseded,any" default:"open"`
	Topic     string        `help:"Only those of this topic."`
	Type      string        `help:"Only messages of this type."`
	Key       string        `help:"Only those of this key, such as an order id."`
	Cause     string        `help:"Only those of this cause, as groups prints it."`
	Contains  string        `help:"Only those whose reason contains this text."`
	EventID   string        `help:"Only the message of this event id."`
	OlderThan time.Duration `help:"Only those set aside longer ago than this, such as 10m."`
	NewerThan time.Duration `help:"Only those set aside no longer ago than this."`
}

func (f dlqFilter) query() url.Values {
	q := url.Values{"state": {f.State}}
	for name, value := range map[string]string{
		"topic": f.Topic, "type": f.Type, "key": f.Key, "cause": f.Cause, "reason": f.Contains, "eventId": f.EventID,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.OlderThan > 0 {
		q.Set("olderThan", f.OlderThan.String())
	}
	if f.NewerThan > 0 {
		q.Set("newerThan", f.NewerThan.String())
	}
	return q
}

// letter is a dead letter as the API has it.
type letter struct {
	Service       string          `json:"service,omitempty"`
	ID            int64           `json:"id"`
	State         string          `json:"state"`
	Revision      int             `json:"revision"`
	Consumer      string          `json:"consumer"`
	Topic         string          `json:"topic"`
	Partition     int32           `json:"partition"`
	Offset        int64           `json:"offset"`
	Key           string          `json:"key"`
	Type          string          `json:"type"`
	EventID       string          `json:"eventId,omitempty"`
	SetAsideAt    time.Time       `json:"setAsideAt"`
	ChangedAt     time.Time       `json:"changedAt"`
	Reason        string          `json:"reason,omitempty"`
	Cause         string          `json:"cause,omitempty"`
	Failures      int             `json:"failures"`
	Result        string          `json:"result,omitempty"`
	Note          string          `json:"note,omitempty"`
	SupersededBy  *int64          `json:"supersededBy,omitempty"`
	Replaces      *int64          `json:"replaces,omitempty"`
	Whole         bool            `json:"whole"`
	Payload       json.RawMessage `json:"payload,omitempty"`
	PayloadBase64 string          `json:"payloadBase64,omitempty"`
	Encoding      string          `json:"encoding,omitempty"`
	Headers       []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"headers,omitempty"`
	Waiting []struct {
		ID        int64  `json:"id"`
		State     string `json:"state"`
		Type      string `json:"type"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
	} `json:"waiting,omitempty"`
	HandledBy []struct {
		Consumer string    `json:"consumer"`
		At       time.Time `json:"at"`
	} `json:"handledBy,omitempty"`
	GroupNote *groupNote `json:"groupNote,omitempty"`
}

// dlqServices is whose dead letters are meant.
type dlqServices struct {
	services `embed:""`
	Service  []string `help:"Only this service's: orders, inventory or orchestrator." short:"s" enum:"orders,inventory,orchestrator"`
}

func (s *dlqServices) names() []string {
	if len(s.Service) > 0 {
		return s.Service
	}
	return consumers
}

type dlqList struct {
	dlqServices `embed:""`
	dlqFilter   `embed:""`

	Limit int `help:"At most so many of each service, up to 500." default:"50"`
}

// Run lists dead letters.
func (c *dlqList) Run(t saga.Terminal) error {
	all := []letter{}
	for _, name := range c.names() {
		var page struct{ DeadLetters []letter }
		q := c.query()
		q.Set("limit", strconv.Itoa(c.Limit))
		if err := c.get(t.Context, name, "/v1/dead-letters?"+q.Encode(), &page); err != nil {
			return err
		}
		for _, l := range page.DeadLetters {
			l.Service = name
			all = append(all, l)
		}
	}
	if c.JSON {
		return printJSON(t.Out, all)
	}
	rows := [][]string{{"SERVICE", "ID", "STATE", "KEY", "TYPE", "AGE", "FAILED", "REASON"}}
	for _, l := range all {
		rows = append(rows, []string{
			l.Service, strconv.FormatInt(l.ID, 10), l.State, l.Key, l.Type, age(l.SetAsideAt), strconv.Itoa(l.Failures), l.Reason,
		})
	}
	table(t.Out, rows, "no dead letters")
	return nil
}

func age(at time.Time) string { return time.Since(at).Round(time.Second).String() }

// group is a group of dead letters as the API has it.
type group struct {
	Service   string    `json:"service"`
	Consumer  string    `json:"consumer"`
	Topic     string    `json:"topic"`
	Type      string    `json:"type"`
	Cause     string    `json:"cause"`
	Count     int64     `json:"count"`
	Waiting   int64     `json:"waiting"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Example   int64     `json:"example"`
	Hourly    []int64   `json:"hourly"`

	Note *groupNote `json:"note,omitempty"`
}

type dlqGroups struct {
	dlqServices `embed:""`
	dlqFilter   `embed:""`
}

// Run prints dead letters by cause.
func (c *dlqGroups) Run(t saga.Terminal) error {
	all := []group{}
	for _, name := range c.names() {
		var page struct{ Groups []group }
		if err := c.get(t.Context, name, "/v1/dead-letters/groups?"+c.query().Encode(), &page); err != nil {
			return err
		}
		for _, g := range page.Groups {
			g.Service = name
			all = append(all, g)
		}
	}
	if c.JSON {
		return printJSON(t.Out, all)
	}
	rows := [][]string{{"SERVICE", "COUNT", "WAITING", "FIRST", "LAST", "LAST 24 H", "TYPE", "EXAMPLE", "CAUSE", "OWNER", "NOTE"}}
	for _, g := range all {
		note := cmp.Or(g.Note, &groupNote{})
		rows = append(rows, []string{
			g.Service, strconv.FormatInt(g.Count, 10), strconv.FormatInt(g.Waiting, 10), age(g.FirstSeen), age(g.LastSeen),
			sparkline(g.Hourly), g.Type, strconv.FormatInt(g.Example, 10), g.Cause, note.Owner, note.Note,
		})
	}
	table(t.Out, rows, "no dead letters")
	return nil
}

// dlqService is one service, whose dead letters have ids of their own.
type dlqService struct {
	services `embed:""`
	Service  string `help:"Whose: orders, inventory or orchestrator." short:"s" enum:"orders,inventory,orchestrator" required:""`
}

func (s *dlqService) letter(ctx context.Context, id int64) (letter, error) {
	var l letter
	err := s.get(ctx, s.Service, fmt.Sprintf("/v1/dead-letters/%d", id), &l)
	l.Service = s.Service
	return l, err
}

type dlqShow struct {
	dlqService `embed:""`

	ID int64 `arg:"" help:"The id of the dead letter."`
}

// Run shows a dead letter.
func (c *dlqShow) Run(t saga.Terminal) error {
	l, err := c.letter(t.Context, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.Out, l)
	}
	l.print(t)
	return nil
}

func (l letter) print(t saga.Terminal) {
	terminal.Fprintf(t.Out, "%s %d  %s, revision %d, failed %d times\n", l.Service, l.ID, l.State, l.Revision, l.Failures)
	terminal.Fprintf(t.Out, "message   %s, key %s, event %s\n", l.Type, l.Key, l.EventID)
	terminal.Fprintf(t.Out, "from      %s/%d offset %d, set aside by %s %s ago\n", l.Topic, l.Partition, l.Offset, l.Consumer, age(l.SetAsideAt))
	for name, text := range map[string]string{"reason": l.Reason, "note": l.Note, "result": l.Result} {
		if text != "" {
			terminal.Fprintf(t.Out, "%-9s %s\n", name, text)
		}
	}
	if l.SupersededBy != nil {
		terminal.Fprintf(t.Out, "edited    %d has its place\n", *l.SupersededBy)
	}
	if l.GroupNote != nil {
		l.GroupNote.show(t)
	}
	for _, h := range l.Headers {
		terminal.Fprintf(t.Out, "header    %s: %s\n", h.Key, h.Value)
	}
	if l.Encoding != "" {
		terminal.Fprintf(t.Out, "encoding  %s\n", l.Encoding)
	}
	if len(l.Payload) > 0 {
		terminal.Fprintf(t.Out, "payload   %s\n", string(l.Payload))
	} else {
		terminal.Fprintf(t.Out, "payload   (base64) %s\n", l.PayloadBase64)
	}
	for _, h := range l.HandledBy {
		terminal.Fprintf(t.Out, "handled   by %s at %s: a redrive would be a duplicate\n", h.Consumer, h.At.Format(time.RFC3339))
	}
	for _, w := range l.Waiting {
		terminal.Fprintf(t.Out, "waiting   %d  %s %s, %s/%d offset %d\n", w.ID, w.State, w.Type, l.Topic, w.Partition, w.Offset)
	}
}

type dlqExport struct {
	dlqService `embed:""`
	dlqFilter  `embed:""`
}

// Run prints all that the filter chooses, page by page.
func (c *dlqExport) Run(t saga.Terminal) error {
	q := c.query()
	q.Set("limit", "200")
	for {
		var page struct {
			DeadLetters []letter
			Next        string
		}
		if err := c.get(t.Context, c.Service, "/v1/dead-letters?"+q.Encode(), &page); err != nil {
			return err
		}
		if len(page.DeadLetters) == 0 {
			return nil
		}
		lines, err := c.client(c.Service).Do(t.Context, apiclient.Request{Path: "/v1/dead-letters/export?" + q.Encode()})
		if err != nil {
			return err
		}
		if _, err := t.Out.Write(lines); err != nil || page.Next == "" {
			return err
		}
		q.Set("cursor", page.Next)
	}
}
