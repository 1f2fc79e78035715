package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/kafkatest"
	"waybill.example/orchestrator/app"
	"waybill.example/sdk/saga"
)

// approvals is a service that approves: by HTTP, since a person does.
func approvals(t *testing.T) app.Sagas {
	t.Helper()
	s := saga.Define[item]("approval", 1)
	s.To(purchaseCommands)
	s.StartOn("ApprovalAsked", saga.From(func(i item) item { return i }))
	saga.Attribute(s, "item", func(i item) string { return i.Item })
	s.Step("approval").Await("Approved").Failure("Declined", nil).Within(time.Hour, "nobody approved").NoUndo("nothing was done")
	s.Step("reflection").After(time.Millisecond)
	s.Step("notice").Tell("Notify", itemBody).NoUndo("it was said")
	def, err := s.Build()
	require.NoError(t, err)
	return app.Sagas{Definitions: []*saga.Definition{def}, Topics: []string{purchases}}
}

func TestAPI_AnEventOverHTTPIsAppliedOnce(t *testing.T) {
	t.Parallel()
	sagas := approvals(t)
	s := &system{t: t, db: newDatabase(t), broker: kafkatest.Start(t, purchases), sagas: &sagas}
	s.start(withToken)
	event, body := "/v1/sagas/7/events/"+uuid.NewString(), `{"type":"Approved"}`

	status, answer := s.do(http.MethodPut, event, body, token)
	require.Equal(t, http.StatusNotFound, status, answer)
	m, err := purchaseMessage(purchases, uuid.New(), "ApprovalAsked", "7", uuid.Nil, item{"lamp"})
	require.NoError(t, err)
	headers := map[string]string{"ce_id": m.EventID.String(), "ce_type": m.Type, "ce_specversion": "1.0", "ce_source": "test", "content-type": "application/json"}
	s.broker.Produce(t, kafkatest.Record{Topic: purchases, Key: []byte("7"), Value: m.Payload, Headers: headers})
	var detail struct {
		State string
		Waits []saga.Wait
	}
	s.eventually(func() bool { return s.get("/v1/sagas/7", &detail) == http.StatusOK }, "the saga begins")
	require.Equal(t, saga.ForEvent, detail.Waits[0].For)

	status, answer = s.do(http.MethodPut, event, body, "")
	require.Equal(t, http.StatusUnauthorized, status, answer)
	status, answer = s.do(http.MethodPut, event, `{"type":"Sold"}`, token)
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)
	for _, applied := range []bool{true, false} {
		status, answer = s.do(http.MethodPut, event, body, token)
		require.Equal(t, http.StatusOK, status, answer)
		require.Contains(t, answer, fmt.Sprintf(`"applied":%t`, applied))
	}
	s.eventually(func() bool { s.get("/v1/sagas/7", &detail); return detail.State == "COMPLETED" }, "the saga completes")

	// The same by the command line, and the list by its search attribute.
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--token", token, "event", "7", "Approved"}, "was delivered to 7"},
		{[]string{"list", "--attr", "item=lamp"}, "COMPLETED"},
		{[]string{"list", "--attr", "item=chair"}, "No sagas."},
		{[]string{"show", "7", "--definition", "approval"}, "time passed"},
	} {
		out, err := s.runCLI(c.args...)
		require.NoError(t, err, c.args)
		require.Contains(t, out, c.want)
	}
}
