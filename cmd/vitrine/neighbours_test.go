package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"vitrine/builder/registry"
	"vitrine/builder/registry/s3test"
	"vitrine/cmd/internal/sample"
	"vitrine/deploy"
	"vitrine/deploy/docker/enginetest"
	"vitrine/deployments"
	"vitrine/proxyroutes/redistest"
)

// neighbours are those that a world has to itself. Without them serve has the machine's engine, the Redis within it, a folder for the images, and the
// machine's disk.
type neighbours struct {
	redis  *redistest.Server
	bucket *s3test.Server
	engine *enginetest.Engine
	disk   *disk
}

// redisDatabase is the number of the database that serve uses in a Redis of its own.
const redisDatabase = 3

func (n neighbours) redisURL() string { return fmt.Sprintf("%s/%d", n.redis.URL(), redisDatabase) }

// folder returns one that is to have serve's data folder.
func (n neighbours) folder(t *testing.T) string {
	if n.disk == nil {
		return t.TempDir()
	}
	return n.disk.dir
}

// env returns the settings that bring serve to its neighbours.
func (n neighbours) env() (env []string) {
	if n.redis != nil {
		env = append(env, "VITRINE_REDIS_URL="+n.redisURL())
	}
	if b := n.bucket; b != nil {
		env = append(env, "VITRINE_REGISTRY_S3_BUCKET="+b.Bucket, "VITRINE_REGISTRY_S3_REGION="+b.Region, "VITRINE_REGISTRY_S3_ENDPOINT="+b.Endpoint,
			"VITRINE_REGISTRY_S3_ACCESS_KEY="+b.AccessKey, "VITRINE_REGISTRY_S3_SECRET_KEY="+b.SecretKey)
	}
	if n.engine != nil {
		env = append(env, "VITRINE_DOCKER_HOST="+n.engine.Host)
	}
	return env
}

// dockerHost returns the engine's address, empty for the usual one.
func (n neighbours) dockerHost() string {
	if n.engine == nil {
		return ""
	}
	return n.engine.Host
}

// openRegistry opens serve's registry while serve does not run. Its bucket has to be there, and is started where it is not.
func (w *world) openRegistry() *registry.Registry {
	w.Helper()
	config := registry.Config{Root: filepath.Join(w.data, "registry"), Listen: w.registry}
	if b := w.bucket; b != nil {
		b.Restart()
		config.S3 = &registry.S3{Bucket: b.Bucket, Region: b.Region, Endpoint: b.Endpoint, AccessKey: b.AccessKey, SecretKey: b.SecretKey}
	}
	images, err := registry.Start(context.Background(), config)
	w.must(err)
	return images
}

// docker returns a client of the world's engine.
func (w *world) docker() *client.Client {
	w.Helper()
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if w.engine != nil {
		options = append(options, client.WithHost(w.engine.Host))
	}
	engine, err := client.NewClientWithOpts(options...)
	w.must(err)
	w.Cleanup(func() { engine.Close() })
	return engine
}

// liveImages waits until the images of what is live of an environment are in the registry, and returns them.
func (w *world) liveImages(environment string) (images []deployments.Image) {
	w.Helper()
	const text = `SELECT images FROM deployments d JOIN environments e ON d.id = e.live WHERE e.name = ? AND d.pushed_at > 0`
	var list string
	w.eventually("the images of "+environment+" are pushed", func() bool {
		list = query[string](w, text, environment)
		return list != ""
	})
	w.must(json.Unmarshal([]byte(list), &images))
	if len(images) == 0 {
		w.Fatalf("%s has no images", environment)
	}
	return images
}

// A preview from its pull request to its end, with a Redis and an S3 server that are real: what other programs read there is what it should be.
func TestRedisAndS3(t *testing.T) {
	t.Parallel() // it waits for most of its time
	w := newWorldBeside(t, neighbours{redis: redistest.Start(t, redistest.WithPassword("opensesame")), bucket: s3test.Start(t)})
	options, err := redis.ParseURL(w.redisURL())
	w.must(err)
	records := redis.NewClient(options)
	defer records.Close()
	foreign := func() {
		w.must(records.RPush(t.Context(), "frontend:www.example.com", "www", "http://127.0.0.1:1").Err())
		w.must(records.Set(t.Context(), "foreign", "value", 0).Err())
	}
	foreign()
	w.start()
	s := w.story()
	w.must(s.open(t.Context()))
	w.holdRecords(records)

	w.must(records.FlushAll(t.Context()).Err())
	foreign()
	w.eventually("the records are back", func() bool {
		return len(w.record(records, "shop-pr-1")) > 0 && len(w.record(records, "shop-stock")) > 0
	})
	w.holdRecords(records)

	images := w.liveImages("shop-pr-1")
	w.holdBlobs(images)
	w.comeBack(images)
	w.must(s.answers(t.Context(), "shop-pr-1", "Stock: 12"))
	w.settled()
	w.holdRecords(records)

	w.must(w.github.ClosePullRequest(sample.Repository, 1, sample.Developer))
	w.settled()
	left, err := s.left(t.Context())
	w.must(err)
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	keys, err := records.Keys(t.Context(), "frontend:*").Result()
	w.must(err)
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"frontend:*.preview.localhost", "frontend:www.example.com"}, keys); diff != "" {
		t.Errorf("the records after the end: %s", diff)
	}
	if value := records.Get(t.Context(), "foreign").Val(); value != "value" {
		t.Errorf("the foreign key has the value %q", value)
	}
	w.stop()
}

