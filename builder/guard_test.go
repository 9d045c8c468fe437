package builder

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/llbbuild"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	spb "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/opencontainers/go-digest"

	"vitrine/deployments"
)

// A fakeGateway is an engine that counts what reaches it.
type fakeGateway struct {
	gateway.Client // panics where nothing should arrive
	solved         int
	resolve        func(ref string) (string, digest.Digest)
	mode           string // of the last resolution
}

func (f *fakeGateway) BuildOpts() gateway.BuildOpts { return gateway.BuildOpts{} }

func (f *fakeGateway) Solve(context.Context, gateway.SolveRequest) (*gateway.Result, error) {
	f.solved++
	return gateway.NewResult(), nil
}

func (f *fakeGateway) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	if opt.ImageOpt != nil {
		f.mode = opt.ImageOpt.ResolveMode
	}
	resolved, dgst := f.resolve(ref)
	return resolved, dgst, []byte("{}"), nil
}

// guarded returns a guard in front of an engine. The image "asked" is given by its registry, those named trusted are trusted.
func guarded() (*guard, *fakeGateway) {
	engine := &fakeGateway{}
	ask := func(_ context.Context, image string) error {
		if image == "asked:latest" {
			return nil
		}
		return imageFault("not given")
	}
	return newGuard(engine, newPermission(deployments.ImageRule{Trusted: []string{"trusted:*"}}, time.Now, ask)), engine
}

func definition(t *testing.T, s llb.State) *pb.Definition {
	t.Helper()
	def, err := s.Marshal(t.Context())
	check(t, err)
	return def.ToPB()
}

func TestGuardOnDefinitions(t *testing.T) {
	run := func(opts ...llb.RunOption) llb.State {
		return llb.Image("trusted:1").Run(append(opts, llb.Args([]string{"/tool"}))...).Root()
	}
	for name, test := range map[string]struct {
		state llb.State
		want  string // empty: goes
	}{
		"scratch":           {llb.Scratch(), ""},
		"context":           {llb.Local(mountContext), ""},
		"dockerfile":        {llb.Local(mountDockerfile), ""},
		"trusted":           {llb.Image("trusted:1"), ""},
		"asked":             {llb.Image("asked"), ""},
		"run":               {run(), ""},
		"run without net":   {run(llb.Network(pb.NetMode_NONE)), ""},
		"copy":              {llb.Scratch().File(llb.Copy(llb.Local(mountContext), "a", "b")), ""},
		"merge":             {llb.Merge([]llb.State{llb.Local(mountContext), llb.Image("trusted:1")}), ""},
		"cache mount":       {run(llb.AddMount("/c", llb.Scratch(), llb.AsPersistentCacheDir("x", llb.CacheMountShared))), ""},
		"named folder":      {llb.Local(mountNamed + "assets"), ""},
		"unnamed folder":    {llb.Local(mountNamed + "home"), `folder "named-home"`},
		"another folder":    {llb.Local("home"), `folder "home"`},
		"stranger":          {llb.Image("stranger"), "not given"},
		"asked for by hash": {llb.Image("asked@sha256:" + fullHash("x")), "not given"},
		"mounted stranger":  {run(llb.AddMount("/m", llb.Image("stranger"))), "not given"},
		"copied stranger":   {llb.Scratch().File(llb.Copy(llb.Image("stranger"), "a", "b")), "not given"},
		"merged stranger":   {llb.Merge([]llb.State{llb.Image("trusted:1"), llb.Image("stranger")}), "not given"},
		"host network":      {run(llb.Network(pb.NetMode_HOST)), "--network=host"},
		"insecure":          {run(llb.Security(pb.SecurityMode_INSECURE)), "--security=insecure"},
		"device":            {run(llb.AddCDIDevice(llb.CDIDeviceName("vendor.test/gpu"))), "--device"},
		"http":              {llb.HTTP("http://127.0.0.1:1/x"), "RUN curl"},
		"https":             {llb.HTTP("https://127.0.0.1:1/x"), "RUN curl"},
		"git":               {llb.Git("127.0.0.1:1/x", "main"), "RUN git clone"},
		"layout":            {llb.OCILayout("x/y@sha256:" + fullHash("x")), "oci-layout"},
		"nested build":      {llb.Local(mountContext).With(llbbuild.Build()), "nested build"},
	} {
		t.Run(name, func(t *testing.T) {
			g, engine := guarded()
			g.named = map[string]string{"assets": "/"}
			_, err := g.Solve(t.Context(), gateway.SolveRequest{Definition: definition(t, test.state)})
			if test.want == "" {
				check(t, err)
				if engine.solved != 1 {
					t.Errorf("it reached the engine %d times", engine.solved)
				}
				return
			}
			if f := fault(t, err, deployments.FaultBuild); !strings.Contains(f.Reason, test.want) || engine.solved != 0 {
				t.Errorf("got %q, and it reached the engine %d times", f.Reason, engine.solved)
			}
		})
	}
}

