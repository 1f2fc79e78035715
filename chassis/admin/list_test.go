package admin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
)

const someToken = "a-token-of-some-length"

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Tokens in a file are given and taken while the service runs. A slip in the file locks nobody out,
// and is named without what the file holds.
func TestParse_AFileOfTokensIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("ada=" + someToken)
	t.Setenv("TEST_TOKENS_FILE", file)
	readers, err := admin.Parse("TEST_READ_TOKENS", nil)
	require.NoError(t, err)
	tokens, err := admin.Parse("TEST_TOKENS", []string{"ada=" + someToken})
	require.NoError(t, err)
	log := &lines{}
	all := readers.And(tokens)
	all = all.Observed(slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	is := func(token string) string {
		who, err := all.Holder(t.Context(), token)
		if err != nil {
			return ""
		}
		return who.Name
	}
	require.Equal(t, "ada", is(someToken))

	write("bob:viewer=another-token-of-length\nada=the-third-token-of-all\n")
	require.Eventually(t, func() bool { return is("another-token-of-length") == "bob" }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, "ada", is("the-third-token-of-all"))
	require.Empty(t, is(someToken), "it was replaced")

	write("bob:viewr=another-token-of-length")
	require.Eventually(t, func() bool { is(""); return strings.Contains(log.String(), "cannot be read again") }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, "bob", is("another-token-of-length"), "those of before hold")
	require.NotContains(t, log.String(), "another-token")

	write("")
	require.Eventually(t, func() bool { return is("another-token-of-length") == "" }, 30*time.Second, 10*time.Millisecond, "nobody is left")
	require.False(t, all.Empty(), "what was for holders of a token is not for everybody now")
}

// provider knows one token; the others it cannot tell now, or are old.
type provider struct{}

func (provider) Identify(_ context.Context, token string) (admin.Holder, error) {
	switch token {
	case "of-carol":
		return admin.Holder{Name: "oidc:carol", Role: admin.Admin}, nil
	case "old":
		return admin.Holder{}, admin.ErrExpired
	case "who-knows":
		return admin.Holder{}, errors.New("the identity provider does not answer")
	}
	return admin.Holder{}, admin.ErrUnknown
}

func TestGuard_KnowsPeopleOfAnIdentityProvider(t *testing.T) {
	t.Parallel()
	tokens, err := admin.Parse("TEST_TOKENS", nil)
	require.NoError(t, err)
	require.True(t, tokens.With(nil).Empty())
	tokens = tokens.With(provider{})
	require.False(t, tokens.Empty())
	_, api := humatest.New(t)
	type answer struct{ Body string }
	huma.Register(api, admin.Secure(api, tokens, huma.Operation{OperationID: "change", Method: http.MethodPost, Path: "/change"}),
		func(ctx context.Context, _ *struct{}) (*answer, error) { return &answer{admin.Actor(ctx)}, nil })
	huma.Register(api, admin.Secure(api, tokens.ReadOnly(), huma.Operation{OperationID: "read", Method: http.MethodPost, Path: "/read"}),
		func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	ask := func(path, token string) (int, string) {
		answer := api.Post(path, "Authorization: Bearer "+token)
		return answer.Code, answer.Body.String()
	}
	status, body := ask("/change", "of-carol")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `"oidc:carol"`, body)
	status, _ = ask("/read", "of-carol")
	require.Equal(t, http.StatusForbidden, status, "what is for reading is no more for them either")
	for _, c := range []struct {
		token string
		want  int
	}{{"old", http.StatusUnauthorized}, {"who-knows", http.StatusServiceUnavailable}} {
		for range 30 {
			status, body = ask("/change", c.token)
			require.Equal(t, c.want, status, "no guess, so nobody is slowed down: %s", body)
		}
	}
	status, _ = ask("/change", "else")
	require.Equal(t, http.StatusUnauthorized, status)
}

// Whatever door a token is tried at: its refusal leaves a trace.
func TestCheck_RefusalsAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	log, reg := &lines{}, prometheus.NewRegistry()
	tokens, err := admin.Parse("TEST_TOKENS", []string{"ada=" + someToken})
	require.NoError(t, err)
	tokens = tokens.Observed(slog.New(slog.NewTextHandler(log, nil)), reg)
	_, err = tokens.Check(t.Context(), "192.0.2.7:1", "Bearer wrong-token-of-length", "Reserve")
	require.ErrorIs(t, err, admin.ErrUnknown)
	_, err = tokens.Check(t.Context(), "192.0.2.7:1", "Bearer "+someToken, "Reserve")
	require.NoError(t, err)
	require.Contains(t, log.String(), "operation=Reserve")
	require.Contains(t, log.String(), "client=192.0.2.7")
	require.NotContains(t, log.String(), "wrong-token")
	n, err := testutil.GatherAndCount(reg, "waybill_admin_refused_total")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
