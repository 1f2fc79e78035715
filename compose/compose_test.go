// Package compose_test holds compose.yaml and the Dockerfile to the code: they name topics,
// environment variables, commands and versions that the compiler cannot check, and they must work
// for people who run Waybill in containers before anything else.
package compose_test

import (
	"go/version"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// services are the long-running processes of ours, and the port that each publishes.
var services = map[string]string{
	"orders": "8080", "inventory": "8081", "orchestrator": "8082", "outbox-relay": "8083",
}

// load parses compose.yaml as `docker compose` does: against the schema, merged and interpolated.
// Without an environment but the one given, so that a variable without a default would be found;
// with all profiles.
func load(t *testing.T, environment ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(
		[]string{"../compose.yaml"}, cli.WithWorkingDirectory(".."), cli.WithConsistency(true), cli.WithProfiles([]string{"*"}), cli.WithEnv(environment),
	)
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func oneShot(s types.ServiceConfig) bool { return s.Restart == types.RestartPolicyNo }

func TestEveryImageIsPinnedToAnExactVersionAndDigest(t *testing.T) {
	t.Parallel()
	// Distroless has no versions: its tags say the Debian and the user.
	exact := regexp.MustCompile(`(:v?\d+\.\d+(\.\d+)?(-[a-z]+)?|-debian\d+:nonroot)@sha256:[0-9a-f]{64}$`)
	for name, s := range load(t).Services {
		if s.Build == nil {
			require.Regexp(t, exact, s.Image, name)
		} else {
			// On no registry that others could publish it to: without --build, Compose pulls first.
			require.Regexp(t, `^localhost/waybill/[a-z-]+:local$`, s.Image, name)
		}
	}
	for _, stage := range dockerfile(t) {
		if !stage.local {
			require.Regexp(t, exact, stage.from, stage.name)
		}
	}
}

// Who has published images runs those, all of one version, and builds none.
func TestPublishedImagesAreTakenInsteadOfBuilt(t *testing.T) {
	t.Parallel()
	for name, s := range load(t, "WAYBILL_IMAGES=ghcr.io/you/waybill", "WAYBILL_VERSION=v0.1.0").Services {
		if s.Build != nil {
			require.Equal(t, "ghcr.io/you/waybill/"+s.Build.Target+":v0.1.0", s.Image, name)
			require.Empty(t, s.PullPolicy, "%s: then Compose pulls, and builds where there is nothing to pull", name)
		}
	}
}

func TestEveryLongRunningServiceIsHealthCheckedAndUnprivileged(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	for name, s := range load(t).Services {
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true", name)
		user := s.User
		if s.Build != nil {
			user = stages.user(s.Build.Target)
			require.True(t, s.ReadOnly, name)
			require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		}
		require.NotEmpty(t, user, name)
		require.NotRegexp(t, `^(root|0)(:|$)`, user, name)
		if !oneShot(s) {
			require.NotNil(t, s.HealthCheck, name)
			require.NotEmpty(t, s.HealthCheck.Test, name)
		}
	}
}

func TestNothingStartsBeforeWhatItNeeds(t *testing.T) {
	t.Parallel()
	project := load(t)
	for name, s := range project.Services {
		for needed, dependency := range s.DependsOn {
			want := types.ServiceConditionHealthy
			if oneShot(project.Services[needed]) {
				want = types.ServiceConditionCompletedSuccessfully
			}
			require.Equal(t, want, dependency.Condition, "%s needs %s", name, needed)
		}
	}
	for name := range services {
		require.Contains(t, project.Services[name].DependsOn, "topics", name)
	}
	for _, database := range []string{"orders", "inventory", "orchestrator"} {
		require.Contains(t, project.Services[database].DependsOn, "migrate-"+database)
		require.Contains(t, project.Services["outbox-relay"].DependsOn, "migrate-"+database)
	}
}

func TestEveryPublishedPortStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	published := map[string]string{}
	for name, s := range load(t).Services {
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
			listener := name
			if port.Target == 9081 {
				listener += " (gRPC)"
			}
			published[listener] = port.Published
		}
	}
	want := maps.Clone(services)
	want["redpanda"], want["inventory (gRPC)"] = "19092", "9081"
	want["prometheus"], want["grafana"], want["jaeger"] = "9090", "3000", "16686"
	require.Equal(t, want, published)
}

func TestRedpandaListensInsideAndOutside(t *testing.T) {
	t.Parallel()
	command := load(t).Services["redpanda"].Command
	require.Contains(t, command, "--kafka-addr=internal://0.0.0.0:9092,external://0.0.0.0:19092")
	require.Contains(t, command, "--advertise-kafka-addr=internal://redpanda:9092,external://localhost:19092")
	require.Contains(t, command, "redpanda.auto_create_topics_enabled=false")
	// Acknowledged means written to disk.
	require.Contains(t, command, "--unsafe-bypass-fsync=false")
	require.Contains(t, command, "redpanda.write_caching_default=false")
}

