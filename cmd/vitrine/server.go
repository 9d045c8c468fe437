package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"vitrine/bot"
	"vitrine/builder"
	"vitrine/builder/registry"
	"vitrine/deploy/compose"
	"vitrine/deploy/docker"
	"vitrine/deploy/firewall"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
	"vitrine/deployments/sqlite"
	"vitrine/proxyroutes"
	"vitrine/proxyroutes/embeddedredis"
	"vitrine/proxyroutes/proxy"
)

const (
	// drain is how long the containers of what was replaced still run, for the requests that they had taken.
	drain = 5 * time.Second
	// reportPause is the least time between two edits of a comment.
	reportPause = 3 * time.Second
	// shutdownTime is how long requests that are being answered may take when the process stops.
	shutdownTime = 5 * time.Second
	// readHeaderTime is how long a client may take to say what it wants.
	readHeaderTime = 10 * time.Second
)

// A server is one Vitrine: all its parts, wired. Open one, Run it once, Close it.
type server struct {
	settings
	log      *slog.Logger
	listener net.Listener
	store    *sqlite.Store
	runtime  *docker.Runtime
	builder  *builder.Builder
	program  *program // on the engine
	closers

	fence      *firewall.Firewall // nil for none
	controller *deployments.Controller
	records    *proxyroutes.Records
	http       *http.Server
	socket     net.Listener // of the commands on this machine
	local      *http.Server // serves them
}

// openServer wires everything. The listener, which stays the caller's to close, is served once Run is called.
func openServer(ctx context.Context, s settings, listener net.Listener, key []byte, log *slog.Logger) (_ *server, err error) {
	srv := &server{settings: s, log: log, listener: listener}
	defer func() {
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
	}()
	if srv.store, err = sqlite.Open(ctx, s.Data, sqlite.Options{
		Now: time.Now, Domain: s.Domain, Lifetime: deployments.Lifetime{TTL: s.TTL, Max: s.TTLMax},
	}); err != nil {
		return nil, err
	}
	srv.add(srv.store.Close)
	if err := srv.openRoutes(ctx); err != nil {
		return nil, err
	}
	if err := srv.openEngine(ctx); err != nil {
		return nil, err
	}
	if err := srv.openControl(key); err != nil {
		return nil, err
	}
	return srv, srv.openSocket()
}

// openRoutes connects to Redis, or starts one.
func (s *server) openRoutes(ctx context.Context) error {
	address := s.RedisURL
	if address == "" {
		redis, err := embeddedredis.Start()
		if err != nil {
			return err
		}
		s.add(redis.Close)
		address = redis.URL()
	}
	records, err := proxyroutes.Open(ctx, proxyroutes.Config{URL: address, Lobby: s.lobby(), Domain: s.Domain, Log: s.log})
	if err != nil {
		return err
	}
	s.records = records
	s.add(records.Close)
	return nil
}

// openEngine starts the registry and connects the builder and the runtime to the engine.
func (s *server) openEngine(ctx context.Context) error {
	config := s.registry()
	config.Log = s.log
	images, err := registry.Start(ctx, config)
	if err != nil {
		return err
	}
	s.add(images.Close)
	authorities, err := s.authorities()
	if err != nil {
		return err
	}
	rule := deployments.ImageRule{Trusted: s.TrustedImages, Own: images.Addr() + "/"}
	if s.builder, err = builder.New(builder.Config{
		DataDir: s.Data, DockerHost: s.DockerHost, Instance: s.store.Instance(), Registry: images.Addr(), Rule: rule, Authorities: authorities, Log: s.log,
		Program: func(ctx context.Context) (builder.Program, error) { return s.program.forFolders(ctx) },
	}); err != nil {
		return err
	}
	s.add(s.builder.Close)
	s.program = newProgram(s.builder, s.store.Instance())
	s.add(s.program.Close)
	if s.runtime, err = docker.New(docker.Config{
		Host: s.DockerHost, Instance: s.store.Instance(), Rule: rule, Routes: hostRoutes, LogDir: filepath.Join(s.Data, "output"),
		Secrets: s.store.Secrets, Log: s.log,
	}); err != nil {
		return err
	}
	s.add(s.runtime.Close)
	return nil
}