// record returns what Redis has of a host, given its label.
func (w *world) record(records *redis.Client, label string) []string {
	w.Helper()
	list, err := records.LRange(w.Context(), "frontend:"+label+".preview.localhost", 0, -1).Result()
	w.must(err)
	return list
}

// holdRecords checks that the hosts of the first pull request have the records that hipache reads (hipache README, "VHOST configuration"): an identifier,
// and a backend, which answers.
func (w *world) holdRecords(records *redis.Client) {
	w.Helper()
	list := w.record(records, "shop-pr-1")
	if len(list) != 2 || list[0] != "shop-pr-1" {
		w.Fatalf("the record is %q, want shop-pr-1 and its backend", list)
	}
	backend, err := url.Parse(list[1])
	w.must(err)
	if address, err := netip.ParseAddrPort(backend.Host); err != nil || list[1] != "http://"+address.String() {
		w.Errorf("the backend %q is not http://<address>:<port>", list[1])
	}
	if status, body := w.fetch(list[1]); status != http.StatusOK || !strings.Contains(string(body), "Stock: 12") {
		w.Errorf("the backend %s answers %d: %s", list[1], status, body)
	}
	if diff := cmp.Diff(list, w.record(records, "shop-stock")); diff != "" {
		w.Errorf("the branch's record differs: %s", diff)
	}
}

// fetch asks an address of this machine.
func (w *world) fetch(address string) (status int, body []byte) {
	w.Helper()
	quick := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, address, nil)
	w.must(err)
	request.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, */*")
	answer, err := quick.Do(request)
	w.must(err)
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	w.must(err)
	return answer.StatusCode, body
}

// holdBlobs checks that the bucket has every blob that the images' manifests name, and the registry gives them as they were.
func (w *world) holdBlobs(images []deployments.Image) {
	w.Helper()
	objects := w.bucket.Objects(w.Context())
	for _, i := range images {
		repository, _, _ := strings.Cut(i.References[0], ":")
		status, body := w.fetch("http://" + w.registry + "/v2/" + repository + "/manifests/" + i.Digest)
		if status != http.StatusOK || digestOf(body) != i.Digest {
			w.Fatalf("the manifest %s of %s is answered with %d: %s", i.Digest, i.Service, status, body)
		}
		type blob struct{ Digest string }
		var manifest struct {
			Config blob
			Layers []blob
		}
		w.must(json.Unmarshal(body, &manifest))
		if manifest.Config.Digest != i.ID || len(manifest.Layers) == 0 {
			w.Errorf("the manifest of %s has the config %s and %d layers, and its image ID is %s", i.Service, manifest.Config.Digest, len(manifest.Layers), i.ID)
		}
		for _, b := range append(manifest.Layers, manifest.Config, blob{i.Digest}) {
			// github.com/distribution/distribution, registry/storage/paths.go
			digits := strings.TrimPrefix(b.Digest, "sha256:")
			if key := "docker/registry/v2/blobs/sha256/" + digits[:2] + "/" + digits + "/data"; !slices.Contains(objects, key) {
				w.Errorf("the bucket has no %s, a blob of %s; it has %q", key, i.Service, objects)
			}
		}
		for _, b := range append(manifest.Layers, manifest.Config) {
			if status, body := w.fetch("http://" + w.registry + "/v2/" + repository + "/blobs/" + b.Digest); status != http.StatusOK || digestOf(body) != b.Digest {
				w.Errorf("the blob %s of %s comes back with %d as something else", b.Digest, i.Service, status)
			}
		}
	}
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// comeBack checks that the images, removed from the engine with the containers that use them, come back from the registry as they were. Serve is
// stopped meanwhile, as it would bring them back itself, and deploys anew when it starts.
func (w *world) comeBack(images []deployments.Image) {
	w.Helper()
	w.stop()
	engine := w.docker()
	ours := filters.NewArgs(filters.Arg("label", deploy.LabelInstance+"="+w.instance()))
	containers, err := engine.ContainerList(w.Context(), container.ListOptions{All: true, Filters: ours})
	w.must(err)
	for _, c := range containers {
		w.must(engine.ContainerRemove(w.Context(), c.ID, container.RemoveOptions{Force: true}))
	}
	registry := w.openRegistry()
	for _, i := range images {
		_, err := engine.ImageRemove(w.Context(), i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
		w.must(err)
		if _, err := engine.ImageInspect(w.Context(), i.ID); !cerrdefs.IsNotFound(err) {
			w.Fatalf("the engine still has the image of %s (%v)", i.Service, err)
		}
		for _, reference := range i.References {
			name := w.registry + "/" + reference
			progress, err := engine.ImagePull(w.Context(), name, image.PullOptions{})
			w.must(err)
			_, err = io.Copy(io.Discard, progress)
			w.must(err)
			w.must(progress.Close())
			if found, err := engine.ImageInspect(w.Context(), name); err != nil || found.ID != i.ID {
				w.Errorf("%s came back as %s (%v), want %s", name, found.ID, err, i.ID)
			}
		}
	}
	w.must(registry.Close())
	w.start()
}
