package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"waybill.example/contracts"
	"waybill.example/devstack/broker"
	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/process"
)

// databaseNames are the services with a database; each database is named for
// its service.
var databaseNames = []string{Orders, Inventory, Orchestrator}

// EnvBrokers names the environment variable with a Kafka to use instead of the
// embedded broker.
const EnvBrokers = "KAFKA_BROKERS"

// EnvParseOnly has devstack and drills stop after they have read their arguments:
// for the test that has them read every command of the docs.
const EnvParseOnly = "WAYBILL_PARSE_ONLY"

// plan is what a stack consists of.
type plan struct {
	servers, services []*unit
	cluster           *postgres.Cluster // nil where Postgres is not ours
	standby           *postgres.Standby // nil: there is none
	standbyUnit       *unit
	databases         map[string]string
	databaseURL       func(name string) string
	prefix            string // of the databases' names, on a server that is not ours
	external          bool   // Postgres is not ours
	token             string // for changes over HTTP
	password          string // of the services' logins
	brokers           string
	partitions        int32 // of each topic
	ordersAddr        string
	inventoryAddr     string
	grpcAddr          string // of Inventory, too
	relayAddr         string
}

// auditAddr is where the audit's watch answers, which the stack does not start: it reads
// everything.
const auditAddr = "127.0.0.1:8084"

func (s *Stack) plan(ctx context.Context, bin string) (*plan, error) {
	databaseURL, externalPostgres, err := postgres.External()
	if err != nil {
		return nil, err
	}
	externalBrokers := os.Getenv(EnvBrokers)

	listening := append([]string{inventoryGRPC}, services...)
	if !externalPostgres {
		listening = append([]string{Postgres}, listening...)
	}
	if s.cfg.Standby != "" {
		listening = append([]string{Standby}, listening...)
	}
	if externalBrokers == "" {
		listening = append(brokerNames(s.cfg.KafkaNodes), listening...)
	}
	ports, err := choosePorts(s.cfg.EphemeralPorts, listening)
	if err != nil {
		return nil, err
	}

	p := &plan{databaseURL: databaseURL, external: externalPostgres, brokers: externalBrokers, ordersAddr: loopback.Addr(ports[Orders]), inventoryAddr: loopback.Addr(ports[Inventory]), grpcAddr: loopback.Addr(ports[inventoryGRPC]), relayAddr: loopback.Addr(ports[Relay])}
	p.token, p.password, p.partitions = rand.Text(), rand.Text(), s.partitions()
	postgresUnit := &unit{name: Postgres, notOurs: true}
	if externalPostgres {
		p.prefix = os.Getenv(postgres.EnvPrefix)
	} else {
		if postgresUnit, err = s.postgres(ctx, ports[Postgres], p); err != nil {
			return nil, err
		}
	}
	if err := s.planStandby(p, ports[Standby]); err != nil {
		return nil, err
	}
	brokers := []*unit{{name: Broker, notOurs: true, addr: externalBrokers}}
	if externalBrokers == "" {
		if brokers, p.brokers, err = s.brokers(ctx, bin, ports); err != nil {
			return nil, err
		}
	}
	p.servers = append([]*unit{postgresUnit}, brokers...)
	p.databases = map[string]string{}
	for _, name := range databaseNames {
		p.databases[name] = p.databaseURL(p.prefix + name)
	}
	postgresAddr := postgresUnit.addr
	if !externalPostgres {
		if postgresAddr, err = s.front(Postgres, postgresUnit.addr); err != nil {
			return nil, err
		}
	}
	for _, name := range services {
		p.services = append(p.services, s.service(bin, name, loopback.Addr(ports[name]), p.behind(postgresUnit.addr, postgresAddr)))
	}
	return p, nil
}

