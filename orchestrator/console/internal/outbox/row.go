package outbox

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

type rowPage struct {
	listed
	Database      string       `json:"database"`
	LastAttemptAt *time.Time   `json:"lastAttemptAt,omitempty"`
	Headers       page.Payload `json:"headers"`
	Payload       page.Payload `json:"payload"`
	PayloadBytes  int64        `json:"payloadBytes"`
	Cut           bool         `json:"cut,omitzero"`    // the payload is longer than what is shown
	Binary        bool         `json:"binary,omitzero"` // the payload is shown in base64
	Verdict       Verdict      `json:"verdict"`
	Deliveries    []delivery   `json:"deliveries"`
	Parked        []listed     `json:"parked"`
	// Version is what a change of the row names in If-Match.
	Version string `json:"version"`
}

// Title implements the frame's titles.
func (p rowPage) Title() string { return fmt.Sprintf("Row %d of %s", p.ID, p.Database) }

// shownParked is how many of the rows behind a row its page shows.
const shownParked = 20

func (s screen) row(ctx context.Context, r *page.Request) (any, error) {
	name := r.PathValue("database")
	found, err := source.Get[row](ctx, s.relay, of(name, "/rows/%s", r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	p := shownRow(r, name, found)
	var asking errgroup.Group
	asking.Go(func() (err error) { p.Deliveries, err = s.deliveries(ctx, found.EventID); return refused(err) })
	if found.ParkedBehind > 0 {
		asking.Go(func() error {
			path := of(name, "/parked") + query("behind", strconv.FormatInt(found.ID, 10), "limit", strconv.Itoa(shownParked))
			parked, err := source.Get[items[listed]](ctx, s.relay, path)
			p.Parked = masked(r, parked.Items)
			return refused(err)
		})
	}
	err = asking.Wait()
	return p, err
}

// shownRow is a row as the reader may see it.
func shownRow(r *page.Request, name string, found row) rowPage {
	p := rowPage{
		listed: masked(r, []listed{found.listed})[0], Database: name, LastAttemptAt: found.LastAttemptAt, Headers: r.Payload(found.Headers),
		PayloadBytes: found.PayloadBytes, Cut: int64(len(found.Payload)) < found.PayloadBytes, Verdict: judgeRow(found),
		Version: fmt.Sprintf(`"%s-%d"`, found.Status, found.Attempts),
	}
	shown := found.Payload
	if p.Binary = !utf8.Valid(shown); p.Binary {
		shown = []byte(base64.StdEncoding.EncodeToString(shown))
	}
	p.Payload = r.Payload(shown)
	return p
}

// judgeRow says what has become of a row.
func judgeRow(r row) Verdict {
	switch r.Status {
	case "published":
		return Verdict{"good", "Published to " + r.Topic}
	case "pending":
		return Verdict{"warn", "Waits to be published"}
	case "stuck":
		text := "Kafka refuses it: " + r.Error
		if r.ParkedBehind > 0 {
			text += fmt.Sprintf(" (%s behind it wait)", rows(r.ParkedBehind))
		}
		return Verdict{"bad", text}
	case "parked":
		if r.WaitsFor != nil {
			return Verdict{"warn", fmt.Sprintf("Waits behind row %d, so that the order of its key is kept", *r.WaitsFor)}
		}
		return Verdict{"warn", "Waits behind a stuck row"}
	case "discarded":
		return Verdict{"over", "Discarded by an operator: it is never sent"}
	case "late":
		return Verdict{"warn", "Came after its id had been given up, and will be published out of order"}
	}
	return Verdict{"over", r.Status}
}

func (s screen) deliveries(ctx context.Context, event string) ([]delivery, error) {
	type answer struct {
		Databases []struct {
			Database   string
			Deliveries []delivery
		}
	}
	all := []delivery{}
	found, err := source.Get[answer](ctx, s.relay, "/v1/deliveries?eventId="+url.QueryEscape(event))
	for _, d := range found.Databases {
		for _, one := range d.Deliveries {
			one.Database = d.Database
			all = append(all, one)
		}
	}
	return all, err
}
