package proxyroutes

import (
	"context"
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
	"github.com/redis/go-redis/v9/maintnotifications"

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

	// tombstone is how long a removed host's revision is kept, to refuse writes that come late.
	tombstone = 24 * time.Hour
	// lobbyIdentifier names the lobby in the wildcard's record.
	lobbyIdentifier = "vitrine-lobby"
	// patience is how long one answer of Redis may take.
	patience = 2 * time.Second
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
	// URL is "redis://[user:password@]host:port[/db]" or "rediss://...".
	URL string
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
	client  *redis.Client
	lobby   string
	domain  string
	reread  time.Duration
	log     *slog.Logger
	table   *Table
	scripts struct{ write, remove, mark *redis.Script }

	// reading is held by whoever reads Redis into the table, so that an older answer never overwrites a newer one.
	reading chan struct{}
	away    bool // guarded by reading: the last read failed

	mu      sync.Mutex
	written map[string]deployments.Route // the newest of this process, for a Redis that comes back empty

	stop context.CancelCauseFunc
	done chan struct{}
}

var _ deployments.Routes = (*Records)(nil)

var errClosed = errors.New("the records are closed")

// Open connects to Redis, points *.<domain> at the lobby, reads every record, and follows the changes until Close. It fails where Redis does not
// answer, or was written by a newer version of Vitrine.
func Open(ctx context.Context, c Config) (*Records, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	options, err := optionsOf(c.URL)
	if err != nil {
		return nil, err
	}

	following, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &Records{
		client: newClient(options), lobby: c.Lobby, domain: c.Domain, reread: c.Reread, log: c.Log, table: newTable(c.Now),
		reading: make(chan struct{}, 1), written: map[string]deployments.Route{}, stop: stop, done: make(chan struct{}),
	}
	r.scripts.write, r.scripts.remove, r.scripts.mark = redis.NewScript(writeLua), redis.NewScript(removeLua), redis.NewScript(markLua)
	if err := r.begin(ctx, options.Addr); err != nil {
		stop(err)
		return nil, errors.Join(err, r.client.Close())
	}
	go r.follow(following)
	return r, nil
}

// optionsOf reads a Config.URL. Its error does not quote the URL, which may have a password in it.
func optionsOf(address string) (*redis.Options, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("the Redis URL cannot be read; it looks like redis://127.0.0.1:6379 or redis://:password@host:port/0")
	}
	options.Protocol = 2 // all that the records need, and every Redis speaks it
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.ContextTimeoutEnabled = true
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	options.DialerRetries, options.MaxRetries = 1, 2
	return options, nil
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

// begin does what has to work before the records are of use.
func (r *Records) begin(ctx context.Context, addr string) error {
	if err := r.client.SetNX(ctx, versionKey, version, 0).Err(); err != nil {
		return fmt.Errorf("reach Redis at %s: %w", addr, err)
	}
	found, err := r.client.Get(ctx, versionKey).Result()
	if err != nil {
		return fmt.Errorf("read %s from Redis at %s: %w", versionKey, addr, err)
	}
	if found != version {
		return fmt.Errorf("the records in Redis at %s have version %q, and this Vitrine knows version %s; use the newer Vitrine or another Redis database", addr, found, version)
	}
	if err := r.Wildcard(ctx); err != nil {
		return err
	}
	return r.readAll(ctx)
}

// Close ends the following of changes and the connections. The records stay in Redis, and the Table serves what it knows.
func (r *Records) Close() error {
	r.stop(errClosed)
	<-r.done
	return r.client.Close()
}

// Table returns the records in memory.
func (r *Records) Table() *Table { return r.table }

// Write brings each host's record to the route, in one step with the deletion of the host's dead marks, unless the host has seen a higher
// revision. When it returns nil the Table of this process serves what was written. A route that Redis refuses does not hold up the others.
func (r *Records) Write(ctx context.Context, routes []deployments.Route) error {
	var errs []error
	var hosts []string
	for _, route := range routes {
		if err := check(route); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := r.write(ctx, route); err != nil {
			errs = append(errs, fmt.Errorf("write the route of %s: %w", route.Host, err))
			var refused redis.Error
			if !errors.As(err, &refused) {
				break // Redis is away; each further try would wait as long
			}
			continue
		}
		hosts = append(hosts, route.Host)
	}
	if len(hosts) > 0 {
		errs = append(errs, r.readHosts(ctx, hosts))
	}
	return errors.Join(errs...)
}

func (r *Records) write(ctx context.Context, route deployments.Route) error {
	keys := []string{frontendPrefix + route.Host, deadPrefix + route.Host, revisionPrefix + route.Host}
	script, args := r.scripts.write, []any{route.Revision, route.Host, changes, route.Identifier}
	switch {
	case route.Removed:
		script, args = r.scripts.remove, []any{route.Revision, route.Host, changes, int(tombstone.Seconds())}
	case len(route.Backends) == 0:
		args = append(args, r.lobby)
	default:
		for _, b := range route.Backends {
			args = append(args, b)
		}
	}
	taken, err := script.Run(ctx, r.client, keys, args...).Int()
	if err != nil {
		return err
	}
	r.remember(route, taken == 1)
	return nil
}

// remember keeps what was written, the newest for each host, and forgets what another process has overtaken.
func (r *Records) remember(route deployments.Route, taken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.written[route.Host]; ok && known.Revision > route.Revision {
		return
	}
	if taken && !route.Removed {
		r.written[route.Host] = route
	} else {
		delete(r.written, route.Host)
	}
}

// Wildcard points *.<domain> at the lobby, for every host that has no record of its own. Open has done it already.
func (r *Records) Wildcard(ctx context.Context) error {
	host := "*." + r.domain
	keys := []string{frontendPrefix + host, deadPrefix + host, wildcardPrefix + host}
	if err := r.scripts.write.Run(ctx, r.client, keys, 0, host, changes, lobbyIdentifier, r.lobby).Err(); err != nil {
		return fmt.Errorf("point %s at the lobby: %w", host, err)
	}
	return nil
}

// Hosts returns, sorted, the hosts under the domain that have a record with a revision of ours. Removed hosts and foreign records are not among them.
func (r *Records) Hosts(ctx context.Context) ([]string, error) {
	keys, err := r.scan(ctx, revisionPrefix, "*."+r.domain)
	if err != nil {
		return nil, fmt.Errorf("list the hosts: %w", err)
	}
	var hosts []string
	for chunk := range slices.Chunk(keys, pipelined) {
		pipe := r.client.Pipeline()
		var present []*redis.IntCmd
		var lasting []*redis.DurationCmd
		for _, host := range chunk {
			present = append(present, pipe.Exists(ctx, frontendPrefix+host))
			lasting = append(lasting, pipe.TTL(ctx, revisionPrefix+host))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("list the hosts: %w", err)
		}
		for i, host := range chunk {
			// go-redis gives TTL's -1, for a key that does not expire, as that many nanoseconds.
			if present[i].Val() == 1 && lasting[i].Val() == -1 {
				hosts = append(hosts, host)
			}
		}
	}
	slices.Sort(hosts)
	return hosts, nil
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
