package runtimetest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"vitrine/deploy"
	"vitrine/deployments"
)

// What lies here tells a container from another one of the same service: it goes with the container.
const mark = "/tmp/mark"

// first brings up a web and a database with a row in it.
func (b *bench) first() *version {
	b.Helper()
	v := b.up(nil, stack(web("web"), db()))
	b.writes(v, "db", "/data/row", "kept")
	b.writes(v, "db", mark, "first")
	return v
}

// A service that keeps data and did not change stays, and both versions reach it.
func keptService(b *bench) {
	old := b.first()
	young := b.up(old, stack(web("web", "-say", "v2"), db()))
	if len(young.Plan.Replaces) != 0 {
		b.Errorf("%v are replaced in place, want nothing", young.Plan.Replaces)
	}
	for _, v := range []*version{old, young} {
		b.reads(v, "db", "/data/row", "kept")
		b.reads(v, "db", mark, "first")
	}
	b.down(old)
	b.restore(young)
	b.reads(young, "db", mark, "first")
	there, err := b.Runtime.Inventory(b.Context())
	if err != nil || !slices.Equal(there.Deployments, []int64{2}) || !slices.Equal(there.States, []int64{1}) {
		b.Errorf("there are %+v, %v; want deployment 2 and state 1", there, err)
	}
}

// One that did change takes the place of the one before, with its data.
func replacedInPlace(b *bench) {
	old := b.first()
	young := b.up(old, stack(web("web"), db("-say", "v2")))
	if !slices.Equal(young.Plan.Replaces, []string{"db"}) {
		b.Errorf("%v are replaced in place, want db", young.Plan.Replaces)
	}
	b.reads(young, "db", "/data/row", "kept")
	b.reads(young, "db", mark, "")
	b.down(old)
	b.reads(young, "db", "/data/row", "kept")
}

// failing is a new version with another database whose web does not come up.
func failing() deploy.Stack {
	front := web("web", "-exit", "3", "-say", "no table stock")
	front.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	return stack(front, db("-say", "v2"))
}

// wasThere fails unless the version has the very database that it had.
func (b *bench) wasThere(v *version) {
	b.Helper()
	b.reads(v, "db", "/data/row", "kept")
	b.reads(v, "db", mark, "first")
}

// Where the new version does not come up, the old database runs again as it was.
func backOnFailure(b *bench) {
	old := b.first()
	failed, fault := b.fault(old, failing())
	if fault.Service != "web" || !slices.Contains(fault.Excerpt, "no table stock") {
		b.Errorf("got %+v, want a Fault of web with its lines", fault)
	}
	if got, err := b.read(old, "db", mark); err == nil {
		b.Errorf("the database that was replaced still answers %q", got)
	}
	b.down(failed)
	b.restore(old)
	b.wasThere(old)
	young := b.up(old, stack(web("web", "-say", "v3"), db()))
	b.down(old)
	b.wasThere(young)
}

// halfway replaces the database in place and ends when it is done with that, as where the process is killed: nothing is cleaned up.
func (b *bench) halfway(old *version) *version {
	b.Helper()
	killed := errors.New("killed")
	ctx, kill := context.WithCancelCause(b.Context())
	front := web("web", "-listen", "none")
	front.DependsOn = []deploy.Dependency{{Service: "db", Condition: deploy.Healthy}}
	reached := make(chan struct{})
	go func() {
		select {
		case <-reached:
		case <-ctx.Done():
		}
		kill(killed)
	}()
	b.mu.Lock()
	b.told = nil
	b.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.eventually("the database is replaced", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.Contains(b.told, "web starting")
		})
		close(reached)
	}()
	v, err := b.try(ctx, old, stack(front, db("-say", "v2")))
	<-done
	if !errors.Is(err, killed) {
		b.Fatalf("got %v, want that it was killed", err)
	}
	return v
}

// A process that is killed in the middle of a replacement leaves two databases, of which the live one has to run again.
func killedHalfway(b *bench) {
	old := b.first()
	killed := b.halfway(old)
	b.restore(old)
	b.wasThere(old)
	b.down(killed)
	b.restore(old)
	b.wasThere(old)
}

