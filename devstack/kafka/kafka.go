// Package kafka runs a real Apache Kafka, one node without ZooKeeper, where the
// embedded broker's word is not enough. It needs Java 17 or newer and Maven,
// which fetches Kafka's jars; nothing is installed.
package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/process"
)

var (
	//go:embed pom.xml
	pom []byte
	//go:embed log4j2.yaml
	log4j []byte
	//go:embed server.properties
	serverProperties string
)

// Config says what node to prepare.
type Config struct {
	// Dir keeps the node's settings and data; made when it is not there.
	Dir string
	// Port on 127.0.0.1.
	Port int
	// Advertise is the host:port that clients are told to connect to; "" is the
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

// Prepare fetches Kafka, makes the data directory unless it is there already,
// and returns what runs the node.
func Prepare(ctx context.Context, cfg Config) (process.Command, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return process.Command{}, fmt.Errorf("find the Java, 17 or newer, that Apache Kafka needs: %w", err)
	}
	if err := writeSettings(cfg); err != nil {
		return process.Command{}, fmt.Errorf("prepare Apache Kafka: %w", err)
	}
	classpath, err := fetch(ctx, cfg)
	if err != nil {
		return process.Command{}, err
	}
	n := node{cfg: cfg, java: java, classpath: classpath}
	if err := n.format(ctx); err != nil {
		return process.Command{}, err
	}
	return process.Command{
		Name: "kafka",
		Path: java,
		Args: append([]string{"-Xms512m", "-Xmx512m"}, n.args("kafka.Kafka", cfg.path("server.properties"))...),
	}, nil
}

func (cfg Config) path(name string) string { return filepath.Join(cfg.Dir, name) }

// writeSettings writes the files that Maven and the node read.
func writeSettings(cfg Config) error {
	controllerPort, err := loopback.FreePort()
	if err != nil {
		return err
	}
	if cfg.Advertise == "" {
		cfg.Advertise = loopback.Addr(cfg.Port)
	}
	var properties bytes.Buffer
	err = template.Must(template.New("").Parse(serverProperties)).Execute(&properties, map[string]any{
		"Port": cfg.Port, "Advertise": cfg.Advertise, "ControllerPort": controllerPort, "Data": cfg.path("data"),
		"Users": cfg.Users, "Admin": Admin, "Protocol": cfg.protocol(), "TLS": cfg.TLS != nil, "KeyStore": cfg.path("node.pem"), "TrustStore": cfg.path("clients.pem"),
	})
	return errors.Join(err,
		os.MkdirAll(cfg.Dir, 0o755),
		os.WriteFile(cfg.path("pom.xml"), pom, 0o644),
		os.WriteFile(cfg.path("log4j2.yaml"), log4j, 0o644),
		os.WriteFile(cfg.path("server.properties"), properties.Bytes(), 0o600),
		cfg.writeTLS(),
	)
}

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
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("find the Maven that fetches Apache Kafka: %w", err)
	}
	fmt.Fprintln(cfg.Progress, "fetching Apache Kafka with Maven (44 MB the first time)")
	file := cfg.path("classpath")
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "--file", cfg.path("pom.xml"),
		"dependency:build-classpath", "-Dmdep.outputFile="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch Apache Kafka: %w\n%s", err, bytes.TrimSpace(out))
	}
	classpath, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("fetch Apache Kafka: %w", err)
	}
	return strings.TrimSpace(string(classpath)), nil
}

type node struct {
	cfg             Config
	java, classpath string
}

func (n node) args(class string, args ...string) []string {
	return append([]string{
		"-cp", n.classpath, "-Dlog4j2.configurationFile=" + n.cfg.path("log4j2.yaml"), class,
	}, args...)
}

// format makes the data directory, which a node does not do by itself.
func (n node) format(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(n.cfg.path("data"), "meta.properties"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	args := []string{"format", "-t", base64.RawURLEncoding.EncodeToString(id[:]), "-c", n.cfg.path("server.properties")}
	for name, password := range n.cfg.Users {
		args = append(args, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", name, password))
	}
	cmd := exec.CommandContext(ctx, n.java, n.args("kafka.tools.StorageTool", args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make Apache Kafka's data directory: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
