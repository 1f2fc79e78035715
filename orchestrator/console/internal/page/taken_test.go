package page_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
)

// A token that is taken away while the console runs ends its sessions, and the pages that are open.
func TestFrame_ATokenThatIsTakenAwayEndsItsOpenPages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	require.NoError(t, os.WriteFile(file, []byte("olga:operator="+operatorToken+"\nada="+adminToken), 0o600))
	t.Setenv("TEST_TOKENS_FILE", file)
	c := newConsole(t, admin.Nobody, "olga:operator="+operatorToken, "ada="+adminToken)
	c.signIn(t, operatorToken)
	events := c.stream(t, "/c/things/a")
	require.Contains(t, <-events, "4711000000000000123")
	require.NoError(t, os.WriteFile(file, []byte("ada="+adminToken), 0o600))
	deadline := time.After(30 * time.Second)
	for open := true; open; {
		select {
		case _, open = <-events:
		case <-deadline:
			require.Fail(t, "the page is still kept up to date")
		}
	}
	answer, _ := c.get(t, "/c/things/a")
	require.Equal(t, "/c/sign-in", answer.Request.URL.Path)
	require.Equal(t, http.StatusOK, answer.StatusCode)
}
