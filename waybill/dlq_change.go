package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/deadletters"
	"waybill.example/chassis/terminal"
	saga "waybill.example/orchestrator/cli"
)

// dlqChange is what redrive and discard have in common: one dead letter, or all that a filter
// chooses.
type dlqChange struct {
	dlqService `embed:""`
	dlqFilter  `embed:""`

	ID     int64   `arg:"" optional:"" help:"The id of the dead letter; without it, all that the filter chooses, with --all."`
	All    bool    `help:"All that the filter chooses, as a job."`
	DryRun bool    `help:"With --all: only say what it would be."`
	Rate   float64 `help:"With --all: at most so many per second." default:"50"`
	Reason string  `help:"Why; kept in the audit log." required:""`
}

// Validate implements kong's validation.
func (c *dlqChange) Validate() error {
	if (c.ID != 0) == c.All {
		return errors.New("name one dead letter by its id, or give --all and a filter")
	}
	return nil
}

type dlqRedrive struct {
	dlqChange `embed:""`
}

// Run redrives. That a message was dead again is a failure.
func (c *dlqRedrive) Run(t saga.Terminal) error {
	if c.All {
		return c.bulk(t, "redrive")
	}
	l, err := c.one(t, "redrive")
	if err != nil {
		return err
	}
	switch l.State {
	case "dead":
		return fmt.Errorf("it failed again, for the %d. time: %s", l.Failures, l.Reason)
	case "parked":
		return errors.New("it was not applied yet: what is in front of it, or the database, keeps it waiting; see waybill dlq show")
	}
	return nil
}

type dlqDiscard struct {
	dlqChange `embed:""`
}

// Run discards.
func (c *dlqDiscard) Run(t saga.Terminal) error {
	if c.All {
		return c.bulk(t, "discard")
	}
	_, err := c.one(t, "discard")
	return err
}

// one changes one dead letter, as it was looked at, and prints what came of it.
func (c *dlqChange) one(t saga.Terminal, verb string) (letter, error) {
	seen, err := c.letter(t.Context, c.ID)
	if err != nil {
		return seen, err
	}
	client := c.client(c.Service)
	answer, err := client.Do(t.Context, apiclient.Request{
		Method: http.MethodPost, Path: fmt.Sprintf("/v1/dead-letters/%d/%s", c.ID, verb),
		Body: map[string]string{"reason": c.Reason}, IfMatch: strconv.Quote(strconv.Itoa(seen.Revision)),
	})
	if err != nil {
		return seen, err
	}
	l := letter{}
	if err := client.Decode(answer, &l); err != nil {
		return l, err
	}
	l.Service = c.Service
	if c.JSON {
		return l, printJSON(t.Out, l)
	}
	printf(t.Out, "%s; %d messages waited behind it\n", strings.TrimSpace(fmt.Sprintf("%s %d is %s %s", l.Service, l.ID, l.State, l.Result)), len(seen.Waiting))
	return l, nil
}

// bulk has a job change all that the filter chooses.
func (c *dlqChange) bulk(t saga.Terminal, verb string) error {
	client := c.client(c.Service)
	answer, err := client.Do(t.Context, apiclient.Request{
		Method: http.MethodPost, Path: "/v1/dead-letters/" + verb + "?" + c.query().Encode(),
		Body: map[string]any{"reason": c.Reason, "rate": c.Rate, "dryRun": c.DryRun},
	})
	if err != nil {
		return err
	}
	var done struct {
		Count, Handled int
		Waiting        int64
		Sample         []deadletters.DeadLetter
		Job            *struct{ ID int64 }
	}
	if err := client.Decode(answer, &done); err != nil {
		return err
	}
	if c.JSON {
		_, err := t.Out.Write(append(answer, '\n'))
		return err
	}
	printf(t.Out, "%d dead letters, and %d messages that wait behind them\n", done.Count, done.Waiting)
	for _, l := range done.Sample {
		printf(t.Out, "  %d  %s of key %s: %s\n", l.ID, l.Type, l.Key, l.Reason)
	}
	if done.Handled > 0 {
		printf(t.Out, "%d of these have been handled already\n", done.Handled)
	}
	if done.Job != nil {
		printf(t.Out, "job %d of %s does it; see how far: waybill jobs show %s/%d\n", done.Job.ID, c.Service, c.Service, done.Job.ID)
	}
	return nil
}

