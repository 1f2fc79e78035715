package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	orders "waybill.example/orders/client"
)

// saga is what the orchestrator says of a saga.
type saga struct {
	Definition string     `json:"definition"`
	Version    int        `json:"version"`
	State      string     `json:"state"`
	StartedAt  time.Time  `json:"startedAt"`
	EndedAt    *time.Time `json:"endedAt"`
	Timeline   []line     `json:"timeline"`
}

type line struct {
	At        time.Time `json:"at"`
	To        string    `json:"to"`
	Step      string    `json:"step"`
	CauseType string    `json:"causeType"`
	Note      string    `json:"note"`
	Commands  []command `json:"commands"`
}

type command struct {
	Type    string `json:"type"`
	Attempt int    `json:"attempt"`
}

func (s saga) ended() bool { return s.EndedAt != nil }

// client talks to the services as any client does.
type client struct {
	addrs  Addrs
	orders *orders.Client
}

func newClient(addrs Addrs) (client, error) {
	to, err := orders.New("http://" + addrs.Orders)
	return client{addrs, to}, err
}

func (c client) setStock(ctx context.Context, sku string, onHand int) error {
	var level struct{}
	body := fmt.Appendf(nil, `{"onHand":%d}`, onHand)
	return call(ctx, http.MethodPut, "http://"+c.addrs.Inventory+"/v1/stock/"+sku, body, &level, http.StatusOK, http.StatusCreated)
}

func (c client) saga(ctx context.Context, id int64) (s saga, err error) {
	err = call(ctx, http.MethodGet, fmt.Sprintf("http://%s/v1/sagas/%d", c.addrs.Orchestrator, id), nil, &s, http.StatusOK)
	return s, err
}

// call makes a request and decodes the answer, which must have one of the statuses.
func call(ctx context.Context, method, url string, body []byte, into any, statuses ...int) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	if !slices.Contains(statuses, response.StatusCode) {
		return fmt.Errorf("%s %s answers %s: %s", method, url, response.Status, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	return nil
}
