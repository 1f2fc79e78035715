package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// What must appear nowhere, and what must not appear to a viewer.
const (
	secret   = "c4n4ry-of-a-secret"
	personal = "Zz9-of-a-person"
)

// secretSettings mark every secret that a service can be given.
func secretSettings() (env []string) {
	for _, service := range []string{"ORDERS", "INVENTORY", "ORCHESTRATOR", "RELAY"} {
		env = append(env, service+"_ADMIN_TOKENS=ada:admin="+secret+"-admin,olga:operator="+secret+"-operator,rea:reader="+secret+"-reader,vic:viewer="+secret+"-viewer",
			service+"_READ_TOKENS=orchestrator="+secret+"-read", service+"_READ_TOKEN="+secret+"-read")
	}
	return append(env, "LOG_LEVEL=debug", "CONSOLE_KEY="+secret, "KAFKA_SSL_KEY_PASSWORD="+secret,
		"NOTIFY_WEBHOOK_URL=http://127.0.0.1:1/"+secret, "NOTIFY_WEBHOOK_SECRET=whsec_YzRuNHJ5LW9mLWEtc2VjcmV0LXRvLXNpZ24=",
		"OIDC_ISSUER=http://127.0.0.1:1", "OIDC_AUDIENCE=waybill", "OIDC_ROLES=a=admin", "OIDC_CLIENT_ID=waybill", "OIDC_CLIENT_SECRET="+secret,
		"OIDC_REDIRECT_URL=http://127.0.0.1:1/sign-in/oidc/back")
}

var services = []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay}

var passwords = regexp.MustCompile(`://[^:@/\s]+:([^@\s]+)@`)

// secrets are those that the services were given, by us and by the stack.
func (s *system) secrets(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{secret: true, "YzRuNHJ5": true}
	for _, name := range services {
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.process(t, name).Pid))
		if err != nil {
			t.Skip("what a process was given cannot be seen here: ", err)
		}
		for _, match := range passwords.FindAllSubmatch(environment, -1) {
			found[string(match[1])] = true
		}
	}
	require.Greater(t, len(found), 2, "the stack's logins have passwords")
	return slices.Collect(maps.Keys(found))
}

// Whatever happens, no secret is in any log, any page that a monitor reads, any explanation and any
// error. Data of people is shown to those whose role is to see it.
func TestCanary_NoSecretIsShownAndAViewerSeesNobodysData(t *testing.T) {
	t.Parallel()
	s := start(t, newDir(t), secretSettings()...)
	secrets := s.secrets(t)
	order := s.place(t, `{"userId":"u-`+personal+`","sku":"burger","quantity":1,"note":"n-`+personal+`"}`)
	require.Equal(t, "CONFIRMED", s.outcome(t, order).Status)
	refused := s.place(t, `{"userId":"u-`+personal+`","sku":"sku-`+personal+`","quantity":1}`)
	require.Contains(t, s.outcome(t, refused).Reason, personal, "a reason quotes what was ordered")
	s.troubles(t, refused)

	var shown strings.Builder
	s.loginsRefused(t, &shown)
	s.everything(t, &shown, order, refused)
	t.Run("a viewer sees nobody's data", func(t *testing.T) { s.viewerCrawls(t, &shown, order, refused) })

	logs, err := filepath.Glob(filepath.Join(s.dir, "*", "*.log"))
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	require.NoError(t, err)
	logs = append(logs, more...)
	require.GreaterOrEqual(t, len(logs), len(services), "the services have logs")
	for _, file := range logs {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		fmt.Fprintf(&shown, "\n%s:\n%s", filepath.Base(file), text)
	}
	fmt.Fprintf(&shown, "\nthe supervisor:\n%s", s.output)
	for _, secret := range secrets {
		for line := range strings.Lines(shown.String()) {
			require.NotContains(t, line, secret)
		}
	}
}

// troubles are a stuck row and a dead letter, both with a person's data wherever there is room.
func (s *system) troubles(t *testing.T, order int64) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), state.Databases[stack.Orders])
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), `insert into outbox (topic, key, type, payload, headers) values ('nowhere', $1, 'OrderCreated', convert_to('{"note":"' || $1 || '"}', 'UTF8'), jsonb_build_object('note', $1::text))`, "k-"+personal)
	require.NoError(t, err)
	broker, err := kgo.NewClient(kgo.SeedBrokers(s.process(t, stack.Broker).Addr))
	require.NoError(t, err)
	defer broker.Close()
	require.NoError(t, broker.ProduceSync(t.Context(), &kgo.Record{
		Topic: contracts.TopicOrderCommands, Key: []byte("k-" + personal), Value: fmt.Appendf(nil, `{"type":"ConfirmOrder","orderId":%d,"%s":1}`, order, personal),
		Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("ConfirmOrder")}, {Key: "note", Value: []byte(personal)}},
	}).FirstErr())
	for _, waited := range []string{`select exists (select from outbox_stuck)`, `select exists (select from dead_letters)`} {
		await(t, waited, func() bool {
			var there bool
			require.NoError(t, db.QueryRow(t.Context(), waited).Scan(&there))
			return there
		})
	}
}

