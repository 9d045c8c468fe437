package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"vitrine/deployments"
)

// The kinds of source that LLB names in front of an identifier (BuildKit, source/types).
const (
	sourceLocal = "local://"
	sourceImage = "docker-image://"
)

// A guard stands between the Dockerfile frontend and the engine, and lets through only what a Dockerfile may ask for: the checkout's files, images
// that are permitted, and commands in the sandbox's network or none. Whatever it does not know is refused. What it refuses is a Fault.
type guard struct {
	engine     gateway.Client
	permission *permission
	named      map[string]string // further folders that are mounted, by name
	own        map[string]bool   // full names of images that go without being asked for
	// anew reports whether the registry is to be asked for an image although the engine may have it; nil where what the engine has is good enough.
	anew func(ctx context.Context, image string) (bool, error)

	mu       sync.Mutex
	resolved map[string]bool       // identifiers that the engine made of permitted images
	lines    map[digest.Digest]int // of the Dockerfile, by operation; older engines do not say them with their errors
	bases    map[string]base       // the images that were resolved, by name
	unnamed  bool                  // another image than these is used
}

var _ gateway.Client = (*guard)(nil)

func newGuard(engine gateway.Client, p *permission) *guard {
	return &guard{engine: engine, permission: p, resolved: map[string]bool{}, lines: map[digest.Digest]int{}, bases: map[string]base{}}
}

// Solve implements gateway.Client.
func (g *guard) Solve(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	if req.Frontend != "" || len(req.FrontendInputs) > 0 || len(req.CacheImports) > 0 || len(req.SourcePolicies) > 0 {
		return nil, errors.New("the build asks for another frontend, or for inputs, caches or policies from outside")
	}
	if err := g.checkDefinition(ctx, req.Definition); err != nil {
		return nil, err
	}
	return g.engine.Solve(ctx, req)
}

// checkDefinition looks at every operation of an LLB graph, and remembers their lines.
func (g *guard) checkDefinition(ctx context.Context, def *pb.Definition) error {
	ops := make([]*pb.Op, len(def.GetDef()))
	for i, dt := range def.GetDef() {
		ops[i] = &pb.Op{}
		if err := ops[i].UnmarshalVT(dt); err != nil {
			return fmt.Errorf("read the build's definition: %w", err)
		}
	}
	lines := linesOf(def, ops)
	g.mu.Lock()
	maps.Copy(g.lines, lines)
	g.mu.Unlock()
	for i, op := range ops {
		if err := g.checkOp(ctx, op); err != nil {
			return &located{line: lines[digest.FromBytes(def.Def[i])], error: err}
		}
	}
	return nil
}

// linesOf returns the lines of the Dockerfile that the operations come from. One without a line has that of an operation that uses it: the frontend
// gives a line to a COPY or an ADD, but not to what they fetch. Operations come before those that use them.
func linesOf(def *pb.Definition, ops []*pb.Op) map[digest.Digest]int {
	lines := map[digest.Digest]int{}
	for op, locations := range def.GetSource().GetLocations() {
		for _, l := range locations.GetLocations() {
			if line := firstLine(l.GetRanges()); line > 0 {
				lines[digest.Digest(op)] = line
				break
			}
		}
	}
	for i := len(ops) - 1; i >= 0; i-- {
		line := lines[digest.FromBytes(def.Def[i])]
		for _, input := range ops[i].GetInputs() {
			if op := digest.Digest(input.GetDigest()); lines[op] == 0 && line > 0 {
				lines[op] = line
			}
		}
	}
	return lines
}

func (g *guard) checkOp(ctx context.Context, op *pb.Op) error {
	switch o := op.Op.(type) {
	case nil: // the last operation of a graph only names its result
		return nil
	case *pb.Op_Source:
		return g.checkSource(ctx, o.Source)
	case *pb.Op_Exec:
		return checkExec(o.Exec)
	case *pb.Op_File, *pb.Op_Merge, *pb.Op_Diff:
		return nil
	default:
		return buildFault("the Dockerfile asks for a nested build, which previews do not have")
	}
}

