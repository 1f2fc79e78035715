package helm_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// repository is the folder that this module lies in.
const repository = "../.."

// sources are where a service's settings are declared.
var sources = map[string][]string{
	"orders": {"orders", "chassis"}, "inventory": {"inventory", "chassis"},
	"orchestrator": {"orchestrator", "chassis"}, "outbox-relay": {"outbox-relay", "chassis"},
}

// workloads returns the chart's Deployments by component, and its Jobs by name.
func workloads(t *testing.T, values string) (map[string]*appsv1.Deployment, map[string]*batchv1.Job) {
	t.Helper()
	deployments, jobs := map[string]*appsv1.Deployment{}, map[string]*batchv1.Job{}
	for _, document := range manifests(t, values) {
		h, _ := head(t, document)
		switch h.Kind {
		case "Deployment":
			d := &appsv1.Deployment{}
			require.NoError(t, yaml.Unmarshal([]byte(document), d))
			deployments[h.Metadata.Labels["app.kubernetes.io/component"]] = d
		case "Job":
			j := &batchv1.Job{}
			require.NoError(t, yaml.Unmarshal([]byte(document), j))
			jobs[h.Metadata.Name] = j
		}
	}
	require.Len(t, deployments, len(sources))
	return deployments, jobs
}

// A setting is a field with an env tag: secret ones are read from a file as well.
var (
	envField  = regexp.MustCompile("(?m)^\\s+(?:\\w+,?\\s)+\\s*(\\S+)\\s+`env(Prefix)?:\"([A-Z0-9_]+)")
	listenOn  = regexp.MustCompile(`service\.ListenOn\("127\.0\.0\.1:(\d+)"\)`)
	grpcAddr  = regexp.MustCompile(`grpcserver\.Config\{Addr: "127\.0\.0\.1:(\d+)"\}`)
	shutdowns = regexp.MustCompile(`ShutdownTimeout = (\d+) \* time\.Second`)
)

// settings returns the variables that a service reads, and whether each can be in a file.
func settings(t *testing.T, component string) map[string]bool {
	t.Helper()
	names, prefixes := map[string]bool{}, []string{}
	for _, folder := range sources[component] {
		for _, m := range find(t, folder, envField) {
			if m[2] != "" {
				prefixes = append(prefixes, m[3])
			} else {
				names[m[3]] = strings.HasPrefix(m[1], "config.Secret")
			}
		}
	}
	for name, file := range maps.Clone(names) {
		for _, prefix := range prefixes {
			if _, known := names[prefix+name]; !known {
				names[prefix+name] = file
			}
		}
	}
	return names
}

// find returns the matches in the Go files of a folder, tests left out.
func find(t *testing.T, folder string, what *regexp.Regexp) (matches [][]string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(filepath.Join(repository, folder), func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		matches = append(matches, what.FindAllStringSubmatch(string(text), -1)...)
		return err
	}))
	return matches
}

// Who has no keys need not be trusted with them: the relay carries payloads as they are.
func TestPayloads_TheKeyringIsMountedWhereItIsRead(t *testing.T) {
	t.Parallel()
	deployments, _ := workloads(t, everything)
	for component, d := range deployments {
		pod := d.Spec.Template.Spec
		variable := ""
		for _, v := range pod.Containers[0].Env {
			if v.Name == "PAYLOAD_KEYRING" {
				variable = v.Value
			}
		}
		mounts := map[string]string{}
		for _, m := range pod.Containers[0].VolumeMounts {
			mounts[m.Name] = m.MountPath
		}
		if component == "outbox-relay" {
			require.Empty(t, variable)
			require.NotContains(t, mounts, "payload-keys")
			continue
		}
		require.Equal(t, mounts["payload-keys"]+"/keyring.json", variable, component)
		found := false
		for _, v := range pod.Volumes {
			if v.Name == "payload-keys" {
				found = true
				require.Equal(t, "waybill-keyring", v.Secret.SecretName)
				require.EqualValues(t, 0o440, *v.Secret.DefaultMode, "a keyring that others may read is refused")
			}
		}
		require.True(t, found, component)
	}
}

// A service without the rules would show what the others hide.
func TestPayloads_TheMasksAreMountedInEveryService(t *testing.T) {
	t.Parallel()
	deployments, _ := workloads(t, everything)
	require.NotEmpty(t, deployments)
	for component, d := range deployments {
		pod := d.Spec.Template.Spec
		require.Contains(t, pod.Containers[0].Env, corev1.EnvVar{Name: "PAYLOAD_MASKS", Value: "/etc/waybill/masks/masks.json"}, component)
		require.Contains(t, pod.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "payload-masks", MountPath: "/etc/waybill/masks", ReadOnly: true}, component)
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "payload-masks" })
		require.GreaterOrEqual(t, i, 0, component)
		require.Equal(t, "waybill-masks", pod.Volumes[i].ConfigMap.Name)
		require.Equal(t, []corev1.KeyToPath{{Key: "masks.json", Path: "masks.json"}}, pod.Volumes[i].ConfigMap.Items)
	}
}

// A variable that nothing reads is a setting that has no effect.
func TestSettings_EachIsReadByItsService(t *testing.T) {
	t.Parallel()
	for _, values := range variants {
		deployments, _ := workloads(t, values)
		for component, d := range deployments {
			known := settings(t, component)
			pod := d.Spec.Template.Spec
			mounted := map[string]bool{}
			for _, item := range pod.Volumes[0].Secret.Items {
				mounted["/etc/waybill/secrets/"+item.Path] = true
			}
			given := map[string]bool{}
			for _, v := range pod.Containers[0].Env {
				require.NotContains(t, given, v.Name, component)
				given[v.Name] = true
				name, file := strings.CutSuffix(v.Name, "_FILE")
				require.Contains(t, known, name, "%s does not read it", component)
				if file {
					require.True(t, known[name], "%s reads %s from no file", component, name)
					require.True(t, mounted[v.Value], "%s: %s is not mounted", component, v.Value)
				}
			}
			require.True(t, given["DATABASE_URL_FILE"] || given["RELAY_DATABASES_FILE"], component)
		}
	}
	require.NotContains(t, settings(t, "orders"), "RELAY_DATABASES", "the check tells services apart")
}

