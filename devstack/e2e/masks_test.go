package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

const (
	maskedBefore = "m4sked-before-the-edit"
	maskedAfter  = "m4sked-after-the-edit"
)

// What a rule masks is in no answer of any route of any service to those from whom it is hidden,
// nor on any page of theirs, and an edit of theirs loses nothing of it. The routes are those of the
// documents, so that a new one is tried by itself.
func TestMasks_HideAFieldWhereverItIsShown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "masks.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"rules":[{"topic":"*","paths":["$..userId"]},{"saga":"order","paths":["$.userId"]}]}`), 0o600))
	env := []string{"PAYLOAD_MASKS=" + file}
	for _, service := range []string{"ORDERS", "INVENTORY", "ORCHESTRATOR", "RELAY"} {
		env = append(env, service+"_ADMIN_TOKENS=ada:admin="+secret+"-admin,olga:operator="+secret+"-operator,vic:viewer="+secret+"-viewer",
			service+"_READ_TOKENS=orchestrator:admin="+secret+"-read", service+"_READ_TOKEN="+secret+"-read")
	}
	s := start(t, newDir(t), env...)
	s.act(t, stack.Freeze, stack.Inventory)
	id := s.place(t, `{"userId":"`+maskedBefore+`","sku":"burger","quantity":1}`)
	saga := fmt.Sprintf("/v1/sagas/%d", id)
	await(t, "the saga waits", func() bool {
		status, _ := s.as(t, "admin", http.MethodGet, s.url(t, stack.Orchestrator, saga), "")
		return status == http.StatusOK
	})
	s.editMasked(t, saga)
	s.refusesPlaceholders(t, id)
	s.act(t, stack.Thaw, stack.Inventory)
	require.Equal(t, "CONFIRMED", s.outcome(t, id).Status)
	s.maskedLetter(t, fmt.Sprint(id))

	seen := map[string]int{}
	for _, a := range s.reads(t, id) {
		for _, role := range []string{"", "viewer", "operator", "admin"} {
			_, body := s.as(t, role, http.MethodGet, a.url, "")
			if role == "admin" {
				seen[a.operation] += strings.Count(body, "m4sked")
				continue
			}
			require.NotContains(t, body, "m4sked", "%s to %q", a.url, role)
		}
	}
	for _, operation := range []string{
		"get-saga", "stream-saga", "get-saga-messages", "explain-saga", "get-dead-letter", "export-dead-letters", "get-row", "find-messages", "list-audit-log",
	} {
		require.Positive(t, seen[operation], "%s shows it to an admin, so there was something to hide", operation)
	}
	at := fmt.Sprintf("/sagas/order/%d", id)
	from := []string{"/", "/sagas", at, at + "/explain", at + "/trail", at + "/preview?action=cancel", fmt.Sprintf("/find?q=%d", id), "/dead-letters/all", "/audit-log", "/outbox/orders/rows/1"}
	for path, body := range s.crawl(t, secret+"-operator", from...) {
		require.NotContains(t, body, "m4sked", path)
	}
	pages := s.crawl(t, secret+"-admin", from...)
	require.Contains(t, pages[at], maskedAfter)
	require.Contains(t, pages["/outbox/orders/rows/1"], maskedBefore)
}

// as sends a request with the token of a role; "": without a token. It appends what the answer has
// in base64, decoded.
func (s *system) as(t *testing.T, role, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if role != "" {
		request.Header.Set("Authorization", "Bearer "+secret+"-"+role)
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer strings.Builder
	_, err = io.Copy(&answer, response.Body)
	require.NoError(t, err)
	return response.StatusCode, answer.String() + decoded(answer.String())
}

// editMasked edits the saga's data: an operator keeps what is hidden, an admin changes it.
func (s *system) editMasked(t *testing.T, saga string) {
	t.Helper()
	edit := func(role, patch string) (int, string) {
		return s.as(t, role, http.MethodPost, s.url(t, stack.Orchestrator, saga+"/edit-data?wait=0"), `{"reason":"tried","patch":`+patch+`}`)
	}
	status, body := edit("operator", `{"sku":"***masked***"}`)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Contains(t, body, `"location":"body.patch"`)
	require.Contains(t, body, "/sku")
	status, body = edit("operator", `{"userId":"***masked***","quantity":2}`)
	require.Equal(t, http.StatusOK, status, body)
	require.NotContains(t, body, "m4sked")
	require.Contains(t, body, `"userId":"***masked***"`)
	_, body = s.as(t, "admin", http.MethodGet, s.url(t, stack.Orchestrator, saga), "")
	require.Contains(t, body, `"userId":"`+maskedBefore+`"`)
	status, body = edit("admin", `{"userId":"`+maskedAfter+`","quantity":1}`)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, maskedAfter)
}

