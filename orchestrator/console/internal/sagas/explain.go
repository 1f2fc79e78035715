package sagas

import (
	"context"
	"net/url"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/internal/explain"
)

// explained is what stands in a saga's way.
type explained struct {
	Report explain.Report `json:"report"`
	// Refused is why there is no report.
	Refused string `json:"refused,omitempty"`
}

// Silent are the sources that did not answer.
func (e explained) Silent() []explain.SourceState {
	var silent []explain.SourceState
	for _, s := range e.Report.Sources {
		if s.Error != "" {
			silent = append(silent, s)
		}
	}
	return silent
}

func (x *screen) explain(ctx context.Context, r *page.Request) (any, error) {
	e, err := x.report(ctx, r)
	e.Report.Timeline, e.Report.Bill = nil, nil // the trail has them
	switch e.Report.State {
	case explain.NotStarted:
	case explain.NotKept:
		e.Report.Summary = r.Text(e.Report.Summary) // it quotes why the order was cancelled
	default:
		e.Report.Summary = "" // the page has it
	}
	if !r.Can(admin.Reader) {
		for i, line := range e.Report.Obstacles {
			e.Report.Obstacles[i] = explain.Unquoted(line, page.Masked)
		}
	}
	return e, err
}

func (x *screen) report(ctx context.Context, r *page.Request) (explained, error) {
	report, err := source.Now[explain.Report](ctx, x.sources.Orchestrator, api(target(r), "/explain", url.Values{}))
	if reason, refused := refusal(err); refused {
		return explained{Refused: reason}, nil
	}
	return explained{Report: report}, err
}
