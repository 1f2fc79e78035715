package deadletters

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waybill.example/chassis/apiclient"
	api "waybill.example/chassis/deadletters"
	"waybill.example/orchestrator/console/internal/page"
)

// reason is why, which every change needs.
func reason(r *page.Request) (string, error) {
	why := strings.TrimSpace(r.PostFormValue("reason"))
	if why == "" {
		return "", page.Invalid("say why: the audit log keeps the reason")
	}
	return why, nil
}

// change changes one dead letter, as it was looked at.
func (s screen) change(ctx context.Context, r *page.Request, verb string, body map[string]any) (after api.DeadLetterDetail, err error) {
	why, err := reason(r)
	if err != nil {
		return after, err
	}
	body["reason"] = why
	request := apiclient.Request{Path: letterPath(r, "/"+verb), Body: body, IfMatch: r.PostFormValue("revision")}
	return after, post(ctx, s.service(r.PathValue("service")), request, &after)
}

func (s screen) redrive(ctx context.Context, r *page.Request) (any, error) {
	began := time.Now()
	after, err := s.change(ctx, r, "redrive", map[string]any{})
	if err != nil {
		return nil, err
	}
	return redriven(after, time.Since(began)), nil
}

// redriven says what came of a redrive.
func redriven(after api.DeadLetterDetail, took time.Duration) page.Result {
	switch after.State {
	case "redriven":
		return page.Result{Text: fmt.Sprintf("Redriven in %d ms: %s", took.Milliseconds(), result(after.Result))}
	case "dead":
		return page.Result{Problem: true, Text: "It failed again", Detail: after.Reason}
	}
	return page.Result{Problem: true, Text: "It was not applied yet: what is in front of it, or the database, keeps it waiting. This page shows when it is."}
}

func (s screen) discard(ctx context.Context, r *page.Request) (any, error) {
	after, err := s.change(ctx, r, "discard", map[string]any{})
	if err != nil {
		return nil, err
	}
	return page.Result{Text: "It is " + after.State + ": it is never applied, and what waited behind it goes on"}, nil
}
