package kafka

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"

	"waybill.example/devstack/loopback"
)

// ACLs runs kafka-acls, which comes with Kafka, as [Admin] against a node that was prepared with
// the same configuration, has users and runs. It takes about two seconds.
func ACLs(ctx context.Context, cfg Config, args ...string) error {
	java, err := find("java", "Java 17 or newer")
	if err != nil {
		return fmt.Errorf("run kafka-acls: %w", err)
	}
	classpath, err := os.ReadFile(cfg.path("classpath"))
	if err != nil {
		return fmt.Errorf("run kafka-acls: %w", err)
	}
	login := cfg.path("admin.properties")
	properties := fmt.Appendf(nil, "security.protocol=%s\nsasl.mechanism=SCRAM-SHA-512\n"+
		"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=%q password=%q;\n",
		cfg.protocol(), Admin, cfg.Users[Admin])
	if cfg.TLS != nil {
		properties = fmt.Appendf(properties, "ssl.keystore.type=PEM\nssl.keystore.location=%s\nssl.truststore.type=PEM\nssl.truststore.location=%s\n",
			cfg.path("admin.pem"), cfg.path("authority.pem"))
	}
	err = os.WriteFile(login, properties, 0o600)
	if err != nil {
		return fmt.Errorf("run kafka-acls: %w", err)
	}
	j := jvm{java, string(bytes.TrimSpace(classpath)), cfg.path("log4j2.yaml")}
	args = append([]string{"--bootstrap-server", loopback.Addr(cfg.Port), "--command-config", login}, args...)
	cmd := exec.CommandContext(ctx, java, j.args("org.apache.kafka.tools.AclCommand", args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run kafka-acls: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