func TestGuardOnRequests(t *testing.T) {
	for name, req := range map[string]gateway.SolveRequest{
		"another frontend": {Frontend: "dockerfile.v0"},
		"gateway":          {Frontend: "gateway.v0", FrontendOpt: map[string]string{"source": "stranger"}},
		"inputs":           {FrontendInputs: map[string]*pb.Definition{"x": {}}},
		"caches":           {CacheImports: []gateway.CacheOptionsEntry{{Type: "registry"}}},
		"policies":         {SourcePolicies: []*spb.Policy{{}}},
		"garbage":          {Definition: &pb.Definition{Def: [][]byte{{0xff}}}},
	} {
		t.Run(name, func(t *testing.T) {
			g, engine := guarded()
			if _, err := g.Solve(t.Context(), req); err == nil || engine.solved != 0 {
				t.Errorf("got %v, and it reached the engine %d times", err, engine.solved)
			}
		})
	}
	g, _ := guarded()
	if _, err := g.NewContainer(t.Context(), gateway.NewContainerRequest{}); err == nil {
		t.Error("a container was made")
	}
	if _, err := g.ResolveSourceMetadata(t.Context(), &pb.SourceOp{Identifier: "https://127.0.0.1:1/x"}, sourceresolver.Opt{}); deployments.FaultOf(err) == nil {
		t.Errorf("got %v for an URL", err)
	}
}

// What the engine makes of a permitted name may be used, by its hash too; what it makes a stranger's name of may not.
func TestGuardOnResolvedImages(t *testing.T) {
	hash := digest.FromString("x")
	for _, resolved := range []string{normal("asked:latest"), normal("stranger:latest")} {
		g, engine := guarded()
		engine.resolve = func(string) (string, digest.Digest) { return resolved, hash }
		_, _, _, err := g.ResolveImageConfig(t.Context(), normal("asked:latest"), sourceresolver.Opt{})
		check(t, err)
		_, err = g.Solve(t.Context(), gateway.SolveRequest{Definition: definition(t, llb.Image(resolved+"@"+hash.String()))})
		if stranger := strings.Contains(resolved, "stranger"); (err != nil) != stranger {
			t.Errorf("%s: got %v", resolved, err)
		}
	}
	g, _ := guarded()
	_, _, _, err := g.ResolveImageConfig(t.Context(), normal("stranger:latest"), sourceresolver.Opt{})
	fault(t, err, deployments.FaultBuild)
	var l *located
	if !errors.As(err, &l) || l.mention != "stranger" {
		t.Errorf("got %+v", l)
	}
}

// What a fresh build's image comes from is asked of the registry, unless the image stays; and what was used is known afterwards.
func TestGuardKnowsTheBases(t *testing.T) {
	hash := digest.FromString("x")
	g, engine := guarded()
	g.anew = func(_ context.Context, image string) (bool, error) { return image != normal("trusted:1"), nil }
	engine.resolve = func(ref string) (string, digest.Digest) {
		if ref == normal("trusted:1") {
			return ref, ""
		}
		return ref, hash
	}
	for ref, mode := range map[string]string{normal("asked:latest"): "pull", normal("trusted:1"): "local"} {
		opt := sourceresolver.Opt{ImageOpt: &sourceresolver.ResolveImageOpt{ResolveMode: "local"}}
		_, _, _, err := g.ResolveImageConfig(t.Context(), ref, opt)
		check(t, err)
		if engine.mode != mode || opt.ImageOpt.ResolveMode != "local" {
			t.Errorf("%s was resolved by %q, want %q", ref, engine.mode, mode)
		}
	}
	id := digest.FromString("{}").String()
	want := map[string]base{normal("asked:latest"): {ID: id, Digest: hash.String()}, normal("trusted:1"): {ID: id}}
	if diff := cmp.Diff(want, g.bases); diff != "" {
		t.Error(diff)
	}
	for _, image := range []string{"trusted:1", normal("asked:latest") + "@" + hash.String()} {
		_, err := g.Solve(t.Context(), gateway.SolveRequest{Definition: definition(t, llb.Image(image))})
		check(t, err)
	}
	if g.unnamed {
		t.Error("what was resolved counts as unnamed")
	}
	_, err := g.Solve(t.Context(), gateway.SolveRequest{Definition: definition(t, llb.Image("trusted:2"))})
	check(t, err)
	if !g.unnamed {
		t.Error("an image that was not resolved counts as named")
	}
}