func (g *guard) checkSource(ctx context.Context, source *pb.SourceOp) error {
	id := source.GetIdentifier()
	kind, rest, _ := strings.Cut(id, "://")
	switch kind + "://" {
	case sourceLocal:
		name, named := strings.CutPrefix(rest, mountNamed)
		if named {
			_, named = g.named[name]
		}
		if rest != mountContext && rest != mountDockerfile && !named {
			return buildFault(fmt.Sprintf("the build asks for the folder %q", rest))
		}
		return nil
	case sourceImage:
		g.mu.Lock()
		known := g.resolved[rest] || g.own[rest]
		if _, based := g.bases[rest]; !based && !g.resolved[rest] {
			g.unnamed = true
		}
		g.mu.Unlock()
		if known {
			return nil
		}
		return g.permission.check(ctx, rest)
	case "http://", "https://":
		return buildFault(fmt.Sprintf("ADD of %s is not allowed, because the engine would fetch it from the host's network; use `RUN curl` or `RUN wget`", id))
	case "git://":
		return buildFault("ADD of a git repository is not allowed, because the engine would fetch it from the host's network; use `RUN git clone`")
	default:
		return buildFault(fmt.Sprintf("a source of the kind %q is not allowed", kind))
	}
}

func checkExec(exec *pb.ExecOp) error {
	switch {
	case exec.GetNetwork() != pb.NetMode_UNSET && exec.GetNetwork() != pb.NetMode_NONE:
		return buildFault("RUN --network=host is not allowed; leave the option out, the default network reaches the Internet")
	case exec.GetSecurity() != pb.SecurityMode_SANDBOX:
		return buildFault("RUN --security=insecure is not allowed; leave the option out")
	case len(exec.GetCdiDevices()) > 0:
		return buildFault("RUN --device is not allowed; leave the option out")
	}
	return nil
}

// ResolveImageConfig implements gateway.Client.
func (g *guard) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	if opt.OCILayoutOpt != nil || len(opt.SourcePolicies) > 0 {
		return "", "", nil, errors.New("the build asks for an image from elsewhere")
	}
	if !g.own[ref] {
		if err := g.permission.check(ctx, ref); err != nil {
			return "", "", nil, &located{mention: familiar(ref), error: err}
		}
		if err := g.askAnew(ctx, ref, &opt); err != nil {
			return "", "", nil, err
		}
	}
	resolved, dgst, config, err := g.engine.ResolveImageConfig(ctx, ref, opt)
	if err != nil {
		return "", "", nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if resolved == ref {
		// An image's ID is the hash of its configuration (OCI image specification 1.1, "ImageID").
		g.bases[ref] = base{ID: digest.FromBytes(config).String(), Digest: dgst.String()}
		if dgst != "" {
			g.resolved[ref+"@"+dgst.String()] = true
		}
	}
	return resolved, dgst, config, nil
}

// askAnew has the registry asked for the image where that is due. What it answers is a digest, which the Dockerfile frontend names from then on, so that
// the engine uses nothing else of that name.
func (g *guard) askAnew(ctx context.Context, ref string, opt *sourceresolver.Opt) error {
	if g.anew == nil || opt.ImageOpt == nil {
		return nil
	}
	due, err := g.anew(ctx, ref)
	if err != nil || !due {
		return err
	}
	asked := *opt.ImageOpt
	asked.ResolveMode = pb.AttrImageResolveModeForcePull
	opt.ImageOpt = &asked
	return nil
}

// ResolveSourceMetadata implements gateway.Client.
func (g *guard) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	if len(opt.SourcePolicies) > 0 {
		return nil, errors.New("the build asks for policies from outside")
	}
	if err := g.checkSource(ctx, op); err != nil {
		return nil, err
	}
	return g.engine.ResolveSourceMetadata(ctx, op, opt)
}

// BuildOpts implements gateway.Client.
func (g *guard) BuildOpts() gateway.BuildOpts {
	return g.engine.BuildOpts()
}

// Inputs implements gateway.Client. There are none: what a build is made of are the folders that we mount.
func (g *guard) Inputs(context.Context) (map[string]llb.State, error) {
	return map[string]llb.State{}, nil
}

// NewContainer implements gateway.Client. A Dockerfile has no use for it.
func (g *guard) NewContainer(context.Context, gateway.NewContainerRequest) (gateway.Container, error) {
	return nil, errors.New("the build asks for a container outside its definition")
}

// Warn implements gateway.Client.
func (g *guard) Warn(ctx context.Context, dgst digest.Digest, msg string, opts gateway.WarnOpts) error {
	return g.engine.Warn(ctx, dgst, msg, opts)
}

// A located error happened at a line of the Dockerfile, or where it mentions something.
type located struct {
	line    int    // 0 where it is not known
	mention string // an image as people write it; may be empty
	error
}

func (l *located) Unwrap() error { return l.error }

// familiar returns an image as people write it.
func familiar(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return strings.TrimSuffix(reference.FamiliarString(named), ":latest")
}

func buildFault(reason string) *deployments.Fault {
	return &deployments.Fault{Kind: deployments.FaultBuild, Reason: reason}
}
