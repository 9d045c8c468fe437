package builder

import (
	"context"
	"errors"
	"regexp"
	"syscall"

	"vitrine/deployments"
)

// Who is waited for, as people read it after "waits for".
const (
	waitsForGitHub  = "GitHub"
	waitsForDisk    = "free disk space on the server"
	waitsForFolder  = "the server's data folder"
	waitsForEngine  = "the Docker engine"
	waitsForNetwork = "the network, which the build needs"
	waitsForProgram = "the server's program that serves folders, which is not on the engine; the server's log says why"
)

// diskWords is how git, the system and engines say that a disk is full. Git does not say why it could not write a file.
var diskWords = regexp.MustCompile(`(?i)no space left on device|disk quota exceeded|out of diskspace|unable to write file`)

// remoteLine matches what a remote has git print.
var remoteLine = regexp.MustCompile(`(?m)^(remote|fatal: remote error):.*`)

// diskIsFull reports whether err is about a full disk of ours. What a remote says of its own disk is not.
func diskIsFull(err error) bool {
	var g *gitError
	if errors.As(err, &g) {
		return diskWords.MatchString(remoteLine.ReplaceAllString(g.stderr, ""))
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || diskWords.MatchString(err.Error())
}

// away says that err is waited out, and for whom: the neighbour, unless it is our disk that is full. It returns err as it is where it is a Fault or
// says so itself, where ctx has ended, and where it is nil.
func away(ctx context.Context, neighbour string, err error) error {
	var known *deployments.Unavailable
	if err == nil || ctx.Err() != nil || deployments.FaultOf(err) != nil || errors.As(err, &known) {
		return err
	}
	if diskIsFull(err) {
		neighbour = waitsForDisk
	}
	return &deployments.Unavailable{Neighbour: neighbour, Err: err}
}
