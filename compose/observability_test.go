package compose_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// What is for looking only does not start unless it is asked for, scrapes every service, and mounts
// files that exist.
func TestTheProfileObservabilityScrapesEveryService(t *testing.T) {
	t.Parallel()
	project := load(t)
	scraped, err := os.ReadFile("../deploy/observability/prometheus.yaml")
	require.NoError(t, err)
	for name, port := range services {
		require.Contains(t, string(scraped), `targets: ["`+name+":"+port+`"]`)
		require.Empty(t, project.Services[name].Profiles)
	}
	for _, name := range []string{"prometheus", "grafana", "jaeger"} {
		require.Equal(t, []string{"observability"}, project.Services[name].Profiles)
		for _, v := range project.Services[name].Volumes {
			if v.Type == types.VolumeTypeBind {
				require.True(t, v.ReadOnly)
				_, err := os.Stat(v.Source)
				require.NoError(t, err)
			}
		}
	}
}

// Traces are off, as everywhere, until the variables are set: then every service has them.
func TestTracesAreExportedOnceTheVariablesAreSet(t *testing.T) {
	t.Parallel()
	set := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01",
	}
	environment := []string{}
	for name, value := range set {
		environment = append(environment, name+"="+value)
	}
	off, on := load(t).Services, load(t, environment...).Services
	for service := range services {
		for name, value := range set {
			require.Empty(t, *off[service].Environment[name], service)
			require.Equal(t, value, *on[service].Environment[name], service)
		}
	}
}

type datasource struct {
	Type, UID, URL string
	JSONData       struct {
		ExemplarTraceIDDestinations []struct{ Name, URL string } `yaml:"exemplarTraceIdDestinations"`
	} `yaml:"jsonData"`
}

// Grafana asks services that are there, and an exemplar's trace is looked for where traces are.
func TestGrafanaFindsMetricsAndTraces(t *testing.T) {
	t.Parallel()
	project := load(t)
	files, err := filepath.Glob("../deploy/observability/grafana/provisioning/datasources/*.yaml")
	require.NoError(t, err)
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var provisioned struct{ Datasources []datasource }
		require.NoError(t, yaml.Unmarshal(text, &provisioned))
		for _, d := range provisioned.Datasources {
			at, err := url.Parse(d.URL)
			require.NoError(t, err)
			require.Equal(t, project.Services[at.Hostname()].Ports[0].Published, at.Port(), d.UID)
			found[d.Type] = d.UID
			for _, exemplar := range d.JSONData.ExemplarTraceIDDestinations {
				require.Equal(t, "trace_id", exemplar.Name, "as chassis/telemetry calls it")
				require.Equal(t, "http://localhost:"+project.Services["jaeger"].Ports[0].Published+"/trace/$${__value.raw}", exemplar.URL)
			}
		}
	}
	require.Equal(t, map[string]string{"prometheus": "prometheus", "jaeger": "jaeger"}, found)
}
