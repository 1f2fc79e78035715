package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/deadletters"
	saga "waybill.example/orchestrator/cli"
)

func showNote(t saga.Terminal, n deadletters.DeadLetterNote) {
	for _, line := range [][2]string{{"owner", n.Owner}, {"known", n.Note}} {
		if line[1] != "" {
			printf(t.Out, "%-9s %s (%s, %s ago)\n", line[0], line[1], n.By, age(n.ChangedAt))
		}
	}
}

type dlqNote struct {
	dlqService `embed:""`

	ID    int64  `arg:"" help:"The id of one of them, such as the EXAMPLE of groups."`
	Owner string `help:"Who looks at them."`
	Note  string `help:"What is known of them, such as a ticket."`
	Clear bool   `help:"Remove what was written."`
}

// Validate implements kong's validation.
func (c *dlqNote) Validate() error {
	if (c.Owner+c.Note == "") != c.Clear {
		return errors.New("say --owner or --note or both, or --clear")
	}
	return nil
}

// Run writes the note. What is not said stays as it was.
func (c *dlqNote) Run(t saga.Terminal) error {
	seen, err := c.letter(t.Context, c.ID)
	if err != nil {
		return err
	}
	body := map[string]string{"owner": c.Owner, "note": c.Note}
	request := apiclient.Request{Method: http.MethodPut, Path: fmt.Sprintf("/v1/dead-letters/%d/group-note", c.ID), Body: body}
	if known := seen.GroupNote; known != nil {
		request.IfMatch = strconv.Quote(strconv.Itoa(known.Revision))
		if !c.Clear {
			body["owner"], body["note"] = cmp.Or(c.Owner, known.Owner), cmp.Or(c.Note, known.Note)
		}
	}
	client := c.client(c.Service)
	answer, err := client.Do(t.Context, request)
	if err != nil {
		return err
	}
	var written deadletters.DeadLetterNote
	if err := client.Decode(answer, &written); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.Out, written)
	}
	printf(t.Out, "%s: %s on %s: %s\n", c.Service, seen.Type, seen.Topic, seen.Cause)
	showNote(t, written)
	return nil
}

// sparkline draws counts, the highest of them as a full block, and none as a dot.
func sparkline(counts []int64) string {
	const blocks = "▁▂▃▄▅▆▇█"
	levels := []rune(blocks)
	most := max(1, slices.Max(append([]int64{0}, counts...)))
	line := make([]rune, len(counts))
	for i, n := range counts {
		line[i] = '·'
		if n > 0 {
			line[i] = levels[(n*int64(len(levels))-1)/most]
		}
	}
	return string(line)
}
