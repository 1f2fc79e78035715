package helm_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(repository + "/docs/deploy.md")
	require.NoError(t, err)
	return string(text)
}

// The commands of the page that we cannot run are taken apart: helm's values render, the Secrets
// have the keys that the chart mounts, and the topics are all of them.
func TestDocs_WhatTheyInstallIsTheChart(t *testing.T) {
	t.Parallel()
	installs := regexp.MustCompile(`(?m)^\s*helm (?:install|upgrade).*$`).FindAllString(page(t), -1)
	require.NotEmpty(t, installs)
	for _, line := range installs {
		require.Contains(t, line, " deploy/helm/waybill ")
		given := map[string]any{}
		for _, set := range regexp.MustCompile(`--set (\S+)`).FindAllStringSubmatch(line, -1) {
			require.NoError(t, strvals.ParseInto(set[1], given), set[1])
		}
		values, err := yaml.Marshal(given)
		require.NoError(t, err)
		_, err = render(string(values))
		require.NoError(t, err, line)
	}
}

func TestDocs_SecretsHaveTheKeysThatAreMounted(t *testing.T) {
	t.Parallel()
	have := map[string][]string{}
	for _, line := range regexp.MustCompile(`(?m)^\s*kubectl create secret generic (\S+)(.*)$`).FindAllStringSubmatch(page(t), -1) {
		for _, key := range regexp.MustCompile(`--from-literal=(\w+)=`).FindAllStringSubmatch(line[2], -1) {
			have[line[1]] = append(have[line[1]], key[1])
		}
	}
	want := map[string][]string{}
	deployments, jobs := workloads(t, needed)
	for _, d := range deployments {
		volume := d.Spec.Template.Spec.Volumes[0].Secret
		for _, item := range volume.Items {
			want[volume.SecretName] = append(want[volume.SecretName], item.Key)
		}
	}
	for _, j := range jobs {
		from := j.Spec.Template.Spec.Containers[0].Env[0].ValueFrom.SecretKeyRef
		want[from.Name] = append(want[from.Name], from.Key)
	}
	require.Len(t, have, len(want))
	for secret, keys := range want {
		require.ElementsMatch(t, keys, have[secret], secret)
	}
}

func TestDocs_TopicsAreThoseOfTheContracts(t *testing.T) {
	t.Parallel()
	var want []string
	for _, m := range find(t, "contracts", regexp.MustCompile(`Topic\w+\s+= "([a-z.]+\.v\d+)"`)) {
		want = append(want, m[1], m[1]+".dlq")
	}
	require.Len(t, want, 8)
	loop := regexp.MustCompile(`for topic in (.*)`).FindStringSubmatch(page(t))
	require.NotNil(t, loop)
	require.ElementsMatch(t, want, strings.Fields(loop[1]))
}

// A setting that the page names is one that some service reads.
func TestDocs_NameNoSettingThatNobodyReads(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"WAYBILL_IMAGES": true, "WAYBILL_VERSION": true, "IMAGES": true, "VERSION": true, "PUSH": true, "GOWORK": true}
	for component := range sources {
		for name := range settings(t, component) {
			known[name] = true
		}
	}
	named := regexp.MustCompile(`\b[A-Z]+(?:_[A-Z]+)+\b`).FindAllString(page(t), -1)
	require.NotEmpty(t, named)
	for _, name := range named {
		require.True(t, known[name] || strings.HasPrefix(name, "SASL_"), "nothing reads %s", name)
	}
}
