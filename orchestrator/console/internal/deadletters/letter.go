package deadletters

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	api "waybill.example/chassis/deadletters"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

// letterPage is one dead letter, and what waits behind it.
type letterPage struct {
	letter
	Payload      page.Payload           `json:"payload"`
	PayloadBytes int64                  `json:"payloadBytes"`
	Binary       bool                   `json:"binary,omitzero"`  // the payload is shown in base64
	Masked       string                 `json:"masked,omitempty"` // what of it is hidden
	Headers      []api.DeadLetterHeader `json:"headers"`
	Waiting      []api.ParkedMessage    `json:"waiting"`
	HandledBy    []api.HandledMessage   `json:"handledBy"`
	Verdict      string                 `json:"verdict"`
	Level        string                 `json:"level"` // of the verdict: good, warn or bad
}

// Title implements the frame's titles.
func (p letterPage) Title() string { return fmt.Sprintf("Dead letter %d of %s", p.ID, p.Service) }

// Open reports whether it may still be applied.
func (p letterPage) Open() bool { return open(p.State) }

func open(state string) bool { return state == "dead" || state == "parked" }

// CannotRedrive and CannotChange are why not; empty: it can be.
func (p letterPage) CannotRedrive() string {
	switch {
	case p.State == "parked":
		return "It waits for what is in front of it: redrive or discard that"
	case p.State != "dead":
		return "It is " + p.State + " already"
	case !p.Whole:
		return "It was cut when it was set aside: edit it, or discard it"
	}
	return ""
}

// CannotChange is why it can be neither edited nor discarded.
func (p letterPage) CannotChange() string {
	if !p.Open() {
		return "It is " + p.State + " already"
	}
	return ""
}

// letterPath is where the API has a dead letter.
func letterPath(r *page.Request, more string) string {
	return page.Path("/v1/dead-letters/%s", r.PathValue("id")) + more
}

func (s screen) get(ctx context.Context, r *page.Request) (api.DeadLetterDetail, error) {
	return source.Get[api.DeadLetterDetail](ctx, s.service(r.PathValue("service")), letterPath(r, ""))
}

func (s screen) letter(ctx context.Context, r *page.Request) (any, error) {
	found, err := s.get(ctx, r)
	if err != nil {
		return nil, err
	}
	return newLetter(r, r.PathValue("service"), found), nil
}

// newLetter is a dead letter as the reader may see it.
func newLetter(r *page.Request, service string, found api.DeadLetterDetail) letterPage {
	p := letterPage{
		letter: letter{service, masked(r, found.DeadLetter)}, PayloadBytes: found.PayloadBytes, Headers: found.Headers,
		Waiting: found.Waiting, HandledBy: found.HandledBy, Payload: r.Payload(found.Payload.Bytes()), Masked: found.Masked,
	}
	if !found.PayloadBase64.IsZero() {
		p.Binary, p.Payload = true, r.Payload([]byte(base64.StdEncoding.EncodeToString(found.PayloadBase64.Bytes())))
	}
	for i, h := range p.Headers {
		if !strings.HasPrefix(h.Key, "ce_") || h.Key == "ce_subject" { // what CloudEvents says of a message is nobody's data, but for its subject
			p.Headers[i].Value = r.Text(h.Value)
		}
	}
	p.Level, p.Verdict = judge(p)
	return p
}

// judge says what has become of it.
func judge(p letterPage) (level, text string) {
	switch p.State {
	case "dead":
		text = fmt.Sprintf("%s could not apply it: %s", p.Consumer, p.Reason)
		if n := len(p.Waiting); n > 0 {
			text += fmt.Sprintf(". %s of its key wait behind it", messages(n))
		}
		return "bad", text
	case "parked":
		return "warn", "It waits for its turn: what is in front of it of its key has to be redriven or discarded"
	case "redriven":
		return "good", "It was redriven: " + result(p.Result)
	case "discarded":
		return "over", "An operator discarded it: it is never applied"
	case "superseded":
		return "over", "An edited copy has its place"
	}
	return "over", p.State
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// result says what came of a redrive.
func result(word string) string {
	switch word {
	case "applied":
		return "it took effect"
	case "duplicate":
		return "it had taken effect before, and nothing happened"
	case "skipped":
		return "the consumer has no use for it, and skipped it"
	case "":
		return "what came of it is not known"
	}
	return word
}
