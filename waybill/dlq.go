package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/deadletters"
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
	if f.OlderThan != 0 {
		q.Set("olderThan", f.OlderThan.String())
	}
	if f.NewerThan != 0 {
		q.Set("newerThan", f.NewerThan.String())
	}
	return q
}

// letter is a dead letter, and whose it is.
type letter struct {
	Service string `json:"service"`
	deadletters.DeadLetterDetail
}

// listed is one as lists have it: without what it holds.
type listed struct {
	Service string `json:"service"`
	deadletters.DeadLetter
}

// group is dead letters of one cause, and whose they are.
type group struct {
	Service string `json:"service"`
	deadletters.DeadLetterGroup
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

// Run lists dead letters. A service that does not answer is named, and the verb fails.
func (c *dlqList) Run(t saga.Terminal) error {
	q := c.query()
	q.Set("limit", strconv.Itoa(c.Limit))
	var more atomic.Bool
	all, err := each(c.names(), func(name string) (found []listed, err error) {
		var page struct {
			DeadLetters []deadletters.DeadLetter
			Next        string
		}
		err = c.get(t.Context, name, "/v1/dead-letters?"+q.Encode(), &page)
		for _, l := range page.DeadLetters {
			found = append(found, listed{name, l})
		}
		if page.Next != "" {
			more.Store(true)
		}
		return found, err
	})
	if c.JSON {
		return errors.Join(err, printJSON(t.Out, all))
	}
	rows := [][]string{{"SERVICE", "ID", "STATE", "KEY", "TYPE", "AGE", "FAILED", "REASON"}}
	for _, l := range all {
		rows = append(rows, []string{
			l.Service, strconv.FormatInt(l.ID, 10), l.State, l.Key, l.Type, age(l.SetAsideAt), strconv.Itoa(l.Failures), l.Reason,
		})
	}
	if len(all) > 0 || err == nil {
		table(t.Out, rows, "no dead letters")
	}
	if more.Load() {
		printf(t.Out, "\nThere are more: choose some by a filter, look at their groups, or export all.\n")
	}
	return err
}

func age(at time.Time) string { return time.Since(at).Round(time.Second).String() }

type dlqGroups struct {
	dlqServices `embed:""`
	dlqFilter   `embed:""`
}

// Run prints dead letters by cause. A service that does not answer is named, and the verb fails.
func (c *dlqGroups) Run(t saga.Terminal) error {
	all, err := each(c.names(), func(name string) (found []group, err error) {
		var page struct{ Groups []deadletters.DeadLetterGroup }
		err = c.get(t.Context, name, "/v1/dead-letters/groups?"+c.query().Encode(), &page)
		for _, g := range page.Groups {
			found = append(found, group{name, g})
		}
		return found, err
	})
	if c.JSON {
		return errors.Join(err, printJSON(t.Out, all))
	}
	rows := [][]string{{"SERVICE", "COUNT", "WAITING", "FIRST", "LAST", "LAST 24 H", "TYPE", "EXAMPLE", "CAUSE", "OWNER", "NOTE"}}
	for _, g := range all {
		note := cmp.Or(g.Note, &deadletters.DeadLetterNote{})
		rows = append(rows, []string{
			g.Service, strconv.FormatInt(g.Count, 10), strconv.FormatInt(g.Waiting, 10), age(g.FirstSeen), age(g.LastSeen),
			sparkline(g.Hourly), g.Type, strconv.FormatInt(g.Example, 10), g.Cause, note.Owner, note.Note,
		})
	}
	if len(all) > 0 || err == nil {
		table(t.Out, rows, "no dead letters")
	}
	return err
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
	event := "none that could be read"
	if l.EventID != nil {
		event = l.EventID.String()
	}
	printf(t.Out, "%s %d  %s, revision %d, failed %d times\n", l.Service, l.ID, l.State, l.Revision, l.Failures)
	printf(t.Out, "message   %s, key %s, event %s\n", l.Type, l.Key, event)
	printf(t.Out, "from      %s/%d offset %d, set aside by %s %s ago\n", l.Topic, l.Partition, l.Offset, l.Consumer, age(l.SetAsideAt))
	for _, line := range [][2]string{{"reason", l.Reason}, {"note", l.Note}, {"result", l.Result}} {
		if line[1] != "" {
			printf(t.Out, "%-9s %s\n", line[0], line[1])
		}
	}
	if l.SupersededBy != nil {
		printf(t.Out, "edited    %d has its place\n", *l.SupersededBy)
	}
	if l.GroupNote != nil {
		showNote(t, *l.GroupNote)
	}
	for _, h := range l.Headers {
		printf(t.Out, "header    %s: %s\n", h.Key, h.Value)
	}
	if l.Encoding != "" {
		printf(t.Out, "encoding  %s\n", l.Encoding)
	}
	if l.PayloadBase64.IsZero() {
		printf(t.Out, "payload   %s\n", l.Payload.Bytes())
	} else {
		printf(t.Out, "payload   (base64) %s\n", base64.StdEncoding.EncodeToString(l.PayloadBase64.Bytes()))
	}
	if l.Masked != "" {
		printf(t.Out, "masked    %s\n", l.Masked)
	}
	if !l.Whole {
		printf(t.Out, "cut       it was %d bytes: edit it, or discard it\n", l.PayloadBytes)
	}
	for _, h := range l.HandledBy {
		printf(t.Out, "handled   by %s at %s: a redrive would be a duplicate\n", h.Consumer, h.At.Format(time.RFC3339))
	}
	for _, w := range l.Waiting {
		printf(t.Out, "waiting   %d  %s %s, %s/%d offset %d\n", w.ID, w.State, w.Type, l.Topic, w.Partition, w.Offset)
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
		var header http.Header
		lines, err := c.client(c.Service).Do(t.Context, apiclient.Request{Path: "/v1/dead-letters/export?" + q.Encode(), Header: &header})
		if err != nil {
			return err
		}
		next := header.Get("Waybill-Next")
		if _, err := t.Out.Write(lines); err != nil || next == "" {
			return err
		}
		q.Set("cursor", next)
	}
}
