package builder

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	solver "github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"vitrine/deployments"
)

// exitCode matches how engines say with what status a step ended, where they do not send it as such.
var exitCode = regexp.MustCompile(`exit code: (\d+)`)

// What engines say, at the end of a message or of a part of it, when their disk is full, when the way to them or their own network broke, and when it
// is the network of a build.
var (
	fullWords   = regexp.MustCompile(`(?mi)(no space left on device|disk quota exceeded)(:|$)`)
	brokenWords = regexp.MustCompile(`(?m)(connection reset by peer|broken pipe|no active session for \S+|transport is closing|` +
		`use of closed network connection|EOF)(:|$)|adding interface \S+ to bridge \S+ failed`)
	networkWords = regexp.MustCompile(`(?m)(connection refused|i/o timeout|TLS handshake timeout|no such host|server misbehaving|` +
		`network is unreachable|no route to host)(:|$)`)
)

// internals begin parts of BuildKit's messages that mean nothing to the people who wrote the Dockerfile.
var internals = regexp.MustCompile(`^(failed to|error from sender|rpc error|dockerfile parse error|process |executor failed|runc did not|lstat /|stat /)`)

// failure makes a Fault of what a build ended in where the Dockerfile did it, and otherwise says who is waited for. refused is what the frontend ended
// in, which has its type still, and may be nil; err is what the engine made of it.
func (r *recipe) failure(refused, err error, s *steps, lines map[digest.Digest]int) error {
	var known *deployments.Unavailable
	if errors.As(refused, &known) {
		return fmt.Errorf("build %s: %w", r.name, refused)
	}
	_, byEngine := grpcerrors.AsGRPCStatus(refused)
	byFrontend := refused != nil && !byEngine
	err = errors.Join(refused, err)
	failed := s.failed()
	line := r.lineOf(err)
	if line == 0 && failed != nil {
		line = lines[failed.Digest]
	}
	if f := deployments.FaultOf(err); f != nil {
		placed := *f
		placed.Where = r.where(line)
		return &placed
	}
	placed := failed != nil || line > 0
	neighbour := waitedFor(err, failed, placed)
	if neighbour == "" && !placed && !byFrontend {
		neighbour = waitsForEngine
	}
	if neighbour != "" {
		return &deployments.Unavailable{Neighbour: neighbour, Err: fmt.Errorf("build %s: %w", r.name, err)}
	}
	f := &deployments.Fault{Kind: deployments.FaultBuild, Where: r.where(line)}
	command := r.instruction(line)
	if command == "" && failed != nil {
		command = failed.Name
	}
	code := exitStatus(err)
	switch {
	case code != "" && failed != nil:
		f.Reason = fmt.Sprintf("`%s` exited %s after %s", command, code, failed.took())
		f.Excerpt = failed.tail
	case command != "":
		f.Reason = fmt.Sprintf("`%s` failed: %s", command, lastOf(err, s.mask))
	default:
		f.Reason = "the build failed: " + lastOf(err, s.mask)
	}
	return f
}

// waitedFor returns who is to blame where it is not the Dockerfile: the engine, its disk, or the network of a step. placed says that the error is about
// a place in the Dockerfile. A program that ended with a status of its own is the user's, whatever it printed.
func waitedFor(err error, failed *vertex, placed bool) string {
	switch grpcerrors.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.ResourceExhausted:
		if fullWords.MatchString(err.Error()) {
			return waitsForDisk
		}
		return waitsForEngine
	}
	text := err.Error()
	if failed != nil {
		text = failed.Error
	}
	switch {
	case exitCode.MatchString(text):
		return ""
	case fullWords.MatchString(text):
		return waitsForDisk
	case brokenWords.MatchString(text), networkWords.MatchString(text) && !placed:
		return waitsForEngine
	case networkWords.MatchString(text):
		return waitsForNetwork
	default:
		return ""
	}
}

// where returns a place in the Dockerfile: "api/Dockerfile:12".
func (r *recipe) where(line int) string {
	if line <= 0 {
		return r.name
	}
	return fmt.Sprintf("%s:%d", r.name, line)
}

// instruction returns the line of the Dockerfile, cut where it goes on.
func (r *recipe) instruction(line int) string {
	lines := strings.Split(string(r.dockerfile), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	text := strings.TrimSpace(cleaned(lines[line-1]))
	if cut := strings.TrimRight(text, "\\` "); cut != text && strings.HasSuffix(text, "\\") {
		text = cut + " ..."
	}
	const most = 120
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strings.ReplaceAll(text, "`", "'")
}

// exitStatus returns the status that a step ended with, or nothing.
func exitStatus(err error) string {
	var exit *gwpb.ExitError
	if errors.As(err, &exit) {
		return fmt.Sprint(exit.ExitCode)
	}
	if m := exitCode.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}

// lineOf returns the line of the Dockerfile that an error is about, 0 where it does not say. What we know ourselves comes first.
func (r *recipe) lineOf(err error) int {
	var l *located
	if errors.As(err, &l) {
		if line := r.lineOfLocated(l); line > 0 {
			return line
		}
	}
	for _, source := range solver.Sources(err) {
		if line := firstLine(source.GetRanges()); line > 0 {
			return line
		}
	}
	var p *parser.LocationError
	if errors.As(err, &p) {
		for _, ranges := range p.Locations {
			for _, at := range ranges {
				if at.Start.Line > 0 {
					return at.Start.Line
				}
			}
		}
	}
	return 0
}

func (r *recipe) lineOfLocated(l *located) int {
	if l.line > 0 || l.mention == "" {
		return l.line
	}
	for i, text := range strings.Split(string(r.dockerfile), "\n") {
		if strings.Contains(text, l.mention) {
			return i + 1
		}
	}
	return 0
}

func firstLine(ranges []*pb.Range) int {
	for _, r := range ranges {
		if line := int(r.GetStart().GetLine()); line > 0 {
			return line
		}
	}
	return 0
}

// lastOf returns the end of an error's message, masked, from the first part that is not about BuildKit's insides.
func lastOf(err error, mask *deployments.Mask) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	parts := strings.Split(text, ": ")
	for len(parts) > 1 && internals.MatchString(parts[0]) {
		parts = parts[1:]
	}
	return cleaned(mask.String(strings.Join(parts, ": ")))
}