// openControl makes the bot, the controller that drives everything, and the handler for both kinds of host.
func (s *server) openControl(key []byte) error {
	transport, err := s.toGithub()
	if err != nil {
		return err
	}
	wanted, err := readManifest()
	if err != nil {
		return err
	}
	forge, err := bot.New(bot.Config{
		AppID: s.GithubAppID, PrivateKey: key, WebhookSecret: s.GithubWebhookSecret, URL: s.GithubURL, APIURL: s.GithubAPIURL,
		Transport: transport, TTL: s.TTL, MaxTTL: s.TTLMax, PreviewURL: s.previewLink(s.port()), States: s.store,
		Permissions: wanted.Permissions, Serves: s.Repos.serves(), Logs: s.runtime.Logs, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.controller = deployments.NewController(deployments.Config{
		Domain: s.Domain, PreviewURL: s.previewLink(s.port()), Subnets: s.Subnets, Builds: s.Builds, Drain: drain,
		LogDir: filepath.Join(s.Data, "logs"), ReportPause: reportPause, Now: time.Now, Log: s.log,
	}, deployments.Ports{
		Store: s.store, Forge: forge, Clerk: forge, Reporter: forge, Builder: s.builder, Stacks: compose.New(compose.Config{Policy: s.Repos.policy}), Runtime: s.runtime, Routes: s.records,
		Firewall: s.openFirewall(),
	})
	previews, err := proxy.New(proxy.Config{Table: s.records.Table(), States: s.store, Lobby: s.lobby(), Domain: s.Domain, TrustedProxies: s.TrustedProxies, Log: s.log})
	if err != nil {
		return err
	}
	s.add(previews.Close)
	control := http.NewServeMux()
	control.Handle(bot.WebhookPath, forge.Webhooks(s.controller))
	control.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	control.HandleFunc("GET /"+repoconfig.SchemaName, serveSchema)
	s.http = &http.Server{
		Handler:           byHost(s.controlHosts(), keepOut(s.Subnets, control), previews),
		ReadHeaderTimeout: readHeaderTime,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// Run serves until ctx is done, then finishes what is being answered, ends the attempts, which stay due, and returns.
func (s *server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		// To be stopped while it still starts is no failure: the next start begins anew.
		if err := s.controller.Run(ctx); err != nil && !(ctx.Err() != nil && errors.Is(err, context.Canceled)) {
			return err
		}
		return nil
	})
	for _, serving := range []struct {
		*http.Server
		on net.Listener
	}{{s.http, s.listener}, {s.local, s.socket}} {
		group.Go(func() error {
			if err := serving.Serve(serving.on); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve on %s: %w", serving.on.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
			defer cancel()
			if err := serving.Shutdown(last); err != nil {
				return serving.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// lobby returns the address of the lobby as it stands in the routes: our own listener, always by an IP address.
func (s *server) lobby() string {
	host, _, _ := net.SplitHostPort(s.listener.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + withPort("http", host, s.port())
}

// controlHosts returns the hosts at which the control plane answers.
func (s *server) controlHosts() map[string]bool {
	return map[string]bool{s.Domain: true, hostname(s.controlURL(s.port())): true, "localhost": true}
}

// byHost tells the control plane from the previews. An IP address is the control plane's too.
func byHost(controlHosts map[string]bool, control, previews http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.ToLower(hostname("http://" + r.Host))
		if controlHosts[host] || net.ParseIP(host) != nil {
			control.ServeHTTP(w, r)
			return
		}
		previews.ServeHTTP(w, r)
	})
}

// serveSchema gives editors what completes a .vitrine.yml.
func serveSchema(w http.ResponseWriter, _ *http.Request) {
	text, err := repoconfig.Schema()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/schema+json")
	w.Write(text)
}

// hostname returns the host of an URL without its port, empty where it is none.
func hostname(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
