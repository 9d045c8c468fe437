package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"vitrine/deploy"
	"vitrine/deployments"
)

// A container whose start was cut off by the end of the engine cannot be started any more, and counts as gone.
func TestRestoreStuck(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	d, _ := o.live(1, deploy.Stack{Services: []deploy.Service{web("web")}})
	id := o.inspect(d, "web").ID
	if err := o.client.ContainerStop(t.Context(), id, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	// What such an end leaves.
	folder := filepath.Dir(strings.TrimPrefix(o.host.Host, "unix://"))
	if err := os.Mkdir(filepath.Join(folder, "exec", "containerd", "daemon", "io.containerd.runtime.v2.task", "moby", id), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.Restore(t.Context(), d); !errors.Is(err, deployments.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