// loginsRefused has a database refuse a service for a while.
func (s *system) loginsRefused(t *testing.T, shown io.Writer) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), state.Databases[stack.Orders])
	require.NoError(t, err)
	defer db.Close(t.Context())
	exec := func(sql string) {
		_, err := db.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec(`alter role orders_service nologin`)
	await(t, "Orders is not ready", func() bool {
		exec(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'orders_service'`)
		status, body, _ := call(t, http.MethodGet, s.url(t, stack.Orders, "/readyz"), "")
		fmt.Fprintln(shown, body)
		return status == http.StatusServiceUnavailable
	})
	_, body, _ := call(t, http.MethodPost, s.url(t, stack.Orders, "/v1/orders"), `{"userId":"u1","sku":"burger","quantity":1}`)
	fmt.Fprintln(shown, body)
	exec(`alter role orders_service login`)
	await(t, "Orders is ready", func() bool {
		status, _, _ := call(t, http.MethodGet, s.url(t, stack.Orders, "/readyz"), "")
		return status == http.StatusOK
	})
}

// everything asks each service for what it tells, as nobody, with a wrong token, with one of a
// provider that does not answer, and as an admin.
func (s *system) everything(t *testing.T, shown io.Writer, orders ...int64) {
	t.Helper()
	paths := map[string][]string{}
	for _, name := range services {
		paths[name] = []string{"/readyz", "/metrics", "/openapi.json", "/nowhere", "/v1/dead-letters?limit=x", "/v1/dead-letters"}
	}
	paths[stack.Relay] = append(paths[stack.Relay], "/v1/sources", "/v1/outbox", "/v1/outbox/orders/rows/1", "/v1/outbox/orders/audit-log")
	paths[stack.Orchestrator] = append(paths[stack.Orchestrator], "/", "/v1/sagas", "/v1/stats", "/v1/notifications", "/v1/find?q=1")
	for _, id := range orders {
		paths[stack.Orchestrator] = append(paths[stack.Orchestrator], fmt.Sprintf("/v1/sagas/%d", id), fmt.Sprintf("/v1/sagas/%d/explain", id))
	}
	for name, all := range paths {
		for _, path := range all {
			for _, token := range []string{"", "Bearer a-wrong-token", "Bearer x.y.z", "Bearer " + secret + "-admin", "Basic " + secret} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url(t, name, path), nil)
				require.NoError(t, err)
				if token != "" {
					request.Header.Set("Authorization", token)
				}
				response, err := client.Do(request)
				require.NoError(t, err)
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				fmt.Fprintf(shown, "%s %s: %d %v %s\n", name, path, response.StatusCode, response.Header, body)
			}
		}
	}
}

var (
	formToken = regexp.MustCompile(`<meta name="csrf" content="([^"]*)"`)
	links     = regexp.MustCompile(`(?:href|hx-get)="(/[^"]*)"`)
)

// viewerCrawls follows every link of the console as a viewer, and asks each page for its JSON, too.
func (s *system) viewerCrawls(t *testing.T, shown io.Writer, orders ...int64) {
	t.Helper()
	from := []string{"/", "/sagas", "/outbox", "/outbox/orders?show=stuck", "/dead-letters", "/dead-letters/all", "/batches", "/audit-log", "/definitions", "/overview/series"}
	for _, id := range orders {
		at := fmt.Sprintf("/sagas/order/%d", id)
		from = append(from, at, at+"/explain", at+"/trail", fmt.Sprintf("/find?q=%d", id), at+"/preview?action=cancel")
	}
	for path, body := range s.crawl(t, secret+"-viewer", from...) {
		require.NotContains(t, body, personal, path)
		fmt.Fprintf(shown, "viewer %s: %s\n", path, body)
	}
	seen := 0
	for _, body := range s.crawl(t, secret+"-reader", from...) {
		seen += strings.Count(body, personal)
	}
	require.Greater(t, seen, 10, "a reader sees it, so there was something to see")
}

// crawl signs in with a token, and reads all pages that the console links to, each as JSON too.
func (s *system) crawl(t *testing.T, token string, from ...string) (pages map[string]string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Transport: client.Transport, Timeout: time.Minute}
	get := func(path string) (string, string) {
		response, err := browser.Get(s.url(t, stack.Orchestrator, path)) //nolint:noctx // bounded by the client
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body), response.Header.Get("Content-Type")
	}
	form, _ := get("/sign-in")
	response, err := browser.PostForm(s.url(t, stack.Orchestrator, "/sign-in"), url.Values{"token": {token}, "csrf": {formToken.FindStringSubmatch(form)[1]}}) //nolint:noctx // the same
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NotEqual(t, "/sign-in", response.Request.URL.Path)
	pages = map[string]string{}
	for queue := from; len(queue) > 0 && len(pages) < 300; queue = queue[1:] {
		path, _, _ := strings.Cut(queue[0], "#")
		path = strings.ReplaceAll(path, "&amp;", "&")
		if _, seen := pages[path]; seen || strings.HasPrefix(path, "/assets/") || strings.HasPrefix(path, "/docs") {
			continue
		}
		body, kind := get(path)
		pages[path] = body
		if strings.HasPrefix(kind, "text/html") {
			for _, link := range links.FindAllStringSubmatch(body, -1) {
				queue = append(queue, link[1])
			}
			u, err := url.Parse(path)
			require.NoError(t, err)
			q := u.Query()
			q.Set("format", "json")
			pages[path+" as JSON"], _ = get(u.Path + "?" + q.Encode())
		}
	}
	return pages
}
