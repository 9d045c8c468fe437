package githubsim

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// Who may call an endpoint: the App with its JSON web token, or an installation token with one of the permissions (docs.github.com,
// "Permissions required for GitHub Apps"). Every token has metadata:read.
const (
	byAnybody      = "" // a secret in the path tells who may
	byApp          = "app"
	byInstallation = "metadata:read"
	readPulls      = "pull_requests:read"
	readContents   = "contents:read"
	readComments   = "issues:read|pull_requests:read"
	writeComments  = "issues:write|pull_requests:write"
	readChecks     = "checks:read"
	writeChecks    = "checks:write"
	readDeploys    = "deployments:read"
	writeDeploys   = "deployments:write"
)

// A route is an endpoint of the REST API.
type route struct {
	pattern string // method and path
	need    string
	f       func(*call) answer
}

// routes are tried in this order: a path with something behind a ref, which may hold slashes, comes before the ref's own.
func routes() []route {
	return []route{
		{"GET /app", byApp, (*call).getApp},
		{"GET /app/installations", byApp, (*call).listInstallations},
		{"GET /app/installations/{installation}", byApp, (*call).getInstallation},
		{"POST /app/installations/{installation}/access_tokens", byApp, (*call).createToken},
		{"POST /app-manifests/{code}/conversions", byAnybody, (*call).convertManifest},
		{"GET /app/hook/config", byApp, (*call).getHook},
		{"PATCH /app/hook/config", byApp, (*call).updateHook},
		{"GET /app/hook/deliveries", byApp, (*call).listDeliveries},
		{"GET /app/hook/deliveries/{delivery}", byApp, (*call).getDelivery},
		{"POST /app/hook/deliveries/{delivery}/attempts", byApp, (*call).createAttempt},
		{"GET /repos/{owner}/{repo}/installation", byApp, (*call).getRepositoryInstallation},

		{"GET /rate_limit", byInstallation, (*call).getRateLimit},
		{"GET /installation/repositories", byInstallation, (*call).listRepositories},
		{"GET /repos/{owner}/{repo}", byInstallation, (*call).getRepository},
		{"GET /repos/{owner}/{repo}/collaborators/{login}/permission", byInstallation, (*call).getPermission},
		{"GET /repos/{owner}/{repo}/branches", readContents, (*call).listBranches},
		{"GET /repos/{owner}/{repo}/branches/{branch:.*}", readContents, (*call).getBranch},
		{"GET /repos/{owner}/{repo}/git/ref/{ref:.*}", readContents, (*call).getRef},
		{"GET /repos/{owner}/{repo}/commits/{ref:.+}/check-runs", readChecks, (*call).listCheckRuns},
		{"GET /repos/{owner}/{repo}/commits/{ref:.*}", readContents, (*call).getCommit},
		{"GET /repos/{owner}/{repo}/contents", readContents, (*call).getContents},
		{"GET /repos/{owner}/{repo}/contents/{path:.*}", readContents, (*call).getContents},

		{"GET /repos/{owner}/{repo}/pulls", readPulls, (*call).listPulls},
		{"GET /repos/{owner}/{repo}/pulls/{number:[0-9]+}", readPulls, (*call).getPull},
		{"GET /repos/{owner}/{repo}/pulls/{number:[0-9]+}/files", readPulls, (*call).listFiles},
		{"GET /repos/{owner}/{repo}/issues/{number:[0-9]+}/comments", readComments, (*call).listComments},
		{"POST /repos/{owner}/{repo}/issues/{number:[0-9]+}/comments", writeComments, (*call).createComment},
		{"GET /repos/{owner}/{repo}/issues/comments/{comment}", readComments, (*call).getComment},
		{"PATCH /repos/{owner}/{repo}/issues/comments/{comment}", writeComments, (*call).updateComment},
		{"DELETE /repos/{owner}/{repo}/issues/comments/{comment}", writeComments, (*call).removeComment},
		{"GET /repos/{owner}/{repo}/issues/comments/{comment}/reactions", readComments, (*call).listReactions},
		{"POST /repos/{owner}/{repo}/issues/comments/{comment}/reactions", writeComments, (*call).createReaction},
		{"DELETE /repos/{owner}/{repo}/issues/comments/{comment}/reactions/{reaction}", writeComments, (*call).deleteReaction},

		{"POST /repos/{owner}/{repo}/check-runs", writeChecks, (*call).createCheckRun},
		{"GET /repos/{owner}/{repo}/check-runs/{check}", readChecks, (*call).getCheckRun},
		{"PATCH /repos/{owner}/{repo}/check-runs/{check}", writeChecks, (*call).updateCheckRun},
		{"GET /repos/{owner}/{repo}/check-runs/{check}/annotations", readChecks, (*call).listAnnotations},

		{"GET /repos/{owner}/{repo}/deployments", readDeploys, (*call).listDeployments},
		{"POST /repos/{owner}/{repo}/deployments", writeDeploys, (*call).createDeployment},
		{"GET /repos/{owner}/{repo}/deployments/{deployment}", readDeploys, (*call).getDeployment},
		{"DELETE /repos/{owner}/{repo}/deployments/{deployment}", writeDeploys, (*call).deleteDeployment},
		{"GET /repos/{owner}/{repo}/deployments/{deployment}/statuses", readDeploys, (*call).listStatuses},
		{"POST /repos/{owner}/{repo}/deployments/{deployment}/statuses", writeDeploys, (*call).createStatus},
	}
}

func (s *Server) apiRoutes() http.Handler {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	missing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.respond(w, &call{s: s, r: r}, notFound()) })
	router.NotFoundHandler, router.MethodNotAllowedHandler = missing, missing
	for _, one := range routes() {
		method, path, _ := strings.Cut(one.pattern, " ")
		router.Handle(apiPrefix+path, s.endpoint(one.need, one.f)).Methods(method)
		if rest, ofRepository := strings.CutPrefix(path, "/repos/{owner}/{repo}"); ofRepository {
			router.Handle(apiPrefix+"/repositories/{repository}"+rest, s.endpoint(one.need, one.f)).Methods(method)
		}
	}
	return router
}
