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
	const step = "process \"/tool\" did not complete: "
	for _, test := range []struct {
		err       error
		failed    string
		neighbour string
	}{
		{status.Error(codes.Unavailable, "transport is closing"), "", waitsForEngine},
		{fmt.Errorf("listing workers for Build: %w", status.Error(codes.Unavailable, "connection refused")), "", waitsForEngine},
		{status.Error(codes.Internal, "error reading from server: EOF"), "", waitsForEngine},
		{status.Error(codes.Canceled, "context canceled"), step + "context canceled", waitsForEngine},
		{errors.New("failed to solve: no active session for x"), "no active session for x: context deadline exceeded", waitsForEngine},
		{
			errors.New("failed to solve: adding interface veth5520e28 to bridge docker0 failed: could not find bridge docker0: route ip+net: no such network interface"),
			"adding interface veth5520e28 to bridge docker0 failed: could not find bridge docker0: route ip+net: no such network interface", waitsForEngine,
		},
		{errors.New("error during connect: dial unix /run/docker.sock: connect: connection refused"), "", waitsForEngine},
		{sourced(1, errors.New("failed to solve: base: failed to do request: dial tcp 127.0.0.1:1: connect: connection refused")), "", waitsForNetwork},
		{sourced(1, errors.New("failed to solve: base: dial tcp: lookup x.test on 127.0.0.1:53: no such host")), "", waitsForNetwork},
		{errors.New("failed to solve: mkdir /var/lib/docker/x: no space left on device"), "mkdir /var/lib/docker/x: no space left on device", waitsForDisk},
		{sourced(2, errors.New("failed to copy files: copy file range failed: no space left on device")), "", waitsForDisk},
		{errors.New("failed to export image: write /var/lib/docker/image/x: no space left on device: unknown"), "", waitsForDisk},
		{status.Error(codes.ResourceExhausted, "write /var/lib/docker/x: no space left on device"), "", waitsForDisk},
		{fmt.Errorf("base: %w", &deployments.Unavailable{Neighbour: waitsForNetwork, Err: errors.New("something unheard of")}), "", waitsForNetwork},
		{nil, "", waitsForEngine},
		{fmt.Errorf("failed to resolve dockerfile: %w", status.Error(codes.Unknown, "something unheard of")), "", waitsForEngine},
	} {
		state := "done"
		if test.failed != "" {
			state = test.failed
		}
		s, _, _ := reported(&client.SolveStatus{Vertexes: []*client.Vertex{operation(stepRun, state)}})
		err := shopRecipe.failure(test.err, errors.New("failed to solve: something unheard of"), s, nil)
		if unavailable(t, err, test.neighbour); test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%v: got %v, want the error in it", test.err, err)
		}
	}
}

// A program that says what an engine could, and a file of such a name, are the user's.
func TestFailureIsTheUsers(t *testing.T) {
	for _, text := range []string{
		"executor failed running [/bin/sh -c dd]: exit code: 1: no space left on device",
		"failed to calculate checksum: \"/no space left on device\": not found",
	} {
		s, _, _ := reported(&client.SolveStatus{Vertexes: []*client.Vertex{operation(stepRun, text)}})
		fault(t, shopRecipe.failure(nil, errors.New("failed to solve: "+text), s, nil), deployments.FaultBuild)
	}
}
