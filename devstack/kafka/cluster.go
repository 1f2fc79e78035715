package kafka

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"

	"golang.org/x/sync/errgroup"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

// Node is one process of a cluster: a broker, and a voter of the controllers' quorum.
type Node struct {
	// Port on 127.0.0.1.
	Port int
	// Advertise is the host:port that clients are told to connect to; "" is the node's own.
	Advertise string
}

// Cluster fetches Kafka, makes the nodes' data directories unless they are there already, and
// returns what runs each node. A topic has a replica on each of three nodes, and takes a record
// once two have it, unless it is created with other settings.
//
// A node is ready when it is listed in the cluster's metadata, which takes a quorum: more than half
// of the nodes, so they are started at once. Nor does a node end in order without one, so those
// that are left when all are stopped have to be killed.
func Cluster(ctx context.Context, cfg Config, nodes ...Node) ([]process.Command, error) {
	java, err := find("java", "Java 17 or newer")
	if err != nil {
		return nil, err
	}
	ports, err := loopback.FreePorts(len(nodes)) // of the controllers' listeners
	if err != nil {
		return nil, fmt.Errorf("prepare Apache Kafka: %w", err)
	}
	if err := cfg.writeShared(); err != nil {
		return nil, fmt.Errorf("prepare Apache Kafka: %w", err)
	}
	classpath, err := fetch(ctx, cfg)
	if err != nil {
		return nil, err
	}
	commands := make([]process.Command, len(nodes))
	formatting, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		m := member{Node: n, cfg: cfg, id: i + 1, controllers: ports, jvm: jvm{java, classpath, cfg.path("log4j2.yaml")}}
		if err := m.writeSettings(); err != nil {
			return nil, fmt.Errorf("prepare Apache Kafka: %w", err)
		}
		formatting.Go(func() error { return m.format(ctx) })
		commands[i] = m.command()
	}
	return commands, formatting.Wait()
}

// jvm runs Kafka's classes.
type jvm struct{ java, classpath, logging string }

func (j jvm) args(class string, args ...string) []string {
	return append([]string{"-cp", j.classpath, "-Dlog4j2.configurationFile=" + j.logging, class}, args...)
}

// brief makes a JVM compile and collect with less effort: for tools, and for several nodes that
// share a machine.
var brief = []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}

// member is a node in its cluster.
type member struct {
	Node
	jvm

	cfg         Config
	id          int
	controllers []int // the ports of all
}

func (m member) file(name string) string { return m.cfg.path(fmt.Sprintf("%s-%d", name, m.id)) }

func (m member) alone() bool { return len(m.controllers) == 1 }

// command runs the node.
func (m member) command() process.Command {
	c := process.Command{Name: "kafka", Path: m.java}
	flags := []string{"-Xms512m", "-Xmx512m"}
	if !m.alone() {
		flags = append([]string{"-Xms256m", "-Xmx256m"}, brief...)
		c.Name = fmt.Sprintf("kafka-%d", m.id)
		c.OrphanSignal = syscall.SIGKILL // the others get it, too
	}
	c.Args = append(flags, m.args("kafka.Kafka", m.file("server.properties"))...)
	return c
}

// writeShared writes the files that Maven and all nodes read.
func (cfg Config) writeShared() error {
	return errors.Join(
		os.MkdirAll(cfg.Dir, 0o755),
		os.WriteFile(cfg.path("pom.xml"), pom, 0o644),
		os.WriteFile(cfg.path("log4j2.yaml"), log4j, 0o644),
		cfg.writeTLS(),
	)
}

//go:embed server.properties
var serverProperties string

// writeSettings writes what the node is set to.
func (m member) writeSettings() error {
	if m.Advertise == "" {
		m.Advertise = loopback.Addr(m.Port)
	}
	voters := make([]string, len(m.controllers))
	for i, port := range m.controllers {
		voters[i] = fmt.Sprintf("%d@%s", i+1, loopback.Addr(port))
	}
	var properties bytes.Buffer
	err := template.Must(template.New("").Parse(serverProperties)).Execute(&properties, map[string]any{
		"ID": m.id, "Voters": strings.Join(voters, ","), "Controller": loopback.Addr(m.controllers[m.id-1]),
		"Client": loopback.Addr(m.Port), "Advertise": m.Advertise, "Data": m.file("data"),
		"Alone": m.alone(), "Replicas": min(len(voters), 3), "InSync": min(len(voters), 2),
		"Users": m.cfg.Users, "Admin": Admin, "Protocol": m.cfg.protocol(), "TLS": m.cfg.TLS != nil,
		"KeyStore": m.cfg.path("node.pem"), "TrustStore": m.cfg.path("clients.pem"),
	})
	return errors.Join(err, os.WriteFile(m.file("server.properties"), properties.Bytes(), 0o600))
}

// clusterID is of every cluster here: the nodes of one must agree on it, and no two clusters meet.
const clusterID = "d2F5YmlsbC1kZXZzdGFjaw" // "waybill-devstack"

// format makes the data directory, which a node does not do by itself.
func (m member) format(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(m.file("data"), "meta.properties"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	args := []string{"format", "-t", clusterID, "-c", m.file("server.properties")}
	for name, password := range m.cfg.Users {
		args = append(args, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", name, password))
	}
	cmd := exec.CommandContext(ctx, m.java, slices.Concat(brief, m.args("kafka.tools.StorageTool", args...))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make Apache Kafka's data directory: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