type dlqEdit struct {
	dlqService `embed:""`

	ID      int64  `arg:"" help:"The id of the dead letter."`
	File    string `help:"The payload of the copy, a file with JSON; - is standard input." name:"payload" required:""`
	Type    string `help:"The type of the copy, if it is another."`
	Reason  string `help:"Why; kept in the audit log." required:""`
	Yes     bool   `help:"Do it; without this, only the difference is shown."`
	Redrive bool   `help:"And redrive the copy."`
}

// Run shows what is different, and edits.
func (c *dlqEdit) Run(t saga.Terminal) error {
	seen, err := c.letter(t.Context, c.ID)
	if err != nil {
		return err
	}
	payload, err := c.payload()
	if err != nil {
		return err
	}
	if !c.JSON {
		_, _ = terminal.Writer(t.Out).Write([]byte(difference(lines(seen.Payload.Bytes()), lines(payload))))
	}
	client := c.client(c.Service)
	answer, err := client.Do(t.Context, apiclient.Request{
		Method: http.MethodPost, Path: fmt.Sprintf("/v1/dead-letters/%d/edit", c.ID),
		Body:    map[string]any{"reason": c.Reason, "payload": json.RawMessage(payload), "type": c.Type, "dryRun": !c.Yes},
		IfMatch: strconv.Quote(strconv.Itoa(seen.Revision)),
	})
	if err != nil {
		return err
	}
	if !c.Yes {
		fmt.Fprintf(os.Stderr, "%s would read it; nothing was changed; add --yes to do it\n", c.Service)
		return nil
	}
	copied := letter{Service: c.Service}
	if err := client.Decode(answer, &copied); err != nil {
		return err
	}
	if !c.Redrive {
		if c.JSON {
			return printJSON(t.Out, copied)
		}
		printf(t.Out, "%s %d has the place of %d now; waybill dlq redrive applies it\n", c.Service, copied.ID, c.ID)
		return nil
	}
	return (&dlqRedrive{dlqChange{dlqService: c.dlqService, ID: copied.ID, Reason: c.Reason}}).Run(t)
}

func (c *dlqEdit) payload() ([]byte, error) {
	read := func() ([]byte, error) { return os.ReadFile(c.File) }
	if c.File == "-" {
		read = func() ([]byte, error) { return io.ReadAll(os.Stdin) }
	}
	payload, err := read()
	if err == nil && !json.Valid(payload) {
		err = errors.New("is not JSON")
	}
	if err != nil {
		return nil, fmt.Errorf("the payload in %s: %w", c.File, err)
	}
	return payload, nil
}

// lines is JSON, one member per line; that its file ends with a new line is no difference.
func lines(value []byte) []string {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(value), "", "  "); err != nil {
		return []string{string(value)}
	}
	return strings.Split(out.String(), "\n")
}

// largestTable bounds what a difference of texts takes, in numbers: beyond, all lines of the one
// are said to be gone, and all of the other to be new.
const largestTable = 4 << 20

// difference is what two texts have that the other has not, by lines.
func difference(before, after []string) string {
	if len(before)*len(after) > largestTable {
		return "- " + strings.Join(before, "\n- ") + "\n+ " + strings.Join(after, "\n+ ") + "\n"
	}
	longest := make([][]int, len(before)+1) // of common subsequences from here on
	for i := range longest {
		longest[i] = make([]int, len(after)+1)
	}
	for i := range slices.Backward(before) {
		for j := len(after) - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if before[i] == after[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(before) || j < len(after); {
		switch {
		case i < len(before) && j < len(after) && before[i] == after[j]:
			out.WriteString("  " + before[i] + "\n")
			i, j = i+1, j+1
		case j == len(after) || i < len(before) && longest[i+1][j] >= longest[i][j+1]:
			out.WriteString("- " + before[i] + "\n")
			i++
		default:
			out.WriteString("+ " + after[j] + "\n")
			j++
		}
	}
	return out.String()
}
