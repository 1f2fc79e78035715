package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

// What the relay's API answers, as far as pages show it.

type overview struct {
	Database      string     `json:"database"`
	Leader        string     `json:"leader"`
	LedSince      *time.Time `json:"ledSince"`
	Paused        bool       `json:"paused"`
	PublishedUpTo int64      `json:"publishedUpTo"`
	Gaps          int64      `json:"gaps"`
	Pending       int64      `json:"pending"`
	OldestPending *time.Time `json:"oldestPending"`
	Stuck         int64      `json:"stuck"`
	Parked        int64      `json:"parked"`
	OldestStuck   *time.Time `json:"oldestStuck"`
}

type overviews struct {
	Databases   []overview
	Unreachable []string
}

// relaySource is how the relay of one database is doing.
type relaySource struct {
	Database, State        string
	Since                  time.Time
	Problem, BrokerProblem string
}

type stuckGroup struct {
	Database      string     `json:"database"`
	Topic         string     `json:"topic"`
	ErrorCode     string     `json:"errorCode"`
	Error         string     `json:"error"`
	Example       int64      `json:"example"`
	Rows          int64      `json:"rows"`
	ParkedBehind  int64      `json:"parkedBehind"`
	FirstStuck    time.Time  `json:"firstStuck"`
	LastStuck     time.Time  `json:"lastStuck"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
}

// listed is a row in a list: pending, parked, stuck or any.
type listed struct {
	ID            int64      `json:"id"`
	EventID       string     `json:"eventId,omitempty"`
	Topic         string     `json:"topic"`
	Key           *string    `json:"key"`
	Type          string     `json:"type,omitempty"`
	CreatedAt     *time.Time `json:"createdAt,omitempty"`
	Status        string     `json:"status,omitempty"`
	ErrorCode     string     `json:"errorCode,omitempty"`
	Error         string     `json:"error,omitempty"`
	Attempts      int        `json:"attempts,omitempty"`
	StuckAt       *time.Time `json:"stuckAt,omitempty"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty"`
	ParkedBehind  int64      `json:"parkedBehind,omitempty"`
	WaitsFor      *int64     `json:"waitsFor,omitempty"`
}

// items is a page of a list.
type items[T any] struct {
	Items []T
	Next  string
}

// row is all there is to know about one row.
type row struct {
	listed
	Headers       json.RawMessage `json:"headers"`
	Payload       []byte          `json:"payload"`
	PayloadBytes  int64           `json:"payloadBytes"`
	LastAttemptAt *time.Time      `json:"lastAttemptAt"`
}

type delivery struct {
	Database  string    `json:"database"`
	Consumer  string    `json:"consumer"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	HandledAt time.Time `json:"handledAt"`
}

type gaps struct {
	Count   int64       `json:"count"`
	IDs     int64       `json:"ids"`
	Lowest  []idRange   `json:"lowest"`
	Holders []gapHolder `json:"holders"`
}

type idRange struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

type gapHolder struct {
	PID         *int32     `json:"pid"`
	GID         *string    `json:"gid"`
	Role        *string    `json:"role"`
	Application *string    `json:"application"`
	State       *string    `json:"state"`
	Since       *time.Time `json:"since"`
}

// Replay is rows that are sent again.
type Replay struct {
	Database    string     `json:"database"`
	ID          int64      `json:"id"`
	State       string     `json:"state"`
	Total       int64      `json:"total"`
	Sent        int64      `json:"sent"`
	Topic       *string    `json:"topic"`
	Rate        int32      `json:"rate"`
	Error       string     `json:"error,omitempty"`
	RequestedAt time.Time  `json:"requestedAt"`
	FinishedAt  *time.Time `json:"finishedAt"`
}

// Running reports whether it can still be cancelled.
func (r Replay) Running() bool { return r.State == "waiting" || r.State == "running" }

// plan is what a replay would do.
type plan struct {
	Rows        int64        `json:"rows"`
	Effects     []planEffect `json:"effects"`
	Sampled     int64        `json:"sampled,omitempty"`
	Unreachable []string     `json:"unreachable"`
}

type planEffect struct {
	Database string `json:"database"`
	Consumer string `json:"consumer"`
	Known    int64  `json:"known"`
	New      int64  `json:"new"`
}

// of is the path of something of a database.
func of(database, format string, args ...any) string {
	return page.Path("/v1/outbox/%s", database) + page.Path(format, args...)
}

// Databases are the names of the databases whose outboxes the relay reads.
func Databases(ctx context.Context, relay *source.Client) ([]string, error) {
	found, err := source.Get[struct{ Sources []relaySource }](ctx, relay, "/v1/sources")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(found.Sources))
	for i, s := range found.Sources {
		names[i] = s.Database
	}
	return names, nil
}

// Replays are the newest replays of every database.
func Replays(ctx context.Context, relay *source.Client, limit int) ([]Replay, error) {
	databases, err := Databases(ctx, relay)
	if err != nil {
		return nil, err
	}
	found := make([][]Replay, len(databases))
	var asking errgroup.Group
	for i, database := range databases {
		asking.Go(func() error {
			answer, err := source.Get[items[Replay]](ctx, relay, of(database, "/replays")+"?limit="+strconv.Itoa(limit))
			if err != nil {
				return fmt.Errorf("list the replays of %s: %w", database, err)
			}
			for _, r := range answer.Items {
				r.Database = database
				found[i] = append(found[i], r)
			}
			return nil
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// refused passes on what the relay has refused. A part of a page that is missing because the relay
// does not answer is none of the page's errors: the page says so by itself.
func refused(err error) error {
	refusal, ok := errors.AsType[*apiclient.Refusal](err)
	if !ok || refusal.Status >= http.StatusInternalServerError {
		return nil
	}
	return err
}

// query makes the query of a path, without what is empty.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
