package builder

import (
	"context"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// buildDockerfile is the Dockerfile frontend. It is put together from BuildKit's parts, of which package frontend/dockerfile/builder is no use here:
// it asks the engine for whatever frontend a `# syntax=` line names, and its cache of images is a data race where a Dockerfile has two.
func buildDockerfile(ctx context.Context, g *guard) (*gateway.Result, error) {
	c, err := dockerui.NewClient(g)
	if err != nil {
		return nil, err
	}
	source, err := c.ReadEntrypoint(ctx, "Dockerfile")
	if err != nil {
		return nil, err
	}
	if image, _, at, ok := parser.DetectSyntax(source.Data); ok && !dockerfileSyntax(image) {
		refused := &located{error: buildFault(fmt.Sprintf("`# syntax=%s` asks for another builder; use docker/dockerfile:1 or leave the line out", image))}
		if len(at) > 0 {
			refused.line = at[0].Start.Line
		}
		return nil, refused
	}
	built, err := c.Build(ctx, func(ctx context.Context, platform *ocispecs.Platform, _ int) (gateway.Reference, *dockerspec.DockerOCIImage, *dockerspec.DockerOCIImage, error) {
		state, image, base, _, err := dockerfile2llb.Dockerfile2LLB(ctx, source.Data, dockerfile2llb.ConvertOpt{
			Config: c.Config, Client: c, SourceMap: source.SourceMap, MetaResolver: g, TargetPlatform: platform,
		})
		if err != nil {
			return nil, nil, nil, err
		}
		definition, err := state.Marshal(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		solved, err := g.Solve(ctx, gateway.SolveRequest{Definition: definition.ToPB()})
		if err != nil {
			return nil, nil, nil, err
		}
		result, err := solved.SingleRef()
		return result, image, base, err
	})
	if err != nil {
		return nil, err
	}
	return built.Finalize()
}

// dockerfileSyntax reports whether an image named in a `# syntax=` line is the Dockerfile frontend in its first major version.
func dockerfileSyntax(image string) bool {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return false
	}
	tag := ""
	if t, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
		tag = t.Tag()
	}
	return reference.FamiliarName(named) == "docker/dockerfile" &&
		(tag == "1" || tag == "latest" || strings.HasPrefix(tag, "1.") || strings.HasPrefix(tag, "1-"))
}
