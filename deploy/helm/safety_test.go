package helm_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// pods returns the templates of everything that runs.
func pods(t *testing.T, values string) map[string]corev1.PodTemplateSpec {
	t.Helper()
	all := map[string]corev1.PodTemplateSpec{}
	deployments, jobs := workloads(t, values)
	for name, d := range deployments {
		all[name] = d.Spec.Template
	}
	for name, j := range jobs {
		all[name] = j.Spec.Template
	}
	return all
}

// What the profile "restricted" of Kubernetes' pod security standards asks for, and a root file
// system that cannot be written.
func TestPods_AreRestricted(t *testing.T) {
	t.Parallel()
	for _, values := range variants {
		for name, template := range pods(t, values) {
			pod := template.Spec
			require.True(t, *pod.SecurityContext.RunAsNonRoot, name)
			require.EqualValues(t, 65532, *pod.SecurityContext.RunAsUser, name)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type, name)
			require.False(t, *pod.AutomountServiceAccountToken, name)
			require.False(t, pod.HostNetwork || pod.HostPID || pod.HostIPC, name)
			for _, v := range pod.Volumes {
				require.Nil(t, v.HostPath, name)
			}
			for _, c := range pod.Containers {
				require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
				require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, name)
				require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, name)
				require.NotZero(t, c.Resources.Requests.Memory().Value(), name)
				require.NotZero(t, c.Resources.Limits.Memory().Value(), name)
			}
		}
	}
}

// Secrets are yours: the chart neither writes one nor carries one.
func TestChart_HoldsNoSecret(t *testing.T) {
	t.Parallel()
	for _, values := range variants {
		for _, document := range manifests(t, values) {
			h, _ := head(t, document)
			require.NotEqual(t, "Secret", h.Kind)
		}
		for name, template := range pods(t, values) {
			for _, v := range template.Spec.Containers[0].Env {
				secret := strings.HasSuffix(v.Name, "PASSWORD") || strings.HasSuffix(v.Name, "TOKENS") || v.Name == "DATABASE_URL"
				require.False(t, secret && v.Value != "", "%s: %s is in the clear", name, v.Name)
			}
		}
	}
}

// A selector that chooses other pods than its own, or none, protects nothing.
func TestSelectors_ChooseTheirOwnPods(t *testing.T) {
	t.Parallel()
	all := pods(t, everything)
	for _, document := range manifests(t, everything) {
		h, _ := head(t, document)
		var selector map[string]string
		switch h.Kind {
		case "Service":
			s := &corev1.Service{}
			require.NoError(t, yaml.Unmarshal([]byte(document), s))
			selector = s.Spec.Selector
		case "PodDisruptionBudget":
			b := &policyv1.PodDisruptionBudget{}
			require.NoError(t, yaml.Unmarshal([]byte(document), b))
			selector = b.Spec.Selector.MatchLabels
		case "NetworkPolicy":
			p := &networkingv1.NetworkPolicy{}
			require.NoError(t, yaml.Unmarshal([]byte(document), p))
			selector = p.Spec.PodSelector.MatchLabels
		default:
			continue
		}
		for name, template := range all {
			chosen := labels.SelectorFromSet(selector).Matches(labels.Set(template.Labels))
			require.Equal(t, h.Metadata.Labels["app.kubernetes.io/component"] == name, chosen, "%s %s and %s", h.Kind, h.Metadata.Name, name)
		}
	}
}

// The orchestrator asks the three others; nobody else of ours does, and the relay is for operators.
func TestNetwork_LetsInWhoHasToCall(t *testing.T) {
	t.Parallel()
	all := pods(t, needed)
	policies := map[string]*networkingv1.NetworkPolicy{}
	for _, document := range manifests(t, needed) {
		if h, kind := head(t, document); kind == "networking.k8s.io/v1 NetworkPolicy" {
			p := &networkingv1.NetworkPolicy{}
			require.NoError(t, yaml.Unmarshal([]byte(document), p))
			policies[h.Metadata.Labels["app.kubernetes.io/component"]] = p
		}
	}
	require.Len(t, policies, 4)
	for name, p := range policies {
		require.ElementsMatch(t, []networkingv1.PolicyType{"Ingress", "Egress"}, p.Spec.PolicyTypes, name)
		require.Equal(t, name != "orchestrator", lets(t, p, all["orchestrator"].Labels), "the orchestrator to %s", name)
		stranger := map[string]string{"app": "a stranger in this namespace"}
		require.Equal(t, name == "orders" || name == "inventory", lets(t, p, stranger), "a client to %s", name)
	}
}

// lets says whether a pod of the same namespace may call.
func lets(t *testing.T, p *networkingv1.NetworkPolicy, pod map[string]string) bool {
	t.Helper()
	for _, rule := range p.Spec.Ingress {
		for _, peer := range rule.From {
			if peer.NamespaceSelector != nil || peer.PodSelector == nil {
				continue
			}
			selector, err := metav1.LabelSelectorAsSelector(peer.PodSelector)
			require.NoError(t, err)
			if selector.Matches(labels.Set(pod)) {
				return true
			}
		}
	}
	return false
}

func TestRelays_AreTwo(t *testing.T) {
	t.Parallel()
	deployments, _ := workloads(t, needed)
	require.EqualValues(t, 2, *deployments["outbox-relay"].Spec.Replicas)
	for name, d := range deployments {
		require.GreaterOrEqual(t, *d.Spec.Replicas, int32(2), name)
		require.Zero(t, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(), name)
	}
	scaled, _ := workloads(t, everything)
	require.Nil(t, scaled["orders"].Spec.Replicas, "an autoscaler's number is not set back by an upgrade")
}

// The rules are those that are tested next door, and they find the services by the job's name.
func TestMonitoring_HasTheRulesAndTheJobsTheyName(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../observability/rules.yaml")
	require.NoError(t, err)
	var rules map[string]any
	require.NoError(t, yaml.Unmarshal(text, &rules))
	var seen int
	for _, document := range manifests(t, everything) {
		var object struct {
			Kind string         `json:"kind"`
			Spec map[string]any `json:"spec"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		switch object.Kind {
		case "PrometheusRule":
			require.Equal(t, rules, object.Spec)
			seen++
		case "ServiceMonitor":
			require.Equal(t, "app.kubernetes.io/component", object.Spec["jobLabel"])
			seen++
		}
	}
	require.Equal(t, 2, seen)
	for component := range sources {
		require.Contains(t, string(text), component, "as in up{job=~…}")
	}
}
