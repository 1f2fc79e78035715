package cli

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCall_SendsNoTokenInTheClear(t *testing.T) {
	t.Parallel()
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Host+" "+r.Header.Get("Authorization"))
		if r.URL.Path == "/v1/away" {
			http.Redirect(w, r, "/v1/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	call := func(s Saga, path string) error {
		_, err := s.call(t.Context(), http.MethodGet, path, nil)
		return err
	}

	for _, host := range []string{"orchestrator.invalid", "192.0.2.1", "[::ffff:192.0.2.1]", "localhost.example.invalid", "127.0.0.1.example.invalid"} {
		s := Saga{URL: "http://" + host + ":" + port, Token: "a-token-of-16-characters"}
		require.ErrorContains(t, call(s, "/v1/sagas"), "in the clear", host)
	}
	require.Empty(t, sent)

	for _, host := range []string{"127.0.0.1", "localhost"} {
		require.NoError(t, call(Saga{URL: "http://" + host + ":" + port, Token: "t"}, "/v1/sagas"), host)
	}
	require.Equal(t, []string{"127.0.0.1:" + port + " Bearer t", "localhost:" + port + " Bearer t"}, sent)

	// Nobody is asked to follow to where the operator did not mean to go.
	require.NoError(t, call(Saga{URL: server.URL, Token: "t"}, "/v1/away"))
	require.Len(t, sent, 3)
}

// What is said on purpose, and what needs no saying, is not refused before it is tried.
func TestCall_GoesWhereItIsToldOnPurpose(t *testing.T) {
	t.Parallel()
	for _, s := range []Saga{
		{URL: "http://orchestrator.invalid:1", Token: "t", Insecure: true},
		{URL: "https://orchestrator.invalid:1", Token: "t"},
		{URL: "http://orchestrator.invalid:1"},
	} {
		err := s.show(Terminal{Context: t.Context(), Out: &bytes.Buffer{}}, http.MethodGet, "/v1/sagas", nil, nil, nil)
		require.ErrorContains(t, err, "no orchestrator answers")
	}
}
