package compose_test

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The images have the C library and nothing else to link with, and the C library is that of the
// stage that compiled the commands: one built against a newer one would not start.
func TestTheCommandsNeedNoLibraryThatTheImagesLack(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	require.Contains(t, stages["build"].from, "-bookworm@")
	require.Contains(t, stages["runtime"].from, "/base-nossl-debian12:", "bookworm is Debian 12")
	bin := build(t, "./outbox-relay", "./waybill", "./migrations/cmd/migrate")
	commands, err := filepath.Glob(bin + "/*")
	require.NoError(t, err)
	require.Len(t, commands, 3)
	ofTheLibrary := regexp.MustCompile(`^(libc|libm|libpthread|libdl|librt|libresolv|ld-linux-[a-z0-9-]+)\.so\.\d$`)
	for _, command := range commands {
		file, err := elf.Open(command)
		if err != nil {
			t.Skipf("no ELF on this system: %v", err)
		}
		needed, err := file.ImportedLibraries()
		require.NoError(t, err)
		require.NoError(t, file.Close())
		for _, library := range needed {
			require.Regexp(t, ofTheLibrary, library, command)
		}
	}
}

// A bill of materials that leaves a module out is worse than none.
func TestTheBillOfMaterialsHasEveryModule(t *testing.T) {
	t.Parallel()
	tool, err := filepath.Abs("../bin/cyclonedx-gomod")
	require.NoError(t, err)
	if _, err := os.Stat(tool); err != nil {
		t.Skip("no bin/cyclonedx-gomod: make sbom")
	}
	command := filepath.Join(build(t, "./orders"), "orders")
	out, err := exec.CommandContext(t.Context(), tool, "bin", "-json", "-std", "-noserial", "-notimestamp", command).Output()
	require.NoError(t, err)
	var bill struct {
		Components []struct{ Name, Version string }
	}
	require.NoError(t, json.Unmarshal(out, &bill))
	listed := map[string]string{}
	for _, c := range bill.Components {
		listed[c.Name] = c.Version
	}
	built, err := buildinfo.ReadFile(command)
	require.NoError(t, err)
	require.NotEmpty(t, built.Deps)
	for _, module := range built.Deps {
		require.Contains(t, listed, module.Path)
	}
	require.Contains(t, listed, "github.com/confluentinc/confluent-kafka-go/v2", "which brings librdkafka")
	require.Contains(t, listed, "std")
}
