// Package cli is the command `inventory stock`: what the HTTP API of Inventory shows and changes,
// for people at a terminal and for scripts.
package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"waybill.example/chassis/apiclient"
	"waybill.example/inventory/internal/httpapi"
)

// Stock is the command and its verbs.
type Stock struct {
	apiclient.Flags `embed:"" envprefix:"INVENTORY_" set:"service=the inventory service" set:"url=http://127.0.0.1:8081"`

	JSON bool `help:"Print JSON, as the API gave it." name:"json"`

	List         List         `cmd:"" help:"List what there is, by sku."`
	Show         Show         `cmd:"" help:"Show what there is of one sku, and what --if-match takes."`
	Set          Set          `cmd:"" help:"Set what is on hand of a sku, which may be new."`
	Count        Count        `cmd:"" help:"Say what was counted on the shelf, with what is reserved."`
	Move         Move         `cmd:"" help:"Add what came in, or take away what went out."`
	Movements    Movements    `cmd:"" help:"Say who changed what there is of a sku, and why, newest first."`
	Reservations Reservations `cmd:"" help:"Say which orders hold some of a sku, newest first."`
}

func (s *Stock) client() apiclient.Client { return s.Client("inventory service", "INVENTORY") }

// show asks for what a path has, and prints it as JSON or for people.
func show[T any](ctx context.Context, s *Stock, out io.Writer, path string, human func(io.Writer, T)) error {
	answer, err := s.client().Do(ctx, apiclient.Request{Path: path})
	if err != nil {
		return err
	}
	return write(s, out, answer, human)
}

func write[T any](s *Stock, out io.Writer, answer []byte, human func(io.Writer, T)) error {
	if s.JSON {
		_, err := fmt.Fprintln(out, strings.TrimSpace(string(answer)))
		return err
	}
	var decoded T
	if err := s.client().Decode(answer, &decoded); err != nil {
		return err
	}
	human(out, decoded)
	return nil
}

// page is which part of a list to show.
type page struct {
	Limit  int    `help:"At most this many." default:"50"`
	Cursor string `help:"Go on where the page before ended."`
}

func (p page) query() url.Values {
	query := url.Values{"limit": {strconv.Itoa(p.Limit)}}
	if p.Cursor != "" {
		query.Set("cursor", p.Cursor)
	}
	return query
}

// one is one sku.
type one struct {
	SKU string `arg:"" help:"The sku."`
}

// path is where the API has the sku, or a part of it. Dots are escaped: a path of dots would be
// resolved on its way.
func (o one) path(part string) string {
	return "/v1/stock/" + strings.ReplaceAll(url.PathEscape(o.SKU), ".", "%2E") + part
}

// List is `stock list`.
type List struct {
	page `embed:""`

	Low int64 `help:"Only skus of which fewer than this are on hand." placeholder:"N"`
}

// Run prints a page of levels.
func (c *List) Run(ctx context.Context, s *Stock, out io.Writer) error {
	query := c.query()
	if c.Low > 0 {
		query.Set("below", strconv.FormatInt(c.Low, 10))
	}
	return show(ctx, s, out, "/v1/stock?"+query.Encode(), printLevels)
}

// Show is `stock show`.
type Show struct {
	one `embed:""`
}

// shown is a level, and the tags that a change of it may name.
type shown struct {
	httpapi.Level
	ETag          string `json:"etag"`
	MovementsETag string `json:"movementsEtag"`
}

// Run prints one level.
func (c *Show) Run(ctx context.Context, s *Stock, out io.Writer) error {
	var level, log http.Header
	answer, err := s.client().Do(ctx, apiclient.Request{Path: c.path(""), Header: &level})
	if err != nil {
		return err
	}
	if _, err := s.client().Do(ctx, apiclient.Request{Path: c.path("/movements?limit=1"), Header: &log}); err != nil {
		return err
	}
	v := shown{ETag: level.Get("ETag"), MovementsETag: log.Get("ETag")}
	if err := s.client().Decode(answer, &v.Level); err != nil {
		return err
	}
	if answer, err = json.Marshal(v); err != nil {
		return err
	}
	return write(s, out, answer, printShown)
}

