package builder

import (
	"errors"
	"fmt"
	"testing"

	"github.com/moby/buildkit/client"
	solver "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"vitrine/deployments"
)

var shopRecipe = &recipe{name: "api/Dockerfile", dockerfile: []byte("FROM base\nCOPY a b\nRUN npm ci && \\\n  npm run `x`\n")}

func sourced(line int32, err error) error {
	return solver.WithSource(err, &solver.Source{Ranges: []*pb.Range{{Start: &pb.Position{Line: line}, End: &pb.Position{Line: line}}}})
}

func TestFailureIsAFault(t *testing.T) {
	exit := "executor failed running [/bin/sh -c npm ci]: exit code: 7"
	lines := map[digest.Digest]int{digest.FromString(stepRun): 3}
	for name, test := range map[string]struct {
		err     error
		failed  string // the error of the RUN step
		want    deployments.Fault
		refused error
	}{
		"a step, its line from the engine": {
			sourced(3, errors.New("failed to solve: "+exit)), exit,
			deployments.Fault{Where: "api/Dockerfile:3", Reason: "`RUN npm ci && ...` exited 7 after 8.1 s"}, nil,
		},
		"a step, its line from the guard": {
			errors.New("failed to solve: rpc error: code = Unknown desc = " + exit), exit,
			deployments.Fault{Where: "api/Dockerfile:3", Reason: "`RUN npm ci && ...` exited 7 after 8.1 s"}, nil,
		},
		"a program that says what an engine could": {
			errors.New("failed to solve: connection refused: exit code: 7"), "connection refused: exit code: 7",
			deployments.Fault{Where: "api/Dockerfile:3", Reason: "`RUN npm ci && ...` exited 7 after 8.1 s"}, nil,
		},
		"a COPY": {
			sourced(2, errors.New(`failed to solve: failed to compute cache key: "/a" not found: not found`)), "",
			deployments.Fault{Where: "api/Dockerfile:2", Reason: "`COPY a b` failed: \"/a\" not found: not found"}, nil,
		},
		"the guard": {
			errors.New("failed to solve"), "",
			deployments.Fault{Where: "api/Dockerfile:2", Reason: "no"}, &located{line: 2, error: buildFault("no")},
		},
		"an image": {
			errors.New("failed to solve"), "",
			deployments.Fault{Where: "api/Dockerfile:1", Reason: "no"}, &located{mention: "base", error: buildFault("no")},
		},
		"no target": {
			errors.New("failed to solve: rpc error: code = Unknown desc = target stage"), "",
			deployments.Fault{Where: "api/Dockerfile", Reason: "the build failed: target stage \"x\" could not be found"},
			errors.New("target stage \"x\" could not be found"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := "done"
			if test.failed != "" {
				state = test.failed
			}
			s, _, _ := reported(&client.SolveStatus{Vertexes: []*client.Vertex{operation(stepRun, state)}})
			f := fault(t, shopRecipe.failure(test.refused, test.err, s, lines), deployments.FaultBuild)
			if f.Where != test.want.Where || f.Reason != test.want.Reason {
				t.Errorf("got %q at %q", f.Reason, f.Where)
			}
		})
	}
}

func TestFailureIsOurs(t *testing.T) {
	for _, test := range []struct {
		err    error
		failed string
	}{
		{status.Error(codes.Unavailable, "transport is closing"), ""},
		{fmt.Errorf("listing workers for Build: %w", status.Error(codes.Unavailable, "connection refused")), ""},
		{status.Error(codes.Internal, "error reading from server: EOF"), ""},
		{sourced(1, errors.New("failed to solve: base: failed to do request: dial tcp 127.0.0.1:1: connect: connection refused")), ""},
		{sourced(1, errors.New("failed to solve: base: dial tcp: lookup x.test on 127.0.0.1:53: no such host")), ""},
		{errors.New("failed to solve: mkdir /var/lib/docker/x: no space left on device"), "mkdir /var/lib/docker/x: no space left on device"},
		{nil, ""},
		{fmt.Errorf("failed to resolve dockerfile: %w", status.Error(codes.Unknown, "something unheard of")), ""},
	} {
		state := "done"
		if test.failed != "" {
			state = test.failed
		}
		s, _, _ := reported(&client.SolveStatus{Vertexes: []*client.Vertex{operation(stepRun, state)}})
		err := shopRecipe.failure(test.err, errors.New("failed to solve: something unheard of"), s, nil)
		if deployments.FaultOf(err) != nil || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%v: got %v, want an error that is ours", test.err, err)
		}
	}
}
