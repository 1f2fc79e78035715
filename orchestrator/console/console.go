// Package console is what people look at: every saga, every message that waits, and what can be
// done about them, in a browser. It is an [http.Handler] that any service can mount below a prefix;
// the orchestrator serves it at /.
//
// It reads the HTTP APIs of the four services and no database, and changes things through them, so
// that their rules and their audit logs hold for it as for anybody.
//
//	console.go         what it is given, and its screens
//	internal/page      the frame: layout, rendering, live pages, JSON, errors, signing in
//	internal/session   who looks, and what they may
//	internal/source    clients of the services; what was last known of one that does not answer
//	internal/NAME      one screen each: what it loads, and its templates beside it
//	assets             what browsers load; no build step, and nothing from another host
//
// A screen is added in three steps: a package below internal with a function that returns a
// [page.Screen], its templates beside it, and a line in screens below. docs/console.md says more.
package console

import (
	"cmp"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/masking"
	"waybill.example/chassis/oidc"
	"waybill.example/orchestrator/console/internal/auditlog"
	"waybill.example/orchestrator/console/internal/batches"
	"waybill.example/orchestrator/console/internal/breakit"
	"waybill.example/orchestrator/console/internal/deadletters"
	"waybill.example/orchestrator/console/internal/definitions"
	"waybill.example/orchestrator/console/internal/find"
	"waybill.example/orchestrator/console/internal/locks"
	"waybill.example/orchestrator/console/internal/outbox"
	"waybill.example/orchestrator/console/internal/overview"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/sagas"
	"waybill.example/orchestrator/console/internal/session"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed assets
var assets embed.FS

// Config is what a console is given.
type Config struct {
	// Prefix is the path that it is mounted below, such as /console; empty: /.
	Prefix string
	// API is the orchestrator's API, as a handler of this process: what [httpserver.Server.Router]
	// is.
	API http.Handler
	// Orders, Inventory and Relay are where the other services are; one without a URL is not asked.
	Orders, Inventory, Relay Service
	// Audit is where drills audit --watch answers, whose findings the overview shows; empty: nobody
	// watches.
	Audit string
	// Tokens are whose holders may sign in, with their roles.
	Tokens admin.Tokens
	// Provider is where people can sign in with a browser, if Tokens are those of its people, too;
	// nil: nowhere.
	Provider *oidc.Provider
	// Open lets everybody look who reaches the console, as the API does on a loopback address.
	Open bool
	// Key encrypts sessions. Instances of the same key accept each other's; empty: a random one,
	// and sessions end with the process.
	Key string
	// Stack is the stack.json of a development stack, whose processes the console then offers to
	// break; empty, as it is everywhere else: it offers no such thing.
	Stack string
	// Masks: the APIs hide something from some roles, and are asked as the person who looks.
	Masks *masking.Rules
	Log   *slog.Logger
	// Waiting has the places for pages that are kept up to date; nil: 500 of its own.
	Waiting *httpserver.Waiting
}

// Service is where a service answers HTTP, and the token that it is shown for reading; empty: that
// of the person who looks. What a person changes is sent with their own token.
type Service struct{ URL, ReadToken string }

// maxPages are the pages that may be open at once, where the server has no bound of its own.
const maxPages = 500

// screens are all of them, in the order of the navigation.
func screens(s *source.Sources, stack string) []page.Screen {
	all := []page.Screen{
		overview.New(s, stack != ""),
		sagas.New(s),
		find.New(s),
		outbox.New(s),
		deadletters.New(s),
		batches.New(s),
		auditlog.New(s),
		locks.New(s),
		definitions.New(s),
	}
	if stack != "" {
		all = append(all, breakit.New(s, stack))
	}
	return all
}

// New returns a console. It is safe for concurrent use.
func New(c Config) (http.Handler, error) {
	prefix := strings.TrimSuffix(c.Prefix, "/")
	nobody := admin.Nobody
	if c.Open {
		nobody = admin.Reader
	}
	sessions, err := session.New(c.Tokens, nobody, prefix, c.Key)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	sessions.Provider = c.Provider
	sources := source.New(source.Config{
		API: c.API, Orders: source.Service(c.Orders), Inventory: source.Service(c.Inventory), Relay: source.Service(c.Relay), Audit: c.Audit, Masked: c.Masks != nil,
	})
	frame, err := page.New(page.Config{
		Prefix: prefix, Sessions: sessions, Screens: screens(sources, c.Stack), Assets: assets, Log: c.Log, Forget: sources.Forget,
		Waiting: cmp.Or(c.Waiting, httpserver.NewWaiting(maxPages)),
	})
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return frame, nil
}
