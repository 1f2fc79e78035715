package apiclient_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/apiclient"
)

func TestClient_SendsNoTokenInTheClear(t *testing.T) {
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
	call := func(f apiclient.Flags, path string) error {
		_, err := f.Client("orchestrator", "ORCHESTRATOR").Do(t.Context(), apiclient.Request{Path: path})
		return err
	}

	for _, host := range []string{"orchestrator.invalid", "192.0.2.1", "[::ffff:192.0.2.1]", "localhost.example.invalid", "127.0.0.1.example.invalid"} {
		s := apiclient.Flags{URL: "http://" + host + ":" + port, Token: "a-token-of-16-characters"}
		require.ErrorContains(t, call(s, "/v1/sagas"), "in the clear", host)
	}
	require.Empty(t, sent)

	for _, host := range []string{"127.0.0.1", "localhost"} {
		require.NoError(t, call(apiclient.Flags{URL: "http://" + host + ":" + port, Token: "t"}, "/v1/sagas"), host)
	}
	require.Equal(t, []string{"127.0.0.1:" + port + " Bearer t", "localhost:" + port + " Bearer t"}, sent)

	// Nobody is asked to follow to where the operator did not mean to go.
	require.EqualError(t, call(apiclient.Flags{URL: server.URL, Token: "t"}, "/v1/away"), "the orchestrator answered 307 Temporary Redirect")
	require.Len(t, sent, 3)
}

// while is how long was waited, which a machine with much else to do makes longer.
var while = regexp.MustCompile(`within [0-9.]+m?s:`)

func TestClient_SaysWhetherNobodyListensOrNobodyAnswers(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	frozen := "http://" + listener.Addr().String()
	for _, c := range []struct {
		url     string
		timeout time.Duration
		want    string
	}{
		{frozen, 300 * time.Millisecond, "the relay does not answer: no answer from " + frozen + " within a while: it is frozen, overloaded or cut off"},
		{"http://127.0.0.1:1/", time.Minute, "no relay answers at http://127.0.0.1:1; start it, or set RELAY_URL"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
		_, err := apiclient.Flags{URL: c.url}.Client("relay", "RELAY").Do(ctx, apiclient.Request{Path: "/v1/outbox"})
		cancel()
		require.Error(t, err)
		require.Equal(t, c.want, while.ReplaceAllString(err.Error(), "within a while:"))
		require.True(t, apiclient.Unknown(err))
	}
}

// What is said on purpose, and what needs no saying, is not refused before it is tried.
func TestClient_GoesWhereItIsToldOnPurpose(t *testing.T) {
	t.Parallel()
	for _, s := range []apiclient.Flags{
		{URL: "http://orchestrator.invalid:1", Token: "t", Insecure: true},
		{URL: "https://orchestrator.invalid:1", Token: "t"},
		{URL: "http://orchestrator.invalid:1"},
	} {
		_, err := s.Client("orchestrator", "ORCHESTRATOR").Do(t.Context(), apiclient.Request{Path: "/v1/sagas"})
		require.ErrorContains(t, err, "no orchestrator answers")
	}
}

func TestClient_SaysWhatTheServiceAnswered(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		switch r.URL.Path {
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"detail":"no saga 17"}`)
		case "/token":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"detail":"send a token","errors":[{"message":"is missing","location":"header"}]}`)
		default:
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, `<html>`)
		}
	}))
	t.Cleanup(server.Close)
	c := apiclient.Flags{URL: server.URL}.Client("relay", "RELAY")

	err := c.Get(t.Context(), "/missing", nil)
	require.True(t, apiclient.NotFound(err))
	require.EqualError(t, err, "no saga 17")
	require.EqualError(t, c.Get(t.Context(), "/token", nil), "send a token; header: is missing; set --token or RELAY_TOKEN")
	peer := apiclient.Peer(server.URL+"/", "", "relay", "RELAY")
	require.Equal(t, server.URL, peer.URL())
	require.EqualError(t, peer.Get(t.Context(), "/token", nil), "send a token; header: is missing; set RELAY_READ_TOKEN for the service that asks")
	require.EqualError(t, c.Get(t.Context(), "/else", nil), "the relay answered 502 Bad Gateway")
}
