package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
)

type server struct {
	Addr string `env:"TEST_ADDR"`
}

type settings struct {
	Server server
	URL    config.Secret `env:"TEST_URL,required"`
	Size   int           `env:"TEST_SIZE" envDefault:"10"`
	state  string
}

func (s settings) Validate() []error {
	var problems []error
	if s.Size < 1 {
		problems = append(problems, errors.New("TEST_SIZE must be positive"))
	}
	return problems
}

func TestLoad_KeepsDefaultsThatTheServiceHasSet(t *testing.T) {
	t.Setenv("TEST_URL", "x")
	s := settings{Server: server{Addr: "127.0.0.1:8080"}}
	require.NoError(t, config.Load(&s))
	require.Equal(t, settings{Server: server{Addr: "127.0.0.1:8080"}, URL: "x", Size: 10}, s)

	t.Setenv("TEST_ADDR", "127.0.0.1:9090")
	require.NoError(t, config.Load(&s))
	require.Equal(t, "127.0.0.1:9090", s.Server.Addr)
}

func TestLoad_NamesEveryProblemAtOnce(t *testing.T) {
	t.Setenv("TEST_SIZE", "-3")
	err := config.Load(&settings{})
	require.ErrorContains(t, err, "TEST_URL")
	require.ErrorContains(t, err, "TEST_SIZE must be positive")
}

func TestLoad_NamesTheVariableThatCannotBeRead(t *testing.T) {
	type limits struct {
		Size    int           `env:"SIZE"`
		Timeout time.Duration `env:"TIMEOUT"`
	}
	type nested struct {
		One   limits `envPrefix:"TEST_ONE_"`
		Other limits `envPrefix:"TEST_OTHER_"`
	}
	t.Setenv("TEST_ONE_SIZE", "many")
	t.Setenv("TEST_OTHER_TIMEOUT", "soon")
	require.EqualError(t, config.Load(&nested{}), `invalid configuration:
  TEST_ONE_SIZE: strconv.ParseInt: parsing "many": invalid syntax
  TEST_OTHER_TIMEOUT: unable to parse duration: time: invalid duration "soon"`)
}

func TestMasked_HidesSecrets(t *testing.T) {
	t.Parallel()
	require.Equal(t, []any{"test_addr", "a", "test_url", "***", "test_size", "1"},
		config.Masked(settings{Server: server{Addr: "a"}, URL: "postgres://u:p@h/d", Size: 1, state: "hidden"}))
}

// What an operator has set is found at a glance, and what holds besides where it is asked for.
func TestAnnounce_SaysWhatIsSetAndTheDefaultsAtDebug(t *testing.T) {
	t.Setenv("TEST_ADDR", "a:1")
	t.Setenv("TEST_URL_FILE", filepath.Join(t.TempDir(), "url"))
	for level, defaults := range map[slog.Level]string{slog.LevelInfo: "", slog.LevelDebug: "level=DEBUG msg=\"settings by default\" test_size=7\n"} {
		var log bytes.Buffer
		timeless := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		config.Announce(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless})),
			settings{Server: server{Addr: "a:1"}, URL: "postgres://u:p@h/d", Size: 7})
		require.Equal(t, "level=INFO msg=starting test_addr=a:1 test_url=***\n"+defaults, log.String())
	}
}

// A secret stays one however a struct that holds it is printed, so that no log line has to take
// care.
func TestSecret_IsNotShownHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	type login struct {
		Password config.Secret  `json:"password"`
		Tokens   config.Secrets `json:"tokens"`
	}
	l := login{"hunter2", []string{"ada=hunter2"}}
	var out bytes.Buffer
	fmt.Fprint(&out, l, l.Password, l.Tokens)
	fmt.Fprintf(&out, "%v %+v %#v %s %q %s", l, l, l, l.Password, l.Password, l.Tokens)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "login", l, "password", l.Password, "tokens", l.Tokens)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "login", l, "password", l.Password, "tokens", l.Tokens)
	require.NoError(t, json.NewEncoder(&out).Encode(l))
	require.NotContains(t, out.String(), "hunter2")
	require.Contains(t, out.String(), "***")
	require.Equal(t, "hunter2", string(l.Password))
	require.Empty(t, config.Secret("").String(), "one that is not set is seen not to be")
}

