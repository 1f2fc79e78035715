// Package kafka runs a real Apache Kafka (KRaft), one node or a cluster of
// several, where the embedded broker's word is not enough. It needs Java 17 or
// newer and Maven, which fetches Kafka's jars; nothing is installed.
package kafka

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"waybill.example/devstack/process"
)

var (
	//go:embed pom.xml
	pom []byte
	//go:embed log4j2.yaml
	log4j []byte
)

// ErrUnavailable says that this machine lacks what Apache Kafka runs on, and what to do about it.
var ErrUnavailable = errors.New("there is no Apache Kafka on this machine")

// Config says what to prepare.
type Config struct {
	// Dir keeps the nodes' settings and data; made when it is not there.
	Dir string
	// Port on 127.0.0.1 of the only node. [Cluster] is passed those of its nodes.
	Port int
	// Advertise is the host:port that clients of the only node are told to connect to; "" is the
	// node's own.
	Advertise string
	// Users, if there are any, are the only ones that may log in: names and passwords, for
	// SCRAM-SHA-512 over SASL_PLAINTEXT. One of them is [Admin], which may do everything; the
	// others may do what ACLs allow them.
	Users map[string]string
	// TLS, if not nil, has clients connect over TLS and show a certificate, users besides.
	TLS *TLS
	// Progress shows what takes long.
	Progress io.Writer
}

// TLS are the files of a node, in PEM: its certificate and key, and the authority of its clients.
// Client is what kafka-acls shows, and Authority what it trusts.
type TLS struct {
	Cert, Key, Clients    string
	Authority             string
	ClientCert, ClientKey string
}

// protocol is how clients connect.
func (cfg Config) protocol() string {
	switch {
	case cfg.TLS != nil && cfg.Users != nil:
		return "SASL_SSL"
	case cfg.TLS != nil:
		return "SSL"
	case cfg.Users != nil:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

// Admin is the super user of a node that has users.
const Admin = "admin"

// Prepare fetches Kafka, makes the data directory unless it is there already, and returns what runs
// the only node.
func Prepare(ctx context.Context, cfg Config) (process.Command, error) {
	commands, err := Cluster(ctx, cfg, Node{cfg.Port, cfg.Advertise})
	if err != nil {
		return process.Command{}, err
	}
	return commands[0], nil
}

// find looks for a program that Kafka needs.
func find(program, what string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%w: it needs %s, which `make setup` installs on Debian and Ubuntu: %w", ErrUnavailable, what, err)
	}
	return path, nil
}

func (cfg Config) path(name string) string { return filepath.Join(cfg.Dir, name) }

// writeTLS writes the stores that Java reads: a key and its certificate in one file (KIP-651). A
// node must trust its own certificate, or it does not start.
func (cfg Config) writeTLS() error {
	if cfg.TLS == nil {
		return nil
	}
	return errors.Join(
		join(cfg.path("node.pem"), cfg.TLS.Key, cfg.TLS.Cert), join(cfg.path("clients.pem"), cfg.TLS.Clients, cfg.TLS.Authority),
		join(cfg.path("admin.pem"), cfg.TLS.ClientKey, cfg.TLS.ClientCert), join(cfg.path("authority.pem"), cfg.TLS.Authority),
	)
}

func join(to string, from ...string) error {
	var all []byte
	for _, file := range from {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all = append(all, content...)
	}
	return os.WriteFile(to, all, 0o600)
}

// fetch has Maven bring the jars into its own repository, once for all nodes,
// and returns the class path.
func fetch(ctx context.Context, cfg Config) (string, error) {
	mvn, err := find("mvn", "Maven")
	if err != nil {
		return "", err
	}
	fmt.Fprintln(cfg.Progress, "fetching Apache Kafka with Maven (44 MB the first time)")
	file := cfg.path("classpath")
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "--file", cfg.path("pom.xml"),
		"dependency:build-classpath", "-Dmdep.outputFile="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: Maven could not fetch it: %w\n%s", ErrUnavailable, err, bytes.TrimSpace(out))
	}
	classpath, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("fetch Apache Kafka: %w", err)
	}
	return strings.TrimSpace(string(classpath)), nil
}
