package helm_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/client-go/openapi/openapitest"
	"sigs.k8s.io/yaml"
)

// kinds are those that the chart makes, with the types that Kubernetes itself decodes them into.
var kinds = map[string]func() any{
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"batch/v1 Job":                           func() any { return &batchv1.Job{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
}

// custom kinds are of Prometheus' operator, whose types are not looked into.
var custom = []string{"monitoring.coreos.com/v1 ServiceMonitor", "monitoring.coreos.com/v1 PrometheusRule"}

type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
}

func head(t *testing.T, document string) (h header, kind string) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal([]byte(document), &h))
	return h, h.APIVersion + " " + h.Kind
}

// A field that Kubernetes does not know is dropped by the server, and what it was for with it.
func TestManifests_HaveNoFieldThatKubernetesDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			for _, document := range manifests(t, values) {
				h, kind := head(t, document)
				require.False(t, seen[kind+h.Metadata.Name], "duplicate %s %s", kind, h.Metadata.Name)
				seen[kind+h.Metadata.Name] = true
				if newObject := kinds[kind]; newObject != nil {
					require.NoError(t, yaml.UnmarshalStrict([]byte(document), newObject()), "%s\n%s", kind, document)
				} else {
					require.Contains(t, custom, kind)
				}
			}
		})
	}
}

// Kubeconform knows what is required, as a type does not. The schemas are those that client-go has
// for its own tests: of the core, apps and batch, some versions old.
func TestManifests_ConformToTheSchemasOfKubernetes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	writeSchemas(t, folder, "api/v1", "apis/apps/v1", "apis/batch/v1")
	conform, err := validator.New([]string{folder + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"}, validator.Opts{Strict: true, IgnoreMissingSchemas: true})
	require.NoError(t, err)
	check := func(document string) validator.Result {
		results := conform.Validate("manifest.yaml", io.NopCloser(strings.NewReader(document)))
		require.Len(t, results, 1)
		return results[0]
	}
	valid := 0
	for _, values := range variants {
		for _, document := range manifests(t, values) {
			result := check(document)
			require.NotEqual(t, validator.Invalid, result.Status, "%v\n%s", result.Err, document)
			require.NotEqual(t, validator.Error, result.Status, "%v\n%s", result.Err, document)
			if result.Status == validator.Valid {
				valid++
			}
		}
	}
	require.GreaterOrEqual(t, valid, 4*(4+4), "Deployments and Services of every variant")
	broken := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {template: {}, selector: {}, replica: 2}}`
	require.Equal(t, validator.Invalid, check(broken).Status, "an unknown field is found")
	require.Equal(t, validator.Invalid, check(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {}}}`).Status, "a missing one, too")
}

// writeSchemas turns OpenAPI documents into a JSON Schema per kind, which takes no other fields.
func writeSchemas(t *testing.T, folder string, paths ...string) {
	t.Helper()
	documents, err := openapitest.NewEmbeddedFileClient().Paths()
	require.NoError(t, err)
	for _, path := range paths {
		require.Contains(t, documents, path)
		text, err := documents[path].Schema("application/json")
		require.NoError(t, err)
		var document struct {
			Components struct {
				Schemas map[string]map[string]any `json:"schemas"`
			} `json:"components"`
		}
		require.NoError(t, json.Unmarshal(text, &document))
		group := strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/")
		for _, schema := range document.Components.Schemas {
			if _, ok := schema["properties"]; ok {
				schema["additionalProperties"] = false
			}
		}
		for name, schema := range document.Components.Schemas {
			if _, ok := schema["x-kubernetes-group-version-kind"]; !ok {
				continue
			}
			kind := strings.ToLower(name[strings.LastIndex(name, ".")+1:])
			out, err := json.Marshal(map[string]any{"$ref": "#/components/schemas/" + name, "components": document.Components})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(folder, kind+"-"+strings.ReplaceAll(group, "/", "-")+".json"), out, fs.ModePerm))
		}
	}
}
