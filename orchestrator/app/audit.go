package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// standing is what the audit log keeps of a saga.
type standing struct {
	Revision int               `json:"revision"`
	Phase    saga.Phase        `json:"phase"`
	Reason   string            `json:"reason,omitempty"`
	Steps    []saga.StepStatus `json:"steps"`
	Data     json.RawMessage   `json:"data,omitempty"`
}

// audit records what an operator changed, in the transaction that changes it.
func audit(ctx context.Context, tx pgx.Tx, act runner.Act) error {
	entry := auditlog.Entry{
		Actor: act.By.Actor, Client: admin.Client(ctx), Action: "saga." + string(act.Action), Reason: act.By.Reason,
		Object: fmt.Sprintf("saga/%s@%d", act.Saga.Definition, act.Version),
	}
	if act.Saga.ID != "" {
		entry.Object = "saga/" + act.Saga.String()
		edited := act.Action == saga.ActEditData
		entry.Before, entry.After = stands(act.Before, edited), stands(act.After, edited)
	}
	return auditlog.Append(ctx, tx, entry)
}

// stands is where a saga stands; with its data where that is what was changed.
func stands(s saga.State, data bool) standing {
	out := standing{Revision: s.Revision, Phase: s.Phase, Reason: s.Reason}
	for _, st := range s.Steps {
		out.Steps = append(out.Steps, st.Status)
	}
	if data {
		out.Data = s.Data
	}
	return out
}