// So it is where the next version comes up before anybody has looked after the live one.
func killedThenAnother(b *bench) {
	old := b.first()
	killed := b.halfway(old)
	young := b.up(old, stack(web("web", "-say", "v3"), db()))
	b.wasThere(young)
	b.down(killed)
	b.down(old)
	b.wasThere(young)
}

// What the new version does not have any more serves the old one until that is gone.
func droppedService(b *bench) {
	cache := web("cache")
	cache.Public, cache.InPlace = false, true
	old := b.up(nil, stack(web("web"), cache))
	b.writes(old, "cache", mark, "first")
	young := b.up(old, stack(web("web")))
	b.reads(old, "cache", mark, "first")
	b.down(old)
	b.restore(young)
	there, err := b.Runtime.Inventory(b.Context())
	if err != nil || len(there.States) != 0 {
		b.Errorf("there are %+v, %v; want no state", there, err)
	}
}

// A service of another name with the same volume takes the place too: two servers on one volume would spoil it.
func sharedVolume(b *bench) {
	old := b.first()
	renamed := db()
	renamed.Name = "database"
	young, err := b.try(b.Context(), old, stack(web("web"), renamed))
	if err != nil {
		b.Fatal(err)
	}
	if got, err := b.read(old, "db", mark); err == nil {
		b.Errorf("the service that has the volume still answers %q", got)
	}
	b.reads(young, "database", "/data/row", "kept")
	b.restore(young)
	b.reads(young, "database", "/data/row", "kept")
}

// A version that begins a state of its own has fresh data while the old one still serves its own.
func freshState(b *bench) {
	old := b.first()
	young := b.up(nil, stack(web("web"), db()))
	b.wasThere(old)
	b.reads(young, "db", "/data/row", "")
	b.writes(young, "db", "/data/row", "fresh")
	b.down(old)
	if err := b.Runtime.Clear(b.Context(), old.State); err != nil {
		b.Fatal(err)
	}
	b.restore(young)
	b.reads(young, "db", "/data/row", "fresh")
	there, err := b.Runtime.Inventory(b.Context())
	if err != nil || !slices.Equal(there.States, []int64{young.State}) {
		b.Errorf("there are %+v, %v; want the state of the young version alone", there, err)
	}
}

func clearTwice(b *bench) {
	v := b.first()
	b.down(v)
	for range 2 {
		if err := b.Runtime.Clear(b.Context(), v.State); err != nil {
			b.Error(err)
		}
	}
	there, err := b.Runtime.Inventory(b.Context())
	if err != nil || len(there.Deployments)+len(there.States) != 0 {
		b.Errorf("there are %+v, %v; want nothing", there, err)
	}
	if err := b.Runtime.Restore(b.Context(), v.Deployment); !errors.Is(err, deployments.ErrNotFound) {
		b.Errorf("got %v for what was removed, want ErrNotFound", err)
	}
}

// A version's services talk to those of the same version, whoever else has their names.
func newVersionAlone(b *bench) {
	both := func(name string) deploy.Stack {
		api := web("api")
		api.Environment["NAME"] = name
		return stack(web("web"), api)
	}
	old := b.up(nil, both("old"))
	young := b.up(old, both("young"))
	for _, v := range []struct {
		*version
		want string
	}{{old, "old"}, {young, "young"}} {
		for range 5 {
			got, err := b.read(v.version, "api", "/proc/self/environ")
			if err != nil || !strings.Contains(got, "NAME="+v.want) {
				b.Errorf("the api of version %d says %q, %v", v.ID, got, err)
			}
		}
	}
}

// Two pull requests with the same names share nothing.
func twoPullRequests(b *bench) {
	one := b.first()
	b.environment = deployments.Environment{ID: 8, Name: "shop-pr-43"}
	other := b.up(nil, stack(web("web"), db()))
	b.reads(other, "db", "/data/row", "")
	b.writes(other, "db", "/data/row", "other")
	b.wasThere(one)
	b.down(one)
	if err := b.Runtime.Clear(b.Context(), one.State); err != nil {
		b.Fatal(err)
	}
	b.restore(other)
	b.reads(other, "db", "/data/row", "other")
}
