// Package runtimetest holds a [deployments.Runtime] to its contract, whatever engine is behind it: a suite of tests that see the engine through the port
// and through what the containers answer.
package runtimetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/deploy"
	"vitrine/deployments"
)

// An Engine is what the suite runs on.
type Engine struct {
	// Runtime is of an instance of its own. Whoever made it removes what is left at the end of the test.
	Runtime deployments.Runtime
	// Image is the ID of an image of deploy/docker/testdata/server that exposes port 8080, and Keeper that of one with a volume at /data besides.
	Image, Keeper string
	// Subnet returns networks that nobody else has, /27s.
	Subnet func() netip.Prefix
}

// Run runs the suite, each test on an Engine of its own. Tests run side by side.
func Run(t *testing.T, open func(t *testing.T) Engine) {
	for name, test := range map[string]func(*bench){
		"KeptService":        keptService,
		"ReplacedInPlace":    replacedInPlace,
		"BackOnFailure":      backOnFailure,
		"KilledHalfway":      killedHalfway,
		"KilledThenAnother":  killedThenAnother,
		"DroppedService":     droppedService,
		"SharedVolume":       sharedVolume,
		"FreshState":         freshState,
		"Jobs":               jobs,
		"FailingJob":         failingJob,
		"JobOfKeptService":   jobOfKeptService,
		"Replicas":           replicas,
		"Files":              files,
		"FilesOfAUser":       filesOfAUser,
		"Fields":             fields,
		"HealthPath":         healthPath,
		"FirstAnswer":        firstAnswer,
		"TwoPullRequests":    twoPullRequests,
		"NewVersionAlone":    newVersionAlone,
		"StateOfNobodyTwice": clearTwice,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&bench{T: t, Engine: open(t), environment: deployments.Environment{ID: 7, Name: "shop-pr-42"}})
		})
	}
}

// A bench is one test on its engine.
type bench struct {
	*testing.T
	Engine
	environment deployments.Environment
	last        int64
	dir         string // the checkout
	mu          sync.Mutex
	ran         []deployments.JobRun
	told        []string // what progress said
}

// A version is a deployment that came up.
type version struct {
	deployments.Deployment
	backends map[string][]string // by service
	answers  []deployments.Backend
}

// stack makes one of services and the volumes that they mount.
func stack(services ...deploy.Service) deploy.Stack {
	s := deploy.Stack{Services: services}
	seen := make(map[string]bool)
	for _, service := range services {
		for _, m := range service.Mounts {
			if !seen[m.Volume] {
				s.Volumes = append(s.Volumes, m.Volume)
			}
			seen[m.Volume] = true
		}
	}
	return s
}

// web is a public service that starts anew with each version.
func web(name string, args ...string) deploy.Service {
	return deploy.Service{Name: name, Command: args, Port: 8080, Public: true, Environment: map[string]string{"NAME": name}}
}

// db is a service that keeps what is written below /data.
func db(args ...string) deploy.Service {
	s := web("db", args...)
	s.Public = false
	s.Mounts = []deploy.Mount{{Volume: "data", Target: "/data"}}
	return s
}

// try brings the stack up as the next deployment, after live where that is not nil.
func (b *bench) try(ctx context.Context, live *version, s deploy.Stack, change ...func(*deployments.Deployment)) (*version, error) {
	b.Helper()
	b.last++
	d := deployments.Deployment{ID: b.last, State: b.last, Subnet: b.Subnet()}
	request := deployments.PlanRequest{Environment: b.environment}
	if live != nil {
		d.State, d.Ran, request.Live = live.State, live.Ran, &live.Deployment
	}
	for _, f := range change {
		f(&d)
	}
	for _, service := range s.Services {
		d.Images = append(d.Images, deployments.Image{Service: service.Name, ID: b.Image})
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	if err := b.Runtime.Prepare(b.Context(), d); err != nil {
		b.Fatal(err)
	}
	request.Deployment, request.Stack = d, deployments.Stack{JSON: encoded}
	if d.Plan, err = b.Runtime.Plan(b.Context(), request); err != nil {
		b.Fatal(err)
	}
	v := &version{Deployment: d, backends: make(map[string][]string)}
	v.answers, err = b.Runtime.Up(ctx, d, deployments.Start{Plan: d.Plan, Dir: b.dir, Progress: b.progress, Job: b.jobRan})
	for _, backend := range v.answers {
		v.backends[backend.Service] = append(v.backends[backend.Service], backend.URL)
	}
	return v, err
}

func (b *bench) progress(service, status string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, service+" "+status)
	b.Logf("%s: %s", service, status)
}

func (b *bench) jobRan(j deployments.JobRun) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ran = append(b.ran, j)
	return nil
}

// up is try, live afterwards.
func (b *bench) up(live *version, s deploy.Stack, change ...func(*deployments.Deployment)) *version {
	b.Helper()
	v, err := b.try(b.Context(), live, s, change...)
	if err != nil {
		b.Fatal(err)
	}
	b.restore(v)
	return v
}

func (b *bench) restore(v *version) {
	b.Helper()
	if err := b.Runtime.Restore(b.Context(), v.Deployment); err != nil {
		b.Fatalf("restore deployment %d: %v", v.ID, err)
	}
}

func (b *bench) down(v *version) {
	b.Helper()
	if err := b.Runtime.Down(b.Context(), v.ID); err != nil {
		b.Fatal(err)
	}
}

// fault is try for what has to fail.
func (b *bench) fault(live *version, s deploy.Stack) (*version, *deployments.Fault) {
	b.Helper()
	v, err := b.try(b.Context(), live, s)
	f := deployments.FaultOf(err)
	if f == nil {
		b.Fatalf("got %v, want a Fault", err)
	}
	return v, f
}

// get asks the version's web for a path.
func (b *bench) get(v *version, path string, query url.Values) (string, error) {
	return fetch(b.Context(), v.backends["web"][0]+path+"?"+query.Encode())
}

func fetch(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", address, resp.Status, body)
	}
	return string(body), err
}

// reads fails unless the version's web reads the text from a file of a neighbour; service "" is itself.
func (b *bench) reads(v *version, service, path, want string) {
	b.Helper()
	got, err := b.read(v, service, path)
	if err != nil || got != want {
		b.Errorf("version %d: %s of %q has %q, %v; want %q", v.ID, path, service, got, err, want)
	}
}

// read returns what a file of a neighbour holds, nothing where there is none.
func (b *bench) read(v *version, service, path string) (string, error) {
	query := url.Values{"path": {path}}
	if service == "" {
		return b.get(v, "/read", query)
	}
	return b.get(v, "/get", url.Values{"url": {"http://" + service + ":8080/read?" + query.Encode()}})
}

// writes writes a file of a neighbour through the version's web.
func (b *bench) writes(v *version, service, path, text string) {
	b.Helper()
	query := url.Values{"path": {path}, "text": {text}}
	if _, err := b.get(v, "/get", url.Values{"url": {"http://" + service + ":8080/write?" + query.Encode()}}); err != nil {
		b.Fatal(err)
	}
	b.reads(v, service, path, text)
}

// has fails unless each part is in the text.
func (b *bench) has(text string, parts ...string) {
	b.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			b.Errorf("%q is missing in %q", part, text)
		}
	}
}
