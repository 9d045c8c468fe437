package builder

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"vitrine/deployments"
)

// site is a build of a folder that is served as it is.
var site = deployments.Build{Service: "web", Context: "public", Static: true}

func TestBuildServesAFolder(t *testing.T) {
	w := newWorkshop(t)
	program := "vitrine-program-" + random() + ":current"
	w.importImage(program)
	w.config.Program = func(context.Context) (Program, error) {
		return Program{Image: program, Command: []string{"/tool", "static"}}, nil
	}
	files := map[string]string{
		"Dockerfile": "FROM scratch\n", "public/index.html": "<h1>Shop</h1>", "public/css/a.css": "a{}", "public/.dockerignore": "css\n",
		"public/Dockerfile": "FROM nothing\n", "public/link": "-> index.html",
	}
	images, err := w.Build(t.Context(), w.request(files, site))
	check(t, err)
	made, err := w.engine.ImageInspect(t.Context(), images[0].ID)
	check(t, err)
	if diff := cmp.Diff([]string{"/tool", "static", ":8080", "/site"}, []string(made.Config.Cmd)); diff != "" || made.Config.User != "65534:65534" {
		t.Errorf("it runs %q as %q: %s", made.Config.Cmd, made.Config.User, diff)
	}
	want := []string{"site/", "site/.dockerignore", "site/Dockerfile", "site/css/", "site/css/a.css", "site/index.html", "site/link", "tool"}
	if diff := cmp.Diff(want, w.filesOf(images[0].ID)); diff != "" {
		t.Error(diff)
	}
	request, log := w.request(files, site), &buffer{}
	request.Log = log
	again, err := w.Build(t.Context(), request)
	check(t, err)
	if again[0].ID != images[0].ID || !again[0].Cached || !strings.Contains(log.String(), "web | unchanged: ") {
		t.Errorf("built again: got %+v, want %s because nothing changed; the log is\n%s", again[0], images[0].ID, log)
	}
	// The program's image is in no registry.
	request.Fresh = true
	_, err = w.Build(t.Context(), request)
	check(t, err)
	// Nobody else builds on it.
	_, err = w.Build(t.Context(), w.request(map[string]string{"Dockerfile": "FROM " + program + "\n"}, web))
	if f := fault(t, err, deployments.FaultBuild); !strings.Contains(f.Reason, "is one of a preview") {
		t.Errorf("got %q", f.Reason)
	}
}

// filesOf returns the files of an image, without those that an engine makes in every container.
func (w *workshop) filesOf(image string) (names []string) {
	w.t.Helper()
	stream := w.export(image)
	defer stream.Close()
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names
		}
		check(w.t, err)
		if top, _, _ := strings.Cut(header.Name, "/"); !slices.Contains([]string{".dockerenv", "dev", "etc", "proc", "sys"}, top) {
			names = append(names, header.Name)
		}
	}
}

// export returns the file system of an image, as a tar archive.
func (w *workshop) export(image string) io.ReadCloser {
	w.t.Helper()
	made, err := w.engine.ContainerCreate(w.t.Context(), &container.Config{Image: image, Cmd: []string{"/tool"}}, nil, nil, nil, "")
	check(w.t, err)
	w.t.Cleanup(func() { check(w.t, w.engine.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{})) })
	stream, err := w.engine.ContainerExport(w.t.Context(), made.ID)
	check(w.t, err)
	return stream
}

func TestBuildOfAFolderWithoutAProgramIsOurs(t *testing.T) {
	b := newBuilder(t, Config{DockerHost: "tcp://127.0.0.1:1"})
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"public/index.html": "x"})
	request := deployments.BuildRequest{Environment: "x", Source: shop(strings.Repeat("a", 40)), Dir: dir, Builds: []deployments.Build{site}}
	if _, err := b.Build(t.Context(), request); err == nil || deployments.FaultOf(err) != nil {
		t.Errorf("got %v", err)
	}
	missing := errors.New("it needs shared libraries")
	b.config.Program = func(context.Context) (Program, error) { return Program{}, missing }
	_, err := b.Build(t.Context(), request)
	unavailable(t, err, waitsForProgram)
	b.config.Program = func(ctx context.Context) (Program, error) {
		_, err := b.HasImported(ctx, "vitrine-program:current")
		return Program{}, err
	}
	_, err = b.Build(t.Context(), request)
	unavailable(t, err, waitsForEngine)
}
