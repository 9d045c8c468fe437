package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/golang-jwt/jwt/v4"

	"vitrine/builder/registry"
	"vitrine/deploy/firewall"
)

// settings are what `serve` can be told: as flag --x-y, environment variable VITRINE_X_Y, or x-y: in the file that --config names. A flag wins
// over the environment, the environment over the file.
type settings struct {
	Config configFile `help:"YAML file with any of these settings." env:"VITRINE_CONFIG" type:"existingfile"`

	Listen     string `help:"Address for the control plane and the previews, told apart by host." default:"127.0.0.1:8080"`
	Domain     string `help:"Base domain: previews are hosts below it." default:"preview.localhost"`
	URL        string `name:"url" help:"The control plane's address, if not http://<domain>:<port>."`
	PreviewURL string `name:"preview-url" help:"Scheme, and port where it is not the usual one, of the links to previews, as in https://preview.acme.dev; the same as url's if empty."`
	Data       string `help:"Folder for the database, git mirrors, logs and registry files." default:"${data}" type:"path"`

	Repos repositories `help:"What repositories are served: patterns of owner/name, as in acme/shop,other/*; those of the App's owner if empty. In the configuration file it is a map from each pattern to what the operator changes of the policy there, as in repos: {acme/shop: {leave_out: [privileged], memory: 8g, cpus: 6}, other/*: {}}; a flag or a variable stands in for the whole of it." placeholder:"PATTERN,..."`

	DockerHost    string   `help:"The Docker engine, if not the usual one." placeholder:"unix:///var/run/docker.sock"`
	TrustedImages []string `help:"Patterns of images that any repository may name and that need not be pulled, as in debian:*." placeholder:"PATTERN"`

	RedisURL       string         `name:"redis-url" help:"Redis for the routes, redis://[user:password@]host:port/database, or rediss:// for TLS; an embedded one if empty."`
	TrustedProxies []netip.Prefix `help:"Networks of proxies before this one, whose X-Forwarded headers are kept." default:"127.0.0.0/8,::1/128"`

	RegistryListen string `help:"Address of the embedded image registry; it is part of the images' names." default:"127.0.0.1:5055"`
	// kong would take S3 for two words.
	RegistryS3Bucket     string `name:"registry-s3-bucket" env:"VITRINE_REGISTRY_S3_BUCKET" help:"S3 bucket for the registry's files; a folder of the data folder if empty."`
	RegistryS3Region     string `name:"registry-s3-region" env:"VITRINE_REGISTRY_S3_REGION" help:"The bucket's region, as in eu-central-1."`
	RegistryS3Endpoint   string `name:"registry-s3-endpoint" env:"VITRINE_REGISTRY_S3_ENDPOINT" help:"The S3 server, as in https://minio.internal:9000; Amazon's if empty."`
	RegistryS3Addressing string `name:"registry-s3-addressing" env:"VITRINE_REGISTRY_S3_ADDRESSING" help:"Where requests name the bucket: path, virtual (in the host), or auto: path where an endpoint is set." enum:"auto,path,virtual" default:"auto"`
	RegistryS3AccessKey  string `name:"registry-s3-access-key" env:"VITRINE_REGISTRY_S3_ACCESS_KEY" help:"Key for the bucket; without one the machine's role or AWS_ACCESS_KEY_ID counts."`
	RegistryS3SecretKey  string `name:"registry-s3-secret-key" env:"VITRINE_REGISTRY_S3_SECRET_KEY" help:"The secret of that key."`

	GithubURL            string `name:"github-url" help:"GitHub's web and clone address." default:"https://github.com"`
	GithubAPIURL         string `name:"github-api-url" help:"GitHub's REST address." default:"https://api.github.com/"`
	GithubCAFile         string `name:"github-ca-file" help:"PEM file with the certificate authorities of a GitHub Enterprise server, for REST and git; they are trusted beside the system's." type:"path"`
	GithubAppID          int64  `name:"github-app-id" help:"The GitHub App's number."`
	GithubPrivateKeyFile string `name:"github-private-key-file" help:"The GitHub App's private key, a PEM file." type:"path"`
	GithubWebhookSecret  string `name:"github-webhook-secret" help:"The secret that GitHub signs webhooks with."`

	TTL    time.Duration `name:"ttl" help:"How long a preview stays after the last push or command." default:"168h"`
	TTLMax time.Duration `name:"ttl-max" help:"How far ahead /extend can move a preview's end." default:"720h"`

	Builds  int          `help:"How many previews fetch and build side by side." default:"${builds}"`
	Subnets netip.Prefix `help:"Address pool for the previews' networks." default:"10.213.0.0/16"`

	Firewall       string                 `help:"Keep previews and builds away from this machine, each other and private networks: on, or off." enum:"on,off" default:"on"`
	FirewallBuilds string                 `help:"The same for builds, while no container of somebody else uses the engine's default network: on, or off." enum:"on,off" default:"on"`
	EgressAllow    []firewall.Destination `help:"Private addresses that previews and builds may reach, as in 10.1.2.0/24 or 10.1.2.3:5432." placeholder:"ADDRESS"`

	LogLevel string `help:"Least level that is logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
}

// on is the value of a setting that is on or off.
const on = "on"

// defaults returns the defaults that depend on the machine.
func defaults() kong.Vars {
	return kong.Vars{"data": dataFolder(), "builds": strconv.Itoa(runtime.NumCPU())}
}

// dataFolder returns $XDG_DATA_HOME/vitrine, or its default in the XDG base directory specification.
func dataFolder() string {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = "."
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "vitrine")
}

// Validate reports what makes no sense, all at once. Kong calls it after parsing.
func (s *settings) Validate() error {
	var wrong []error
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("listen: %q is not host:port, as in 127.0.0.1:8080", s.Listen))
	} else if host != "" && host != "localhost" && net.ParseIP(host) == nil {
		wrong = append(wrong, fmt.Errorf("listen: %q is not an IP address; use 127.0.0.1, or 0.0.0.0 for every interface", host))
	}
	for _, address := range []struct{ name, value string }{
		{"url", s.URL}, {"preview-url", s.PreviewURL}, {"github-url", s.GithubURL}, {"github-api-url", s.GithubAPIURL},
	} {
		if u, err := url.Parse(address.value); address.value != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			wrong = append(wrong, fmt.Errorf("%s: %q is not an http or https URL", address.name, address.value))
		}
	}
	if _, err := s.authorities(); err != nil {
		wrong = append(wrong, err)
	}
	if s.Domain == "" || strings.ContainsAny(s.Domain, ":/ *") {
		wrong = append(wrong, fmt.Errorf("domain: %q is not a domain name, as in preview.acme.dev", s.Domain))
	}
	if s.RegistryS3Bucket == "" && s.RegistryS3Region+s.RegistryS3Endpoint+s.RegistryS3AccessKey+s.RegistryS3SecretKey != "" {
		wrong = append(wrong, errors.New("registry-s3-bucket: missing, and other registry-s3 settings are there; name the bucket, or remove them"))
	}
	if s.Builds < 1 {
		wrong = append(wrong, fmt.Errorf("builds: %d is less than 1", s.Builds))
	}
	if s.TTL <= 0 || s.TTLMax < s.TTL {
		wrong = append(wrong, fmt.Errorf("ttl: %s must be above 0 and at most ttl-max, %s", s.TTL, s.TTLMax))
	}
	if !s.Subnets.Addr().Is4() || s.Subnets.Bits() > 27 {
		wrong = append(wrong, fmt.Errorf("subnets: %s is not an IPv4 network of /27 or larger, as in 10.213.0.0/16", s.Subnets))
	}
	return errors.Join(wrong...)
}

// registry returns where the embedded registry listens and keeps its files.
func (s *settings) registry() registry.Config {
	c := registry.Config{Root: filepath.Join(s.Data, "registry"), Listen: s.RegistryListen}
	if s.RegistryS3Bucket == "" {
		return c
	}
	c.S3 = &registry.S3{
		Bucket: s.RegistryS3Bucket, Region: s.RegistryS3Region, Endpoint: s.RegistryS3Endpoint,
		AccessKey: s.RegistryS3AccessKey, SecretKey: s.RegistryS3SecretKey,
	}
	if s.RegistryS3Addressing != "auto" {
		c.S3.Addressing = registry.Addressing(s.RegistryS3Addressing)
	}
	return c
}

// errNoApp is returned where no GitHub App is configured, and none was registered in the browser.
var errNoApp = errors.New("no GitHub App is configured: `vitrine serve` says where to register one")

// app completes the settings of the GitHub App by the one that was registered in the browser, where none of them is there, and returns its private key. It
// reports which are missing.
func (s *settings) app() ([]byte, error) {
	if s.GithubAppID == 0 && s.GithubPrivateKeyFile == "" && s.GithubWebhookSecret == "" {
		app, there, err := readApp(s.Data)
		if err != nil {
			return nil, &usageError{err}
		}
		if !there {
			return nil, errNoApp
		}
		s.GithubAppID, s.GithubWebhookSecret = app.ID, app.WebhookSecret
		return []byte(app.PEM), nil
	}
	var missing []string
	if s.GithubAppID == 0 {
		missing = append(missing, "github-app-id")
	}
	if s.GithubPrivateKeyFile == "" {
		missing = append(missing, "github-private-key-file")
	}
	if s.GithubWebhookSecret == "" {
		missing = append(missing, "github-webhook-secret")
	}
	if len(missing) > 0 {
		return nil, &usageError{fmt.Errorf("the GitHub App is configured in part: set %s too (as flag, VITRINE_... variable or in the --config file); "+
			"README.md, \"A real GitHub App\", says where they come from", strings.Join(missing, ", "))}
	}
	key, err := os.ReadFile(s.GithubPrivateKeyFile)
	if err != nil {
		return nil, &usageError{fmt.Errorf("read github-private-key-file: %w", err)}
	}
	if _, err := jwt.ParseRSAPrivateKeyFromPEM(key); err != nil {
		return nil, &usageError{fmt.Errorf("github-private-key-file: %s is no private key (%w); the App's settings on GitHub generate one, a .pem file",
			s.GithubPrivateKeyFile, err)}
	}
	return key, nil
}

// controlURL returns the control plane's address, given the port that is listened on.
func (s *settings) controlURL(port int) string {
	if s.URL != "" {
		return strings.TrimRight(s.URL, "/")
	}
	return "http://" + withPort("http", s.Domain, port)
}

// previewLink returns a function from a host's label to the link that opens it.
func (s *settings) previewLink(port int) func(label string) string {
	scheme, linkPort := "http", port
	from := s.PreviewURL
	if from == "" {
		from = s.controlURL(port)
	}
	if u, err := url.Parse(from); err == nil {
		scheme, linkPort = u.Scheme, 0
		if p, err := strconv.Atoi(u.Port()); err == nil {
			linkPort = p
		}
	}
	return func(label string) string {
		return scheme + "://" + withPort(scheme, label+"."+s.Domain, linkPort)
	}
}

// withPort puts the port behind the host unless it is the scheme's own.
func withPort(scheme, host string, port int) string {
	if port == 0 || scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