// refusesPlaceholders sends them where nothing was shown that could be put back.
func (s *system) refusesPlaceholders(t *testing.T, order int64) {
	t.Helper()
	const masked = `{"note":"***masked***"}`
	saga, preview := fmt.Sprintf("/v1/sagas/%d", order), fmt.Sprintf("/v1/sagas/order/%d/preview", order)
	for _, c := range []struct{ method, path, body, location string }{
		{http.MethodPost, saga + "/resolve", `{"reason":"tried","step":"reserve","as":"done","data":` + masked + `}`, "body.data"},
		{http.MethodPut, saga + "/events/0192d3a6-8d1c-7b1e-9d3c-1f2e3d4c5b6a", `{"type":"Approved","data":` + masked + `}`, "body.data"},
		{
			http.MethodPost, "/v1/saga-batches",
			`{"reason":"tried","filter":{"definition":"order"},"intervention":{"action":"edit-data","patch":` + masked + `}}`, "body.intervention",
		},
		{http.MethodGet, preview + "?action=resolve&step=reserve&as=done&data=" + url.QueryEscape(masked), "", "query.data"},
		{http.MethodGet, preview + "?action=edit-data&patch=" + url.QueryEscape(masked), "", "query.patch"},
	} {
		status, body := s.as(t, "admin", c.method, s.url(t, stack.Orchestrator, c.path), c.body)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s %s: %s", c.method, c.path, body)
		require.Contains(t, body, `"location":"`+c.location+`"`, c.path)
		require.Contains(t, body, "/note", c.path)
	}
}

// maskedLetter has Inventory set a message aside that has a masked field.
func (s *system) maskedLetter(t *testing.T, key string) {
	t.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(s.process(t, stack.Broker).Addr))
	require.NoError(t, err)
	defer producer.Close()
	require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{
		Topic: contracts.TopicInventoryCommands, Key: []byte(key), Value: []byte(`{"userId":"` + maskedBefore + `"}`),
		Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("ReserveInventory")}},
	}).FirstErr())
	await(t, "the dead letter", func() bool {
		_, body := s.as(t, "admin", http.MethodGet, s.url(t, stack.Inventory, "/v1/dead-letters/export"), "")
		return strings.Contains(body, maskedBefore)
	})
}

type reading struct{ operation, url string }

var parameter = regexp.MustCompile(`\{[^}]+\}`)

// reads are requests to all operations that read, but for those of the business itself: an order is
// its customer's, and no payload.
func (s *system) reads(t *testing.T, order int64) (all []reading) {
	t.Helper()
	queries := map[string]string{
		"find": fmt.Sprintf("?q=%d", order), "find-messages": fmt.Sprintf("?payload=true&key=%d", order), "preview-intervention": "?action=cancel",
		"find-recent-messages": "?eventId=" + query[string](t, s, stack.Orders, `select event_id::text from outbox limit 1`),
		"find-deliveries":      "?eventId=" + query[string](t, s, stack.Orders, `select event_id::text from outbox limit 1`),
	}
	for _, a := range s.apis(t) {
		if a.method != http.MethodGet || strings.HasPrefix(a.path, "/v1/orders") {
			continue
		}
		ids := map[string]string{"{definition}": "order", "{id}": fmt.Sprint(order), "{database}": "orchestrator"}
		if strings.HasPrefix(a.path, "/v1/dead-letters") || strings.HasPrefix(a.path, "/v1/jobs") {
			ids["{id}"] = "1"
		}
		if a.OperationID == "get-row" {
			ids["{id}"], ids["{database}"] = "1", stack.Orders
		}
		path := parameter.ReplaceAllStringFunc(a.path, func(name string) string {
			if ids[name] == "" {
				return "1"
			}
			return ids[name]
		})
		all = append(all, reading{a.OperationID, a.base + path + queries[a.OperationID]})
	}
	require.Greater(t, len(all), 30)
	return all
}

var base64Text = regexp.MustCompile(`"payload":"([A-Za-z0-9+/=]{16,})"`)

// decoded is what an answer has in base64.
func decoded(body string) (text string) {
	for _, found := range base64Text.FindAllStringSubmatch(body, -1) {
		var raw []byte
		if json.Unmarshal([]byte(`"`+found[1]+`"`), &raw) == nil {
			text += string(raw)
		}
	}
	return text
}
