package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Who may change something over HTTP, by service, as NAME=token,….
var adminTokens = map[string]string{
	Relay:        "RELAY_ADMIN_TOKENS",
	Orchestrator: "ORCHESTRATOR_ADMIN_TOKENS",
	Orders:       "ORDERS_ADMIN_TOKENS",
	Inventory:    "INVENTORY_ADMIN_TOKENS",
}

// tokenHolder is who the stack's own token stands for in audit trails.
const tokenHolder = "dev"

// adminTokens gives a service the stack's token, unless the environment has tokens
// for it. The services of a stack listen on loopback only.
func (p *plan) adminTokens(service string) []string {
	setting, has := adminTokens[service]
	if !has || os.Getenv(setting) != "" {
		return nil
	}
	tokens := []string{setting + "=" + tokenHolder + "=" + p.token}
	if service == Inventory { // whose stock anybody changes who tries the docs
		tokens = append(tokens, "INVENTORY_ANONYMOUS_STOCK=true")
	}
	return tokens
}

// TokenFor returns the operators' token that the commands show to a service.
func (s State) TokenFor(service string) string {
	if token := firstToken(os.Getenv(adminTokens[service])); token != "" {
		return token
	}
	return s.Token
}

// firstToken returns the first token of NAME=token,….
func firstToken(tokens string) string {
	first, _, _ := strings.Cut(tokens, ",")
	_, token, _ := strings.Cut(first, "=")
	return token
}

// WriteEnv writes a file to be read by a shell, with what the commands of the docs
// need to reach a stack, and returns its path.
func WriteEnv(dir, workspace string, s State) (string, error) {
	var file strings.Builder
	fmt.Fprintln(&file, "# What Waybill's commands need to reach the stack of this directory. Read it with: . "+quote(filepath.Join(dir, "env")))
	set := func(name, value string) { fmt.Fprintf(&file, "export %s=%s\n", name, quote(value)) }
	var sources []string
	for n := 0; s.Databases[Sharded(Orders, n)] != ""; n++ {
		number := ""
		if n > 0 {
			number = strconv.Itoa(n)
		}
		for _, name := range databaseNames {
			url := s.Databases[Sharded(name, n)]
			sources = append(sources, Sharded(name, n)+"="+url)
			set(strings.ToUpper(name)+number+"_DB", url)
		}
	}
	set("RELAY_DATABASES", strings.Join(sources, ","))
	for _, name := range []string{Orders, Inventory, Orchestrator, Relay} {
		if process, ok := s.Process(name); ok {
			set(variables[name]+"_URL", "http://"+process.Addr)
		}
		set(variables[name]+"_TOKEN", s.TokenFor(name))
	}
	for _, p := range s.Processes {
		if prefix := variables[unsharded(p.Name)]; prefix != "" && p.Name != unsharded(p.Name) { // of another shard
			set(prefix+strings.TrimPrefix(p.Name, unsharded(p.Name)+"-")+"_URL", "http://"+p.Addr)
		}
	}
	fmt.Fprintf(&file, "export PATH=%s:\"$PATH\"\n", quote(filepath.Join(workspace, "bin")))
	path := filepath.Join(dir, "env")
	return path, replace(path, []byte(file.String()))
}

// variables are the prefixes of the services' settings.
var variables = map[string]string{Orders: "ORDERS", Inventory: "INVENTORY", Orchestrator: "ORCHESTRATOR", Relay: "RELAY"}

// quote makes text one word of a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
