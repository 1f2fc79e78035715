package httpapi

import (
	"context"
	"time"

	"waybill.example/chassis/httpserver"
	"waybill.example/orchestrator/internal/series"
	"waybill.example/sdk/saga/runner/inspect"
)

type statsInput struct {
	Window httpserver.Text `query:"window" maxLength:"32" default:"1m" doc:"How far to look back for rates and times, such as 30s or 1h at most"`
}

type statsOutput struct {
	Body inspect.Stats
}

func (a *API) stats(ctx context.Context, in *statsInput) (*statsOutput, error) {
	window, err := time.ParseDuration(string(in.Window))
	if err != nil || window < time.Second || window > time.Hour {
		return nil, invalid("query.window", "must be a duration from 1s to 1h", in.Window)
	}
	stats, err := a.Sagas.Stats(ctx, time.Now(), window)
	if err != nil {
		return nil, err
	}
	return &statsOutput{Body: stats}, nil
}

type seriesOutput struct {
	Body series.Series
}

func (a *API) series(ctx context.Context, _ *struct{}) (*seriesOutput, error) {
	hour, err := a.Series.Series(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	return &seriesOutput{Body: hour}, nil
}

type deadlinesInput struct {
	Before time.Time `query:"before" doc:"Only those due before; an hour from now if left out"`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type deadlinesOutput struct {
	Body struct {
		Deadlines []inspect.Deadline `json:"deadlines" nullable:"false"`
	}
}

func (a *API) deadlines(ctx context.Context, in *deadlinesInput) (*deadlinesOutput, error) {
	if in.Before.IsZero() {
		in.Before = time.Now().Add(time.Hour)
	}
	list, err := a.Sagas.Deadlines(ctx, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &deadlinesOutput{}
	out.Body.Deadlines = list
	return out, nil
}
