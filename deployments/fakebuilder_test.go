package deployments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vitrine/deployments"
)

// Fetch implements [deployments.Builder].
func (w *world) Fetch(ctx context.Context, _ deployments.Remote, _ deployments.Origin, s deployments.Source) (*deployments.Checkout, error) {
	defer w.work("build", s, true)()
	if err := w.call(ctx, "Builder.Fetch", s.SHA); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkouts[s.SHA]++
	return &deployments.Checkout{Dir: "/checkout/" + s.SHA, Close: func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.checkouts[s.SHA]--
		return nil
	}}, nil
}

// Build implements [deployments.Builder]. Commits with the same last digit before the zeros make the same image, so that environments share tags.
func (w *world) Build(ctx context.Context, req deployments.BuildRequest) ([]deployments.Image, error) {
	defer w.work("build", req.Source, true)()
	req.Progress("web", "step 1 of 2")
	if err := w.call(ctx, "Builder.Build", req.Source.SHA); err != nil {
		return nil, err
	}
	fmt.Fprintln(req.Log, "built", req.Source.SHA)
	id := strings.Repeat(req.Source.SHA[6:7], 64)
	references := []string{"shop/web:id-" + id, "shop/web:" + req.Environment + "." + req.Source.SHA[:12]}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range references {
		w.engine[r] = true
	}
	return []deployments.Image{{Service: "web", ID: "sha256:" + id, References: references}}, nil
}

// Push implements [deployments.Builder].
func (w *world) Push(ctx context.Context, images []deployments.Image) ([]deployments.Image, error) {
	if err := w.call(ctx, "Builder.Push", images[0].References[1]); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	pushed := slices.Clone(images)
	for i := range pushed {
		for _, r := range pushed[i].References {
			// The tag is made first: another deployment's end may have taken it since the build.
			w.engine[r], w.registry[r] = true, true
		}
		pushed[i].Digest = strings.Replace(pushed[i].ID, "sha256:", "sha256:d", 1)
	}
	return pushed, nil
}

// Remove implements [deployments.Builder].
func (w *world) Remove(ctx context.Context, references []string) error {
	if err := w.call(ctx, "Builder.Remove", strings.Join(references, " ")); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range references {
		delete(w.engine, r)
		delete(w.registry, r)
	}
	return nil
}

// References implements [deployments.Builder].
func (w *world) References(ctx context.Context) ([]string, error) {
	err := w.call(ctx, "Builder.References", "")
	return w.tags(), err
}

// tags returns every tag of the engine and the registry.
func (w *world) tags() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.engine)
	maps.Copy(all, w.registry)
	return slices.Sorted(maps.Keys(all))
}

// Settings implements [deployments.StackReader].
func (w *world) Settings(context.Context, string) (deployments.Settings, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings, nil
}

// Public implements [deployments.StackReader].
func (w *world) Public(ctx context.Context, repo, dir string, _ deployments.Values) ([]deployments.PublicService, error) {
	w.mu.Lock()
	public := w.public
	if w.repos == nil {
		w.repos = make(map[string]bool)
	}
	w.repos[repo] = true
	w.mu.Unlock()
	if public == nil {
		public = []deployments.PublicService{{Name: "web", Port: 8080}}
	}
	return public, w.call(ctx, "Stacks.Public", dir)
}

// Read implements [deployments.StackReader].
func (w *world) Read(ctx context.Context, repo, dir string, v deployments.Values) (deployments.Stack, error) {
	if err := w.call(ctx, "Stacks.Read", dir); err != nil {
		return deployments.Stack{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.variables[v.Own["VITRINE_SHA"]] = v.All()
	w.repos[repo] = true
	return deployments.Stack{
		JSON: json.RawMessage(`{}`), Notes: w.notes,
		Builds: []deployments.Build{{Service: "web", Context: "."}}, Public: []deployments.PublicService{{Name: "web", Port: 8080}},
	}, nil
}
