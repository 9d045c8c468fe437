package builder

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vitrine/deployments"
)

// A provenance says whose files a build is made from, and with whose it may share what lies in the engine's build cache: builds of the same repository
// and the same trust only. A fork's code could otherwise find in there what was made with a secret, and leave what trusted builds would take for theirs.
type provenance struct {
	// key is where the engine keeps the files for the next time. It takes a file for unchanged where size and time are: no two checkouts that are
	// written at the same moment may share one, which those of one environment never are.
	key    string
	steps  string // tells the builds apart that share steps
	mounts string // the namespace of their cache mounts
	fresh  bool   // nothing that was made before is used
}

// provenanceOf returns the provenance of a request's build of a service, with the cache mounts' namespace that cacheMounts returned.
func (b *Builder) provenanceOf(req deployments.BuildRequest, service, mounts string) provenance {
	return provenance{
		key:    fullHash(b.prefix + req.Source.Repo + "\x00" + req.Environment + "\x00" + service),
		steps:  b.trustOf(req.Source),
		mounts: mounts,
		fresh:  req.Fresh,
	}
}

// trustOf names a repository together with whether it is its own code or a fork's. Letters' case does not count in a repository's name (GitHub).
func (b *Builder) trustOf(s deployments.Source) string {
	whose := "own"
	if s.Fork {
		whose = "fork"
	}
	return fullHash(b.prefix + strings.ToLower(s.Repo) + "\x00" + whose)
}

// cacheMountsIn returns the folder that says which cache mounts are used. Its last element is the version of what lies in it.
func cacheMountsIn(dataDir string) string { return filepath.Join(dataDir, "cachemounts", "v1") }

// cacheMounts returns the namespace of the cache mounts of those who share a trust. A fresh build begins a new one, which the builds after it use as
// well: they would else go back to what it was to get rid of.
func (b *Builder) cacheMounts(trust string, fresh bool) (string, error) {
	file := filepath.Join(cacheMountsIn(b.config.DataDir), trust)
	b.mu.Lock()
	defer b.mu.Unlock()
	if fresh {
		if err := replaceFile(file, []byte(rand.Text())); err != nil {
			return "", fmt.Errorf("begin new cache mounts: %w", err)
		}
	}
	begun, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find the cache mounts: %w", err)
	}
	return fullHash(trust + "\x00" + string(begun)), nil
}
