package builder

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// heldSecrets give a build the secrets that it asks for, by ID. The engine asks when a step begins that mounts one, and keeps nothing of the answer: what a
// step is known by in the build cache has the ID only.
type heldSecrets map[string][]byte

var _ session.Attachable = heldSecrets{}

// Register implements session.Attachable.
func (h heldSecrets) Register(server *grpc.Server) { secrets.RegisterSecretsServer(server, h) }

// GetSecret implements secrets.SecretsServer. A step may go without one that is not there, unless it says `required`.
func (h heldSecrets) GetSecret(_ context.Context, request *secrets.GetSecretRequest) (*secrets.GetSecretResponse, error) {
	value, ok := h[request.ID]
	if !ok {
		return nil, status.Error(codes.NotFound, fmt.Sprintf("there is no secret %q", request.ID))
	}
	return &secrets.GetSecretResponse{Data: value}, nil
}
