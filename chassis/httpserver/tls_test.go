package httpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/certs"
)

func encrypted(t *testing.T, pair certs.Pair) *httpserver.Server {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{
		Addr: "127.0.0.1:0", TLS: httpserver.TLSConfig{CertFile: pair.Cert, KeyFile: pair.Key},
	}, httpserver.Options{Title: "Parcels", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	return server
}

// serial asks the server by a new connection, and returns the serial number of its certificate.
func serial(t *testing.T, client *http.Client, addr string) string {
	t.Helper()
	response, err := client.Get("https://" + addr + "/livez") //nolint:noctx // a test
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "HTTP/1.1", response.Proto)
	return response.TLS.PeerCertificates[0].SerialNumber.String()
}

// A certificate is renewed without a restart. Files that do not fit, as while one of them is
// replaced, cost no connection.
func TestServer_ItsCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	authority := certs.New(t)
	pair := authority.Issue(t, "parcels")
	server := encrypted(t, pair)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"h2", "http/1.1"}}}}
	first := serial(t, client, server.Addr())

	key, err := os.ReadFile(pair.Key)
	require.NoError(t, err)
	authority.Issue(t, "parcels")
	renewed, err := os.ReadFile(pair.Key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(pair.Key, key, 0o600))
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
		require.Equal(t, first, serial(t, client, server.Addr()), "the new certificate and the old key")
	}
	require.NoError(t, os.WriteFile(pair.Key, renewed, 0o600))
	require.Eventually(t, func() bool { return serial(t, client, server.Addr()) != first }, 30*time.Second, 50*time.Millisecond)
}

func TestServer_WithACertificateNothingIsInTheClear(t *testing.T) {
	t.Parallel()
	authority := certs.New(t)
	pair := authority.Issue(t, "parcels")
	server := encrypted(t, pair)
	response, err := http.Get("http://" + server.Addr() + "/livez") //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	_, err = tls.Dial("tcp", server.Addr(), &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	require.ErrorContains(t, err, "protocol version")

	var out bytes.Buffer
	check := httpserver.Healthcheck{Endpoint: "livez", Timeout: 30 * time.Second}
	require.NoError(t, check.Look(t.Context(), httpserver.Config{Addr: server.Addr(), TLS: httpserver.TLSConfig{CertFile: pair.Cert, KeyFile: pair.Key}, MaxConnections: 2, MaxWaiting: 1}, &out))
	require.Contains(t, out.String(), "https://"+server.Addr())
}

func TestNew_SaysThatACertificateIsNone(t *testing.T) {
	t.Parallel()
	authority := certs.New(t)
	one, other := authority.Issue(t, "one"), authority.Issue(t, "other")
	for fault, files := range map[string]httpserver.TLSConfig{
		"private key does not match": {CertFile: one.Cert, KeyFile: other.Key},
		"no such file":               {CertFile: one.Cert + "-missing", KeyFile: one.Key},
	} {
		_, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", TLS: files}, httpserver.Options{Log: slog.New(slog.DiscardHandler)})
		require.ErrorContains(t, err, fault)
		require.ErrorContains(t, err, "HTTP_TLS_CERT_FILE")
	}
	require.NotEmpty(t, httpserver.TLSConfig{CertFile: "x"}.Validate())
}