// front returns where the services reach one of our servers.
func (s *Stack) front(server, addr string) (string, error) {
	if s.cfg.Front == nil {
		return addr, nil
	}
	front, err := s.cfg.Front(server, addr)
	if err != nil {
		return "", fmt.Errorf("put a proxy in front of %s: %w", server, err)
	}
	return front, nil
}

// behind returns the plan as the services see it, with the databases at another address.
func (p *plan) behind(addr, front string) *plan {
	seen := *p
	seen.databases = map[string]string{}
	for name, url := range p.databases {
		seen.databases[name] = strings.Replace(url, "@"+addr+"/", "@"+front+"/", 1)
	}
	return &seen
}

func (s *Stack) postgres(ctx context.Context, port int, p *plan) (*unit, error) {
	cluster, err := postgres.Prepare(ctx, postgres.Config{
		Dir:      filepath.Join(s.cfg.Dir, Postgres),
		Port:     port,
		Settings: s.cfg.Standby.settings(),
		Progress: s.cfg.Console,
	})
	if err != nil {
		return nil, err
	}
	p.cluster, p.databaseURL = cluster, cluster.URL
	return &unit{
		name:    Postgres,
		addr:    loopback.Addr(port),
		command: cluster.Command(),
		ready:   cluster.Ping,
		logPath: s.logPath(Postgres),
	}, nil
}

// Environ is what a service of a stack inherits: the environment, and half of the processors,
// unless GOMAXPROCS says something else. Six processes live on this machine. With more, Go's
// runtime looks every 20 µs whether a client library that waits in C has returned, for the sake of
// a processor that is idle only in its own eyes.
func Environ() []string {
	share := max(1, runtime.NumCPU()/2)
	return append([]string{"GOMAXPROCS=" + strconv.Itoa(share)}, os.Environ()...)
}

func (s *Stack) service(bin, name, addr string, p *plan) *unit {
	env := append(Environ(), "HTTP_ADDR="+addr, EnvBrokers+"="+p.brokers)
	if name == Relay {
		env = append(env, relayDatabases(p.sources(0)))
	} else {
		env = append(env, "DATABASE_URL="+p.login(name, asService))
	}
	var grpcAddr string
	if name == Inventory {
		grpcAddr = p.grpcAddr
		env = append(env, "GRPC_ADDR="+grpcAddr)
	}
	env = append(env, p.adminTokens(name)...)
	if name == Orchestrator {
		if !s.cfg.EphemeralPorts {
			env = append(env, "AUDIT_URL=http://"+auditAddr)
		}
		env = append(env, "ORDERS_URL=http://"+p.ordersAddr, "INVENTORY_URL=http://"+p.inventoryAddr, "RELAY_URL=http://"+p.relayAddr, "DEVSTACK_STATE="+stateFile(s.cfg.Dir))
	}
	env = append(env, s.cfg.Env[name]...)
	return &unit{
		name:     name,
		addr:     addr,
		grpcAddr: grpcAddr,
		command:  process.Command{Path: filepath.Join(bin, name), Env: env},
		ready:    func(ctx context.Context) error { return AskReady(ctx, addr) },
		logPath:  s.logPath(name),
	}
}

func (s *Stack) logPath(name string) string {
	return filepath.Join(s.cfg.Dir, "logs", name+".log")
}

// prepareServers makes what the services expect to find: their databases, on
// the newest schema, and the topics.
func (p *plan) prepareServers(ctx context.Context, console *Console) error {
	console.Say("migrating the databases %s", strings.Join(databaseNames, ", "))
	if err := p.makeDatabases(ctx); err != nil {
		return err
	}
	if err := p.migrate(ctx); err != nil {
		return err
	}
	if err := p.grant(ctx); err != nil {
		return err
	}
	if os.Getenv("KAFKA_SECURITY_PROTOCOL") != "" {
		console.Say("leaving the topics to the administrators of the secured Kafka at %s", p.brokers)
		return nil
	}
	return broker.CreateTopics(ctx, p.brokers, p.partitions, contracts.Topics()...)
}
