package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"vitrine"
	"vitrine/bot"
	"vitrine/deployments/web"
)

// A settingUp waits for somebody to register the GitHub App in a browser.
type settingUp struct {
	*settings
	port      int
	transport http.RoundTripper
	log       *slog.Logger
}

// Form implements [web.Registrar].
func (s *settingUp) Form(name, account, state string) (action, manifest string, err error) {
	return s.registration().Form(name, account, state)
}

// Register implements [web.Registrar]: it keeps the App in the data folder.
func (s *settingUp) Register(ctx context.Context, code string) (name, install string, err error) {
	app, err := s.registration().Exchange(ctx, code)
	if err != nil {
		return "", "", err
	}
	if err := keepApp(s.Data, app); err != nil {
		return "", "", err
	}
	s.log.Info("the GitHub App is registered", "app", app.Slug, "id", app.ID)
	return cmp.Or(app.Name, app.Slug), app.HTMLURL + "/installations/new", nil
}

func (s *settingUp) registration() bot.Registration {
	return bot.Registration{
		Manifest: vitrine.AppManifest, ControlURL: s.controlURL(s.port), URL: s.GithubURL, APIURL: s.GithubAPIURL, Transport: s.transport,
	}
}

// setUp serves the set-up on the listener, which it leaves open, until the App is registered or ctx is done. The address that it prints has a token that
// counts until then.
func (s *settings) setUp(ctx context.Context, listener *net.TCPListener, out io.Writer, log *slog.Logger) error {
	transport, err := s.toGithub()
	if err != nil {
		return err
	}
	up := &settingUp{settings: s, port: listener.Addr().(*net.TCPAddr).Port, transport: transport, log: log}
	token := rand.Text()
	done := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle(web.SetupPath, web.SetupHandler(web.SetupConfig{
		Token: token, Name: bot.SuggestName(s.Domain), Hook: s.controlURL(up.port) + bot.WebhookPath, Forge: s.GithubURL, Registrar: up,
		Done: func() { close(done) }, Log: log,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		// A webhook that comes now is sent again once there is somebody to hear it.
		http.Error(w, "this server is not set up yet", http.StatusServiceUnavailable)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTime, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	address := s.controlURL(up.port) + web.SetupPath + "?" + url.Values{"token": {token}}.Encode()
	fmt.Fprintf(out, "No GitHub App is configured yet. To register one, open\n\n    %s\n\n", address)
	log.Info("waiting to be set up", "listen", listener.Addr().String())
	return lend(ctx, listener, server, done)
}

// lend serves on the listener until done is closed or ctx ends, and gives it back open.
func lend(ctx context.Context, listener *net.TCPListener, server *http.Server, done <-chan struct{}) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(lent{listener}) }()
	select {
	case <-done:
	case <-ctx.Done():
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	return errors.Join(err, listener.SetDeadline(time.Time{}))
}

// A lent listener is not closed by the server that it was lent to, which only stops to wait for connections.
type lent struct{ *net.TCPListener }

// Close implements net.Listener.
func (l lent) Close() error { return l.SetDeadline(time.Unix(1, 0)) }