func TestPorts_AreThoseOfTheServices(t *testing.T) {
	t.Parallel()
	deployments, _ := workloads(t, everything)
	for component, d := range deployments {
		container := d.Spec.Template.Spec.Containers[0]
		folder := component
		if component == "orchestrator" {
			folder = "orchestrator/app"
		}
		port := find(t, folder, listenOn)
		require.Len(t, port, 1, component)
		want := []string{port[0][1]}
		for _, m := range find(t, folder, grpcAddr) {
			want = append(want, m[1])
		}
		var have []string
		for _, p := range container.Ports {
			have = append(have, fmt.Sprint(p.ContainerPort))
		}
		require.Equal(t, want, have, component)
		require.Contains(t, container.Env, corev1.EnvVar{Name: "HTTP_ADDR", Value: "0.0.0.0:" + want[0]})
	}
	for _, v := range deployments["orchestrator"].Spec.Template.Spec.Containers[0].Env {
		if name, ok := strings.CutSuffix(v.Name, "_URL"); ok && v.Value != "" {
			other := map[string]string{"ORDERS": "orders", "INVENTORY": "inventory", "RELAY": "outbox-relay"}[name]
			require.NotEmpty(t, other, name)
			port := deployments[other].Spec.Template.Spec.Containers[0].Ports[0].ContainerPort
			require.Equal(t, fmt.Sprintf("http://%s:%d", deployments[other].Name, port), v.Value)
		}
	}
}

func TestProbes_AskWhatTheServicesAnswer(t *testing.T) {
	t.Parallel()
	served := find(t, "chassis/httpserver", regexp.MustCompile(`\.(?:Get\(|Method\(http\.MethodGet, )"(/[a-z]+)"`))
	var paths []string
	for _, m := range served {
		paths = append(paths, m[1])
	}
	require.Subset(t, paths, []string{"/livez", "/readyz", "/metrics"})
	deployments, _ := workloads(t, needed)
	for component, d := range deployments {
		c := d.Spec.Template.Spec.Containers[0]
		for path, probe := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
			require.Equal(t, path, probe.HTTPGet.Path, component)
			require.Equal(t, "http", probe.HTTPGet.Port.String(), component)
			// Whatever HTTP_HOSTS is set to, localhost is served.
			require.Equal(t, []corev1.HTTPHeader{{Name: "Host", Value: "localhost"}}, probe.HTTPGet.HTTPHeaders)
		}
		require.Equal(t, "/livez", c.StartupProbe.HTTPGet.Path)
	}
}

// The kubelet waits longer than a service takes to serve on, and then to stop.
func TestPods_AreGivenTheTimeToStop(t *testing.T) {
	t.Parallel()
	found := find(t, "chassis/service", shutdowns)
	require.Len(t, found, 1)
	stop, err := time.ParseDuration(found[0][1] + "s")
	require.NoError(t, err)
	deployments, _ := workloads(t, needed+"drainDelaySeconds: 17")
	for component, d := range deployments {
		pod := d.Spec.Template.Spec
		require.Contains(t, pod.Containers[0].Env, corev1.EnvVar{Name: "HTTP_DRAIN_DELAY", Value: "17s"}, component)
		require.Greater(t, *pod.TerminationGracePeriodSeconds, int64((17*time.Second + stop).Seconds()), component)
	}
}

// The Jobs' arguments are what the real command takes: it gets as far as connecting.
func TestMigrations_AreArgumentsThatMigrateTakes(t *testing.T) {
	t.Parallel()
	migrate := filepath.Join(t.TempDir(), "migrate")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", migrate, "./migrations/cmd/migrate")
	build.Dir = repository
	build.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") })
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	_, jobs := workloads(t, needed)
	require.Len(t, jobs, 3)
	for name, job := range jobs {
		require.Equal(t, "pre-install,pre-upgrade", job.Annotations["helm.sh/hook"], "before the pods that need it")
		container := job.Spec.Template.Spec.Containers[0]
		require.Equal(t, "waybill-migrations", container.Env[0].ValueFrom.SecretKeyRef.Name)
		run := exec.CommandContext(t.Context(), migrate, container.Args...)
		run.Env = append(os.Environ(), container.Env[0].Name+"=postgres://nobody@127.0.0.1:1/x?connect_timeout=2")
		out, err := run.CombinedOutput()
		require.Error(t, err)
		require.Regexp(t, `(?i)connect|refused`, string(out), name)
		require.NotContains(t, string(out), "Usage:", name)
	}
}

// All services of a release belong to one shard, and shard 0 is one: an instance to which it was
// not said would carry out the orders of the others.
func TestChart_AShardIsSaidToEveryService(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{"": "", "shard: 0": "0", "shard: 9006": "9006"} {
		deployments, _ := workloads(t, needed+values)
		for name, d := range deployments {
			got := ""
			for _, e := range d.Spec.Template.Spec.Containers[0].Env {
				if e.Name == "ORDER_SHARD" {
					got = e.Value
				}
			}
			if name == "outbox-relay" {
				require.Empty(t, got, "it relays all shards")
				continue
			}
			require.Equal(t, want, got, "%s with %q", name, values)
		}
	}
	_, err := render(needed + "shard: 9007")
	require.Error(t, err)
}
