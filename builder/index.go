package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// maxImageAge is how long an image stands for what it was built from. What a step fetched from the network grows old.
const maxImageAge = 24 * time.Hour

// imagesIn returns the folder of the index. Its last element is the version of what lies in it.
func imagesIn(dataDir string) string { return filepath.Join(dataDir, "images", "v1") }

// An index remembers which image came of which inputs, across restarts, for as long as that counts. Its methods may be called side by side.
type index struct {
	file string
	now  func() time.Time

	mu       sync.Mutex
	outcomes map[string]outcome // by the hash of the inputs
}

// An outcome is the image that came of a build.
type outcome struct {
	Image string          `json:"image"` // its ID
	Bases map[string]base `json:"bases"` // by name
	At    time.Time       `json:"at"`    // when the engine began to build it, or to find it built
}

// openIndex reads the index in the data folder. One that cannot be understood is begun anew: it only saves work.
func openIndex(dataDir string, now func() time.Time, log *slog.Logger) (*index, error) {
	x := &index{file: filepath.Join(imagesIn(dataDir), "index.json"), now: now, outcomes: map[string]outcome{}}
	text, err := os.ReadFile(x.file)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the index of images: %w", err)
	}
	if err := json.Unmarshal(text, &x.outcomes); err != nil || x.outcomes == nil {
		log.Warn("the index of images is begun anew", "error", err)
		x.outcomes = map[string]outcome{}
	}
	return x, nil
}

// find returns what came of the inputs, unless that is too old.
func (x *index) find(inputs string) (outcome, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o, ok := x.outcomes[inputs]
	return o, ok && x.counts(o)
}

func (x *index) counts(o outcome) bool { return x.now().Sub(o.At) < maxImageAge }

// put remembers what came of the inputs, and forgets what is too old.
func (x *index) put(inputs string, o outcome) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcomes[inputs] = o
	maps.DeleteFunc(x.outcomes, func(_ string, o outcome) bool { return !x.counts(o) })
	text, err := json.Marshal(x.outcomes)
	if err != nil {
		return fmt.Errorf("write the index of images: %w", err)
	}
	if err := replaceFile(x.file, text); err != nil {
		return fmt.Errorf("write the index of images: %w", err)
	}
	return nil
}

// replaceFile writes a file that is never there in part. One at a time may do so.
func replaceFile(name string, text []byte) error {
	aside := name + ".new"
	if err := os.WriteFile(aside, text, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, name)
}

// unchanged gives the name to the image that came of the same inputs a while ago, and returns its ID. It returns nothing where there is none, where the
// engine does not have it any more, or where one of its bases is another one by now or may not be used any more. What goes wrong here is no error: the
// engine is asked to build then, and says what there is to say.
//
// BuildKit's own cache does as much while it has the steps. When it had to forget them, a service that nobody changed would get another image, and one
// with a volume would be replaced, with nobody answering meanwhile.
func (b *Builder) unchanged(ctx context.Context, r *recipe, inputs, name string, s *steps) string {
	o, ok := b.index.find(inputs)
	if !ok {
		return ""
	}
	for image, as := range o.Bases {
		if !r.own[image] && b.permission.check(ctx, image) != nil || !b.isStill(ctx, image, as) {
			return ""
		}
	}
	if err := b.engine.ImageTag(ctx, o.Image, name); err != nil {
		return ""
	}
	s.say("unchanged: the image of " + o.At.UTC().Format("2006-01-02 15:04 UTC") + " is used")
	return o.Image
}

// remember keeps what came of a build, where everything is known that it was made of. That it cannot be kept is no reason to fail a build that succeeded.
func (b *Builder) remember(ctx context.Context, inputs string, o outcome, g *guard) {
	if inputs == "" || g.unnamed {
		return
	}
	if err := b.index.put(inputs, o); err != nil {
		b.log.WarnContext(ctx, "an image will be built again although nothing changes", "error", fmt.Errorf("remember %s: %w", o.Image, err))
	}
}
