package proxyroutes

import (
	"context"
	"crypto/x509"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"vitrine/deployments"
)

const (
	frontendPrefix = "frontend:"
	deadPrefix     = "dead:"
	revisionPrefix = "vitrine:revision:"
	wildcardPrefix = "vitrine:wildcard:"

	// changes is where a write publishes the host it changed.
	changes = "vitrine:changes"
	// deads is where hipache announces a dead backend: "host;backend;index;number of backends" (lib/drivers/redis.js).
	deads = "dead"

	versionKey = "vitrine:version"
	version    = "1"

	// lobbyIdentifier names the lobby in the wildcard's record.
	lobbyIdentifier = "vitrine-lobby"
)

var (
	//go:embed write.lua
	writeLua string
	//go:embed remove.lua
	removeLua string
	//go:embed mark.lua
	markLua string
)

// Config is what Open needs to know.
type Config struct {
	// URL is "redis://[user:password@]host:port[/db]", or "rediss://..." for TLS. A password without a user is "redis://:password@...".
	URL string
	// RootCAs are who may vouch for the Redis of a "rediss://" URL; nil for the system's, or those of SSL_CERT_FILE.
	RootCAs *x509.CertPool
	// Lobby is where our own proxy answers for hosts without a container: "http://127.0.0.1:8080", its host an IP literal, as a proxy on
	// another machine may not resolve what we do.
	Lobby string
	// Domain is the base domain of the previews, lower-case: "preview.localhost".
	Domain string
	// Reread is the time between two full re-reads; 0 for three seconds.
	Reread time.Duration
	Now    func() time.Time // nil for time.Now
	Log    *slog.Logger     // nil for none
}

// Records writes hipache's records, and keeps a Table of all there are. Its methods may be called side by side.
type Records struct {
	client   *redis.Client
	domain   string
	lobby    string
	wildcard deployments.Route // leads to the lobby where a host has no record of its own
	reread   time.Duration
	log      *slog.Logger
	table    *Table
	ledger   *ledger
	scripts  struct{ write, remove, mark *redis.Script }

	// reading is held by whoever reads Redis into the table, so that an older answer never overwrites a newer one.
	reading chan struct{}

	mu    sync.Mutex
	state kind // what was last met; fine only after everything was read and written
	asked bool // Redis was asked once at least

	stop context.CancelCauseFunc
	done chan struct{}
}

var _ deployments.Routes = (*Records)(nil)

var errClosed = errors.New("the records are closed")

// Open connects to Redis, points *.<domain> at the lobby, reads every record, and follows the changes until Close. Where Redis does not answer, or
// cannot do its part at present, it says so in the log and tries again from then on; the Table serves what is written meanwhile. It fails where
// waiting does not help: the configuration is wrong, Redis says that user, password or database are, its certificate is not trusted, or its records
// were written by a newer version of Vitrine.
func Open(ctx context.Context, c Config) (*Records, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	options, err := optionsOf(c.URL, c.RootCAs)
	if err != nil {
		return nil, err
	}

	following, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	table := newTable(c.Now)
	r := &Records{
		client: newClient(following, options), domain: c.Domain, lobby: c.Lobby, reread: c.Reread, log: c.Log, table: table, ledger: newLedger(table),
		wildcard: deployments.Route{Host: "*." + c.Domain, Identifier: lobbyIdentifier},
		reading:  make(chan struct{}, 1), stop: stop, done: make(chan struct{}),
	}
	r.scripts.write, r.scripts.remove, r.scripts.mark = redis.NewScript(writeLua), redis.NewScript(removeLua), redis.NewScript(markLua)
	r.ledger.ask(r.wildcard, r.record(r.wildcard))
	r.ledger.show([]string{r.wildcard.Host})
	err = r.readAll(ctx)
	if err != nil && (ctx.Err() != nil || !kindOf(err).waits()) {
		stop(errClosed)
		return nil, errors.Join(err, ignoreClosed(r.client.Close()))
	}
	go r.follow(following, err)
	return r, nil
}

func (c *Config) check() error {
	u, err := url.Parse(c.Lobby)
	if err != nil || u.Scheme != "http" {
		return fmt.Errorf("the lobby's address %q is no http URL", c.Lobby)
	}
	if _, err := netip.ParseAddrPort(u.Host); err != nil {
		return fmt.Errorf("the lobby's address %q has to be an IP address with a port", c.Lobby)
	}
	if !isHost(c.Domain) {
		return fmt.Errorf("the domain %q is no lower-case host name", c.Domain)
	}
	c.Lobby = "http://" + u.Host
	if c.Reread <= 0 {
		c.Reread = 3 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Close ends the following of changes and the connections. The records stay in Redis, and the Table serves what it knows.
func (r *Records) Close() error {
	r.stop(errClosed)
	<-r.done
	return ignoreClosed(r.client.Close())
}

// Table returns the records in memory.
func (r *Records) Table() *Table { return r.table }

// Hosts returns, sorted, the hosts directly under the domain that have a record with a revision of ours. Removed hosts and foreign records are not
// among them. Where Redis does not answer the error is a [deployments.Unavailable].
func (r *Records) Hosts(ctx context.Context) ([]string, error) {
	hosts, err := r.listHosts(ctx)
	if err != nil {
		return nil, &deployments.Unavailable{Neighbour: "Redis", Err: fmt.Errorf("list the hosts: %w", explain(r.client.Options(), err))}
	}
	slices.Sort(hosts)
	return hosts, nil
}

func (r *Records) listHosts(ctx context.Context) (hosts []string, err error) {
	found, err := r.scan(ctx, revisionPrefix+"*."+r.domain, revisionPrefix)
	if err != nil {
		return nil, err
	}
	// Another Vitrine's domain may lie under ours.
	direct := slices.DeleteFunc(found[revisionPrefix], func(host string) bool {
		return strings.Contains(strings.TrimSuffix(host, "."+r.domain), ".")
	})
	for chunk := range slices.Chunk(union(direct), pipelined) {
		present, err := r.present(ctx, chunk)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, present...)
	}
	return hosts, nil
}

// present returns those of the hosts that have a record and a revision that does not expire.
func (r *Records) present(ctx context.Context, hosts []string) (present []string, err error) {
	exists := make([]*redis.IntCmd, len(hosts))
	lasting := make([]*redis.DurationCmd, len(hosts))
	pipe := r.client.Pipeline()
	for i, host := range hosts {
		exists[i], lasting[i] = pipe.Exists(ctx, frontendPrefix+host), pipe.TTL(ctx, revisionPrefix+host)
	}
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	for i, host := range hosts {
		// go-redis gives TTL's -1, for a key that does not expire, as that many nanoseconds.
		if exists[i].Val() == 1 && lasting[i].Val() == -1 {
			present = append(present, host)
		}
	}
	return present, nil
}

// check refuses routes that no proxy could serve.
func check(route deployments.Route) error {
	if !isHost(route.Host) {
		return fmt.Errorf("the route's host %q is no lower-case host name", route.Host)
	}
	if route.Revision < 0 {
		return fmt.Errorf("the route of %s has the revision %d", route.Host, route.Revision)
	}
	for _, b := range route.Backends {
		if backendURL(b) == nil {
			return fmt.Errorf("the route of %s has the backend %q, which is no http URL", route.Host, b)
		}
	}
	return nil
}

func isHost(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".")
}