func TestTheTopicsAreThoseOfTheContracts(t *testing.T) {
	t.Parallel()
	topics := load(t).Services["topics"]
	require.ElementsMatch(t, contracts.Topics(), topics.Command)
	require.Contains(t, topics.Entrypoint, "--if-not-exists")
}

// Each topic has one database that may write to it.
func TestEveryTopicIsAllowedOneDatabase(t *testing.T) {
	t.Parallel()
	var written []string
	for entry := range strings.SplitSeq(*load(t).Services["outbox-relay"].Environment["RELAY_TOPICS"], ",") {
		name, topics, _ := strings.Cut(entry, "=")
		require.Contains(t, services, name)
		written = append(written, strings.Split(topics, "|")...)
	}
	require.ElementsMatch(t, append(contracts.Topics(), "drill-*"), written)
}

func TestEveryDatabaseIsCreatedMigratedAndServed(t *testing.T) {
	t.Parallel()
	project := load(t)
	script, err := os.ReadFile("create-databases.sql")
	require.NoError(t, err)
	relay := databases(t, *project.Services["outbox-relay"].Environment["RELAY_DATABASES"])
	for _, name := range []string{"orders", "inventory", "orchestrator"} {
		require.Contains(t, string(script), "create database "+name+";")

		migrate := project.Services["migrate-"+name]
		for _, url := range []string{
			*project.Services[name].Environment["DATABASE_URL"], relay[name], *migrate.Environment["DATABASE_URL"],
		} {
			require.Contains(t, url, "@postgres:5432/"+name+"?")
		}
		require.Equal(t, "up", migrate.Command[0])
		require.Equal(t, types.ShellCommand{"outbox", name}, migrate.Command[len(migrate.Command)-2:])
	}
}

// Each variable of compose.yaml is read by the service it is given to.
func TestEveryEnvironmentVariableIsReadBySomething(t *testing.T) {
	t.Parallel()
	folders := map[string][]string{"migrate": {"migrations"}}
	for name := range services {
		folders[name] = []string{name, "chassis"}
	}
	for name, s := range load(t).Services {
		if s.Build == nil {
			continue
		}
		known := variables(t, folders[s.Build.Target]...)
		for variable := range s.Environment {
			require.Contains(t, known, variable, "%s: nothing reads it", name)
		}
	}
}

// The commands find an operator's token for each service, and the orchestrator one that reads.
func TestTheTokensAreThoseThatTheServicesTake(t *testing.T) {
	t.Parallel()
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", ". ./env && env")
	out, err := shell.Output()
	require.NoError(t, err)
	orchestrator := load(t).Services["orchestrator"].Environment
	for name, prefix := range map[string]string{"orders": "ORDERS", "inventory": "INVENTORY", "orchestrator": "ORCHESTRATOR", "outbox-relay": "RELAY"} {
		settings := load(t).Services[name].Environment
		_, token, ok := strings.Cut(*settings[prefix+"_ADMIN_TOKENS"], "=")
		require.True(t, ok)
		require.Contains(t, strings.Split(string(out), "\n"), prefix+"_TOKEN="+token)
		if name != "orchestrator" {
			require.Equal(t, "orchestrator="+*orchestrator[prefix+"_READ_TOKEN"], *settings[prefix+"_READ_TOKENS"])
		}
	}
}

func TestEveryImageOfOursIsATargetOfTheDockerfile(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	for name, s := range load(t).Services {
		if s.Build == nil {
			continue
		}
		target := s.Build.Target
		require.Contains(t, stages, target, name)
		require.Equal(t, "localhost/waybill/"+target+":local", s.Image)
		require.Contains(t, stages[target].lines, "COPY --from=build /out/"+target+" /usr/local/bin/")
		require.True(t, slices.ContainsFunc(stages["build"].fields(), func(field string) bool {
			return strings.HasPrefix(field, "./") && path.Base(field) == target
		}), "%s is not compiled", target)
	}
}

// The image's Go does not fetch a newer one, so it must be new enough for every module.
func TestTheCompilerOfTheImageIsNewEnough(t *testing.T) {
	t.Parallel()
	_, tag, _ := strings.Cut(dockerfile(t)["build"].from, ":")
	compiler, _, _ := strings.Cut(tag, "-")
	modules, err := filepath.Glob("../*/go.mod")
	require.NoError(t, err)
	require.NotEmpty(t, modules)
	for _, module := range append(modules, "../go.mod", "../go.work") {
		text, err := os.ReadFile(module)
		require.NoError(t, err)
		needed := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(text))
		require.NotNil(t, needed, module)
		require.LessOrEqual(t, version.Compare("go"+needed[1], "go"+compiler), 0, module)
	}
}