func TestLoad_ReadsListsOfSecrets(t *testing.T) {
	t.Setenv("TEST_TOKENS", "ada=one,bob=two")
	var s struct {
		Tokens config.Secrets `env:"TEST_TOKENS"`
	}
	require.NoError(t, config.Load(&s))
	require.Equal(t, config.Secrets{"ada=one", "bob=two"}, s.Tokens)
	require.Equal(t, []any{"test_tokens", "***"}, config.Masked(s))
}

func TestMasked_HidesWhoIsInAURL(t *testing.T) {
	t.Parallel()
	type urls struct {
		Relay    string   `env:"TEST_RELAY"`
		Services []string `env:"TEST_SERVICES"`
	}
	require.Equal(t, []any{"test_relay", "http://***@relay:8083/x", "test_services", "[a=http://***@a b=http://b]"},
		config.Masked(urls{"http://me:hunter@55@relay:8083/x", []string{"a=http://me:x@a", "b=http://b"}}))
}

func TestLoad_ReadsSecretsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(file, []byte("postgres://u:p@h/d\n"), 0o600))
	t.Setenv("TEST_URL_FILE", file)
	var s settings
	require.NoError(t, config.Load(&s))
	require.Equal(t, config.Secret("postgres://u:p@h/d"), s.URL)

	t.Setenv("TEST_URL", "other")
	require.ErrorContains(t, config.Load(&s), "TEST_URL and TEST_URL_FILE are both set")
	t.Setenv("TEST_URL_FILE", file+"-missing")
	require.ErrorContains(t, config.Load(&s), "TEST_URL_FILE")
}

// A struct inside may have a prefix of its own: its settings are called by it everywhere.
func TestLoad_NamesTheSettingsOfAStructWithItsPrefix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "webhook")
	require.NoError(t, os.WriteFile(file, []byte("https://hooks.example/secret\n"), 0o600))
	var s struct {
		Notify struct {
			Webhook config.Secret `env:"WEBHOOK_URL"`
			Mail    struct {
				Password config.Secret `env:"PASSWORD"`
				From     string        `env:"FROM"`
			} `envPrefix:"MAIL_"`
		} `envPrefix:"TEST_NOTIFY_"`
	}
	t.Setenv("TEST_NOTIFY_WEBHOOK_URL_FILE", file)
	t.Setenv("TEST_NOTIFY_MAIL_PASSWORD_FILE", file)
	t.Setenv("WEBHOOK_URL_FILE", file+"-of-something-else")
	require.NoError(t, config.Load(&s))
	require.Equal(t, config.Secret("https://hooks.example/secret"), s.Notify.Webhook)
	require.Equal(t, config.Secret("https://hooks.example/secret"), s.Notify.Mail.Password)
	require.Equal(t, []any{"test_notify_webhook_url", "***", "test_notify_mail_password", "***", "test_notify_mail_from", ""},
		config.Masked(s))
}

func TestLoad_ReadsAListOfSecretsFromLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(file, []byte("ada=one\r\nbob=two,carol=three\n"), 0o600))
	t.Setenv("TEST_TOKENS_FILE", file)
	var s struct {
		Tokens config.Secrets `env:"TEST_TOKENS"`
	}
	require.NoError(t, config.Load(&s))
	require.Equal(t, config.Secrets{"ada=one", "bob=two", "carol=three"}, s.Tokens)
}

func TestFile_IsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("one\n"), 0o600))
	t.Setenv("TEST_PASSWORD_FILE", file)
	f := config.FileOf("TEST_PASSWORD")
	text, err := f.Text()
	require.NoError(t, err)
	require.Equal(t, "one", text)
	require.NoError(t, os.WriteFile(file, []byte("two\n"), 0o600))
	require.Eventually(t, func() bool { text, err = f.Text(); return err == nil && text == "two" }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, os.Remove(file))
	require.Eventually(t, func() bool { _, err = f.Text(); return err != nil }, 30*time.Second, 10*time.Millisecond)
	require.Nil(t, config.FileOf("TEST_NOTHING"))
}

func ExampleLoad() {
	var s struct {
		Greeting string `env:"EXAMPLE_GREETING" envDefault:"hello"`
	}
	if err := config.Load(&s); err != nil {
		panic(err)
	}
	fmt.Println(s.Greeting)
	// Output: hello
}
