package httpapi

import (
	"encoding/json"

	"waybill.example/chassis/httpserver"
	"waybill.example/sdk/saga"
)

type retryBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
	Step   httpserver.Text   `json:"step,omitempty" maxLength:"128" doc:"Only this step; all that wait if left out"`
}

func (b retryBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{Action: saga.ActRetry, Step: string(b.Step)}, b.Reason
}

type cancelBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; the client may see it"`
}

func (b cancelBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{Action: saga.ActCancel}, b.Reason
}

type resolveBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
	Step   httpserver.Text   `json:"step" minLength:"1" maxLength:"128"`
	As     string            `json:"as" enum:"done,failed,undone" doc:"What became of the step"`
	Reply  httpserver.Text   `json:"reply,omitempty" maxLength:"128" doc:"The type of the reply that you stand in for, where several say so"`
	Data   json.RawMessage   `json:"data,omitempty" doc:"The reply's body, where later steps need what it says"`
}

func (b resolveBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{
		Action: saga.ActResolve, Step: string(b.Step), As: saga.StepStatus(b.As), Reply: string(b.Reply), Data: b.Data,
	}, b.Reason
}

type skipBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
	Step   httpserver.Text   `json:"step,omitempty" maxLength:"128" doc:"Whose wait, where there are several"`
}

func (b skipBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{Action: saga.ActSkipWait, Step: string(b.Step)}, b.Reason
}

type editBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline, with what has changed"`
	Patch  json.RawMessage   `json:"patch" doc:"A JSON merge patch (RFC 7396): null removes a field"`
}

func (b editBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{Action: saga.ActEditData, Patch: b.Patch}, b.Reason
}

type restartBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
	Step   httpserver.Text   `json:"step" minLength:"1" maxLength:"128"`
}

func (b restartBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{Action: saga.ActRestartFrom, Step: string(b.Step)}, b.Reason
}

type forceBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
	End    httpserver.Text   `json:"end" minLength:"1" maxLength:"64" doc:"One of the definition's two ends, such as CONFIRMED or CANCELLED"`
}

func (b forceBody) request() (saga.Request, httpserver.Reason) {
	return saga.Request{Action: saga.ActForce, End: string(b.End)}, b.Reason
}

// suspensionBody is that of suspending and resuming.
type suspensionBody struct {
	Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the timeline"`
}

// plainBody is for an action that needs nothing but its reason.
func plainBody(action saga.Action) func(suspensionBody) (saga.Request, httpserver.Reason) {
	return func(b suspensionBody) (saga.Request, httpserver.Reason) {
		return saga.Request{Action: action}, b.Reason
	}
}