// Movements is `stock movements`.
type Movements struct {
	one  `embed:""`
	page `embed:""`
}

// Run prints a page of movements.
func (c *Movements) Run(ctx context.Context, s *Stock, out io.Writer) error {
	return show(ctx, s, out, c.path("/movements?")+c.query().Encode(), printMovements)
}

// Reservations is `stock reservations`.
type Reservations struct {
	one  `embed:""`
	page `embed:""`
}

// Run prints a page of the orders that hold some.
func (c *Reservations) Run(ctx context.Context, s *Stock, out io.Writer) error {
	return show(ctx, s, out, c.path("/reservations?")+c.query().Encode(), printHolders)
}

// change is what changes have in common.
type change struct {
	IfMatch string `help:"What show printed for this change: refuse it if that has changed since." placeholder:"TAG"`
	Key     string `help:"The Idempotency-Key of an earlier attempt, to send that again." placeholder:"KEY"`
}

// send makes a change under a key, and says which, where nobody knows what came of it.
func (c change) send(ctx context.Context, s *Stock, out io.Writer, method, path string, body any) error {
	key := c.Key
	if key == "" {
		key = rand.Text()
	}
	answer, err := s.client().Do(ctx, apiclient.Request{Method: method, Path: path, Body: body, IfMatch: quoted(c.IfMatch), Key: key})
	if apiclient.Unknown(err) {
		return fmt.Errorf("%w; to send the same again, add --key=%s", err, key)
	}
	if err != nil {
		return err
	}
	return write(s, out, answer, printChanged)
}

// quoted is a tag as HTTP writes it, whether it was pasted with its quotes or without.
func quoted(tag string) string {
	if tag == "" || tag == "*" {
		return tag
	}
	return strconv.Quote(strings.Trim(tag, `"`))
}

// Set is `stock set`.
type Set struct {
	one    `embed:""`
	change `embed:""`

	OnHand int64  `arg:"" help:"What the next order can have."`
	Reason string `help:"Why; kept in the log."`
}

// Run sets what is on hand.
func (c *Set) Run(ctx context.Context, s *Stock, out io.Writer) error {
	body := struct {
		OnHand int64  `json:"onHand"`
		Reason string `json:"reason,omitempty"`
	}{c.OnHand, c.Reason}
	return c.send(ctx, s, out, http.MethodPut, c.path(""), body)
}

// Count is `stock count`.
type Count struct {
	one    `embed:""`
	change `embed:""`

	Counted int64  `arg:"" help:"What is on the shelf, with what is reserved."`
	Reason  string `help:"Why; kept in the log." required:""`
}

// Run says what was counted.
func (c *Count) Run(ctx context.Context, s *Stock, out io.Writer) error {
	return c.send(ctx, s, out, http.MethodPost, c.path("/movements"), map[string]any{"counted": c.Counted, "reason": c.Reason})
}

// Move is `stock move`.
type Move struct {
	one    `embed:""`
	change `embed:""`

	In     int64  `help:"How many came in." xor:"how" required:"" placeholder:"N"`
	Out    int64  `help:"How many went out." xor:"how" required:"" placeholder:"N"`
	Reason string `help:"Why; kept in the log." required:""`
}

// Validate implements kong's hook: a movement of nothing is a mistake, and so is one backwards.
func (c *Move) Validate() error {
	if c.In < 0 || c.Out < 0 || c.In+c.Out == 0 {
		return errors.New("--in and --out take a number of 1 or more")
	}
	return nil
}

// Run adds or takes away.
func (c *Move) Run(ctx context.Context, s *Stock, out io.Writer) error {
	return c.send(ctx, s, out, http.MethodPost, c.path("/movements"), map[string]any{"delta": c.In - c.Out, "reason": c.Reason})
}
