package helm_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// needed is what has no default; nothing installs without it.
const needed = `
image: { repository: ghcr.io/you/waybill }
kafka: { brokers: "kafka-0:9092,kafka-1:9092" }
`

// everything switches on what is off by default.
const everything = needed + `
monitoring: { enabled: true, labels: { release: prometheus } }
orders:
  autoscaling: { enabled: true }
  env: { HTTP_MAX_REQUESTS: 64 }
  podAnnotations: { a: b }
  nodeSelector: { kubernetes.io/arch: arm64 }
  tolerations: [{ key: spot, operator: Exists }]
inventory: { autoscaling: { enabled: true } }
orchestrator:
  autoscaling: { enabled: true }
  extraEnv: [{ name: NOTIFY_WEBHOOK_URL, valueFrom: { secretKeyRef: { name: waybill-notify, key: url } } }]
payloads: { keyring: { secret: waybill-keyring }, masks: { configMap: waybill-masks }, env: { PAYLOAD_BLOBS: "s3://blobs/waybill" } }
networkPolicy: { operators: [{ namespaceSelector: { matchLabels: { team: sre } } }] }
`

// variants are the values that every rule about manifests is held against.
var variants = map[string]string{
	"needed":     needed,
	"everything": everything,
	"digests and a broker's own authority": `
image: { repository: registry.corp/waybill, digests: { orders: "sha256:` + strings.Repeat("a", 64) + `" }, pullSecrets: [{ name: registry }] }
kafka: { brokers: "k:9096", securityProtocol: SSL, ca: { configMap: kafka-ca } }
`,
	"a shard": needed + "shard: 0\n",
	"without what can be left out": needed + `
migrations: { enabled: false }
podDisruptionBudget: { enabled: false }
networkPolicy: { enabled: false }
relay: { topics: null, replicas: 1 }
`,
}

// render returns the manifests that `helm template` prints, by file.
func render(values string) (map[string]string, error) {
	chart, err := loader.Load("waybill")
	if err != nil {
		return nil, err
	}
	var given map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &given); err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "shop", Namespace: "shop", IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(chart, given, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, all)
}

// manifests returns each document of the rendered chart.
func manifests(t *testing.T, values string) (all []string) {
	t.Helper()
	files, err := render(values)
	require.NoError(t, err)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		for document := range strings.SplitSeq(files[file], "\n---\n") {
			var object map[string]any
			require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object), "%s:\n%s", file, document)
			if len(object) > 0 {
				all = append(all, document)
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}

func TestChart_PassesHelmsLinter(t *testing.T) {
	t.Parallel()
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var given map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(values), &given))
			for _, message := range lint.RunAll("waybill", given, "shop").Messages {
				require.Contains(t, message.Err.Error(), "icon is recommended", "%v", message)
			}
		})
	}
}

// A mistake is named before anything is installed.
func TestChart_RefusesValuesThatMeanNothing(t *testing.T) {
	t.Parallel()
	for values, complaint := range map[string]string{
		needed + "order: { replicas: 2 }":                                                         "order",
		needed + "orders: { replica: 2 }":                                                         "replica",
		needed + "orders: { replicas: 0 }":                                                        "replicas",
		needed + "orders: { env: { http_addr: x } }":                                              "http_addr",
		needed + "orders: { autoscaling: { enabled: true, cpuUtilization: 0 } }":                  "autoscaling",
		needed + "migrations: { grants: { orders: { orders_service: [superuser] } } }":            "grants",
		needed + "networkPolicy: { clients: [{ podselector: {} }] }":                              "podselector",
		`{ image: { repository: x }, kafka: { brokers: "k:9092", securityProtocol: SASL_TLS } }`:  "securityProtocol",
		`{ image: { repository: x } }`:                                                            "kafka.brokers",
		`{ kafka: { brokers: "k:9092" } }`:                                                        "image.repository",
		`{ image: { repository: x, digests: { orders: latest } }, kafka: { brokers: "k:9092" } }`: "digests",
	} {
		_, err := render(values)
		require.ErrorContains(t, err, complaint, values)
	}
}
