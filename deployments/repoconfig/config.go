// Package repoconfig reads a repository's .vitrine.yml: what of it is deployed, with what values, and which branches have an environment of their own.
package repoconfig

import (
	"fmt"
	"path"
	"slices"
	"time"

	"vitrine/deployments"
)

// FileName is where the configuration lies, in the root of the repository.
const FileName = ".vitrine.yml"

// MaxSize is the most bytes that a configuration may have.
const MaxSize = 64 << 10

// A Config is a repository's configuration. The zero Config is that of a repository without the file. Paths are relative to the root of the
// repository, with slashes, and lie inside it. At most one of Compose, Dockerfile and Static is set.
type Config struct {
	// Compose are the compose files to read, the later ones merged on top of the first; none for the first of the usual names.
	Compose []string
	// Dockerfile makes a single service of this file; empty for "Dockerfile" where there is no compose file.
	Dockerfile string
	// Static is a folder with an index.html, which a single service serves as it is; empty for the root where that has one and nothing else is deployed.
	Static string
	// Branches are the patterns of branches that have an environment of their own. See Tracks.
	Branches []string
	// PullRequests says which pull requests have an environment.
	PullRequests PullRequests
	// Services says more about some of the services, by name.
	Services map[string]Service
	// Init are the jobs that run before services start, in their order.
	Init []Job
	// Databases are services whose files are cloned instead of made anew.
	Databases []Database
	// With are the other repositories that an environment is made of.
	With []Companion
	// Env declares variables, by name. None begins with "VITRINE_".
	Env map[string]deployments.Declaration
	// TTL is how long an environment stays; 0 for the server's. It is not held against the server's ceiling.
	TTL time.Duration
	// SleepAfter is how long nobody has to visit an environment before it sleeps; 0 for the server's.
	SleepAfter time.Duration
	// Access says who may visit; empty for the server's.
	Access Access
	// Open are the beginnings of paths that need no access.
	Open []string

	file  string
	lines map[string]int
	notes []string
}

// PullRequests says which pull requests have an environment. A nil pointer and an empty string are the server's default.
type PullRequests struct {
	Drafts *bool    // drafts have one
	Bots   *bool    // those that a bot opened have one
	Label  string   // only those with this label have one
	Paths  []string // only those that change a file which these patterns match have one; none for all. See PathMatcher
	Forks  Forks    // what becomes of those from forks
}

// Forks says what becomes of pull requests from forks.
type Forks string

// What becomes of them.
const (
	ForksApprove Forks = "approve" // deployed once somebody with write access approved the commit
	ForksNever   Forks = "never"
)

// A Service is what the configuration says of one service. Zero values are what it does not say.
type Service struct {
	Port int // where it answers HTTP, in the container, 1 to 65535
	// Host is what its host begins with in place of its name, lower-case; empty for the environment's own host, nil where the file does not say.
	Host      *string
	Health    Health
	Resources Resources
	Replace   Replace
}

// Health is how to find out that a service without a healthcheck in its compose file is up.
type Health struct {
	Path    string // what is asked for at the service's port, with a slash first
	Timeout time.Duration
}

// Resources bound a service. They are not held against the server's ceilings.
type Resources struct {
	Memory int64   // bytes
	CPUs   float64 // of one processor
}

// Replace says how a new version takes the place of the old one.
type Replace string

// The ways to replace a service.
const (
	ReplaceBeside  Replace = "beside"   // both run until the new one is healthy
	ReplaceInPlace Replace = "in-place" // the old one is stopped first
)

// A Job is a command that runs to its end before its service starts.
type Job struct {
	Service string   // whose image it runs in
	Run     []string // the command and its arguments, at least one word
	When    When
}

// When says at which deploys a Job runs. The empty one is Always.
type When string

// When a Job runs.
const (
	Always When = "always" // at every deploy
	First  When = "first"  // once in the environment's life, and again after a reset
)

// A Database is a service whose files are a clone of a dataset that the server keeps.
type Database struct {
	Name    string // the dataset's
	Service string
}

// A Companion is another repository that an environment is made of.
type Companion struct {
	Repo   string // "owner/name"
	Branch string // "same" is the branch of the same name where there is one, else the default branch; empty is "same"
}

// Access says who may visit an environment.
type Access string

// Who may visit.
const (
	AccessPublic Access = "public" // everybody
	AccessGithub Access = "github" // who can read the repository
	AccessLink   Access = "link"   // who has a signed link
)

// Tracks reports whether the branch has an environment of its own: whether one of Branches matches it whole. A pattern is path.Match's, so
// that a star stays within one segment: "release/*" is "release/1.2", but neither "release" nor "release/1/2".
func (c Config) Tracks(branch string) bool {
	for _, pattern := range c.Branches {
		if ok, err := path.Match(pattern, branch); err == nil && ok {
			return true
		}
	}
	return false
}

// Notes returns a sentence for each key of the file that is checked but has no effect yet, in the order of the file.
func (c Config) Notes() []string { return slices.Clone(c.notes) }

// Where returns the place of a key, such as "services.web.port" or "init[0].run", as ".vitrine.yml:7". For a key that is not there it returns the
// file.
func (c Config) Where(key string) string {
	file := c.file
	if file == "" {
		file = FileName
	}
	if line, ok := c.lines[key]; ok {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return file
}
