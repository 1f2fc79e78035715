package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/terminal"
	saga "waybill.example/orchestrator/cli"
)

// notificationVerbs look at what the orchestrator tells its webhook.
type notificationVerbs struct {
	List notificationList `cmd:"" help:"List what the webhook was sent, newest first, and whether it took it."`
	Test notificationTest `cmd:"" help:"Send the webhook a notification that says that nothing is the matter, and wait for it to be taken."`
}

type notification struct {
	ID            string     `json:"id"`
	Type          string     `json:"type"`
	Subject       string     `json:"subject"`
	CreatedAt     time.Time  `json:"createdAt"`
	Attempts      int        `json:"attempts"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty"`
	SentAt        *time.Time `json:"sentAt,omitempty"`
	Error         string     `json:"error,omitempty"`
}

// state says whether the webhook has it.
func (n notification) state() string {
	switch {
	case n.SentAt != nil:
		return "sent"
	case n.NextAttemptAt == nil:
		return "given up: " + n.Error
	case n.Attempts == 0:
		return "waits"
	case n.Error == "":
		return fmt.Sprintf("attempt %d is under way", n.Attempts)
	default:
		return fmt.Sprintf("attempt %d failed: %s; next at %s", n.Attempts, n.Error, n.NextAttemptAt.UTC().Format(time.RFC3339))
	}
}

func (s *services) notifications(ctx context.Context, limit int) ([]notification, error) {
	var list struct{ Notifications []notification }
	err := s.get(ctx, "orchestrator", "/v1/notifications?"+url.Values{"limit": {strconv.Itoa(limit)}}.Encode(), &list)
	if apiclient.NotFound(err) {
		return nil, fmt.Errorf("the orchestrator notifies nobody: set NOTIFY_WEBHOOK_URL and NOTIFY_WEBHOOK_SECRET for it")
	}
	return list.Notifications, err
}

type notificationList struct {
	services `embed:""`
	Limit    int `default:"50" help:"The most notifications to list."`
}

// Run implements the command.
func (c *notificationList) Run(t saga.Terminal) error {
	all, err := c.notifications(t.Context, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.Out, all)
	}
	rows := [][]string{{"WHEN", "TYPE", "ABOUT", "STATE"}}
	for _, n := range all {
		rows = append(rows, []string{n.CreatedAt.UTC().Format(time.RFC3339), n.Type, n.Subject, n.state()})
	}
	table(t.Out, rows, "No notifications.")
	return nil
}

type notificationTest struct {
	services `embed:""`
	Wait     time.Duration `default:"30s" help:"How long to wait for the webhook to take it."`
}

// Run implements the command.
func (c *notificationTest) Run(t saga.Terminal) error {
	if _, err := c.notifications(t.Context, 1); err != nil {
		return err
	}
	client := c.client("orchestrator")
	answer, err := client.Do(t.Context, apiclient.Request{Method: http.MethodPost, Path: "/v1/notifications/test"})
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if err := client.Decode(answer, &made); err != nil {
		return err
	}
	n, err := c.taken(t.Context, made.ID)
	if err != nil {
		return err
	}
	if n.SentAt == nil {
		return fmt.Errorf("the webhook has not taken notification %s: %s", made.ID, n.state())
	}
	fmt.Fprintf(t.Out, "the webhook took notification %s after %s\n", terminal.Clean(made.ID), n.SentAt.Sub(n.CreatedAt).Round(time.Millisecond))
	return nil
}

// taken waits until a notification was taken or refused, or the time is up.
func (c *notificationTest) taken(ctx context.Context, id string) (n notification, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		all, listErr := c.notifications(ctx, 100)
		if listErr != nil && ctx.Err() == nil {
			return n, listErr
		}
		for _, one := range all {
			if one.ID == id {
				n = one
			}
		}
		if n.SentAt != nil || n.Error != "" {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return n, nil
		case <-ticker.C:
		}
	}
}
