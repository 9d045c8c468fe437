package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"vitrine/deployments"
)

// maxLabel is the longest label of a host name (RFC 1035 §2.3.4).
const maxLabel = 63

// A host is a label with what it is reserved for.
type host struct {
	label        string
	repo, branch string // of a branch's host
	environment  int64  // 0 where only pull requests have the branch
	service      string // that answers there, by the last Reserve
}

const hostColumns = `label, repo, branch, coalesce(environment_id, 0), service`

func scanHost(row row) (h host, err error) {
	err = row.Scan(&h.label, &h.repo, &h.branch, &h.environment, &h.service)
	return h, err
}

// ofBranch reports whether the host belongs to a branch, and so may serve several environments in turn.
func (h host) ofBranch() bool { return h.branch != "" }

// reserveName returns the label of an origin's environment.
func (t *tx) reserveName(ctx context.Context, o deployments.Origin) (string, error) {
	if o.PullRequest == 0 && o.Branch != "" {
		return t.reserveBranch(ctx, o.Repo, o.Branch)
	}
	slug := ""
	if o.Repo != "" {
		var err error
		if slug, err = t.reserveSlug(ctx, o.Repo); err != nil {
			return "", err
		}
	}
	return t.reserveHost(ctx, deployments.NameOf(o, slug))
}

// reserveSlug returns a repository's name in labels.
func (t *tx) reserveSlug(ctx context.Context, repo string) (string, error) {
	return t.reserve(ctx, "slugs", deployments.SlugOf(repo))
}

// reserveBranch returns the label of a branch's host.
func (t *tx) reserveBranch(ctx context.Context, repo, branch string) (string, error) {
	slug, err := t.reserveSlug(ctx, repo)
	if err != nil {
		return "", err
	}
	label, err := t.reserveHost(ctx, deployments.BranchName(repo, slug, branch))
	if err != nil {
		return "", err
	}
	return label, t.exec(ctx, `UPDATE hosts SET repo = ?, branch = ? WHERE label = ?`, repo, branch, label)
}

func (t *tx) reserveHost(ctx context.Context, n deployments.Name) (string, error) {
	return t.reserve(ctx, "hosts", n)
}

// reserve returns the label that the owner of a name has for good, in the table slugs or hosts; it takes the first free one where there is none.
func (t *tx) reserve(ctx context.Context, table string, n deployments.Name) (string, error) {
	label, err := one(ctx, t, value[string], `SELECT label FROM `+table+` WHERE owner = ?`, n.Owner)
	if !errors.Is(err, deployments.ErrNotFound) {
		return label, err
	}
	for label := range candidates(n) {
		taken, err := t.change(ctx, `INSERT INTO `+table+` (label, owner) VALUES (?, ?) ON CONFLICT (label) DO NOTHING`, label, n.Owner)
		if err != nil {
			return "", fmt.Errorf("reserve %s for %s: %w", label, n.Owner, err)
		}
		if taken > 0 {
			return label, nil
		}
	}
	return "", fmt.Errorf("reserve a label for %s: every one is taken", n.Owner)
}

// candidates yields the labels that a name may have, the best first. Somebody may have made a branch whose name is another's fallback, hence the
// numbered ones.
func candidates(n deployments.Name) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(n.Label) || !yield(n.Fallback) {
			return
		}
		for i := 2; i < 1000; i++ {
			suffix := fmt.Sprintf("-%d", i)
			base := strings.TrimRight(n.Fallback[:min(len(n.Fallback), maxLabel-len(suffix))], "-")
			if !yield(base + suffix) {
				return
			}
		}
	}
}

// reserveBookmark reserves the host of a pull request's head branch, where that branch lies in the repository itself.
func (t *tx) reserveBookmark(ctx context.Context, e deployments.Environment) error {
	if !hasBookmark(e) {
		return nil
	}
	_, err := t.reserveBranch(ctx, e.Origin.Repo, e.Source().Branch)
	return err
}

// hasBookmark reports whether e is a pull request whose head branch has a host. A fork's branch has none.
func hasBookmark(e deployments.Environment) bool {
	return e.Origin.PullRequest != 0 && e.Source().Branch != "" && e.Source().Repo == e.Origin.Repo && !e.Source().Fork
}

// Reserve implements [deployments.Attempts]. It also reserves the host of a pull request's branch.
func (s *Store) Reserve(ctx context.Context, environment int64, services []deployments.PublicService) (labels []string, err error) {
	err = s.update(ctx, func(t *tx) error {
		e, err := t.environment(ctx, environment)
		if err != nil {
			return err
		}
		if err := t.reserveBookmark(ctx, e); err != nil {
			return err
		}
		labels, err = t.reserveServices(ctx, e, services)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reserve the hosts of environment %d: %w", environment, err)
	}
	return labels, nil
}

func (t *tx) reserveServices(ctx context.Context, e deployments.Environment, services []deployments.PublicService) ([]string, error) {
	if _, err := t.change(ctx, `UPDATE hosts SET service = '' WHERE environment_id = ?`, e.ID); err != nil {
		return nil, err
	}
	var labels []string
	for i, service := range services {
		label := e.Name
		if i > 0 {
			var err error
			if label, err = t.reserveHost(ctx, deployments.ServiceName(e.Name, cmp.Or(service.Host, service.Name))); err != nil {
				return nil, err
			}
		}
		if err := t.exec(ctx, `UPDATE hosts SET environment_id = ?, service = ? WHERE label = ?`, e.ID, service.Name, label); err != nil {
			return nil, err
		}
		labels = append(labels, label)
	}
	return labels, nil
}

// hostsOf returns the hosts that are an environment's own, its name first.
func (t *tx) hostsOf(ctx context.Context, e deployments.Environment) ([]host, error) {
	return all(ctx, t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE environment_id = ? ORDER BY label <> ?, label`, e.ID, e.Name)
}

// sharedHosts returns the hosts of branches that e serves as a pull request, or may serve.
func (t *tx) sharedHosts(ctx context.Context, e deployments.Environment) ([]host, error) {
	const query = `SELECT ` + hostColumns + ` FROM hosts WHERE coalesce(environment_id, 0) <> ?1 AND
		(label IN (SELECT label FROM routes WHERE environment_id = ?1) OR repo = ?2 AND branch = ?3 AND branch <> '')
		ORDER BY label`
	branch := ""
	if hasBookmark(e) {
		branch = e.Source().Branch
	}
	return all(ctx, t, scanHost, query, e.ID, e.Origin.Repo, branch)
}

// byBranch picks the environment that a branch's host is to serve: what is live before what is not (also while it is on its way out: TakeDown
// moves the host), then what is up before what is gone, the tracked branch's own before pull requests, older pull requests before newer ones.
const byBranch = `SELECT ` + environmentColumns + ` FROM environments
	WHERE repo = ?1 AND (pull_request = 0 AND branch = ?2
		OR pull_request > 0 AND json_extract(sources, '$[0].repo') = ?1 AND json_extract(sources, '$[0].branch') = ?2
			AND NOT coalesce(json_extract(sources, '$[0].fork'), 0))
	ORDER BY live IS NULL, live IS NULL AND intent <> 'up', pull_request LIMIT 1`

// server returns the environment that a host is to serve, which may be gone, or ErrNotFound.
func (t *tx) server(ctx context.Context, h host) (deployments.Environment, error) {
	if h.ofBranch() {
		return one(ctx, t, scanEnvironment, byBranch, h.repo, h.branch)
	}
	return t.environment(ctx, h.environment)
}

// HostState implements [deployments.Environments]. The detail of a host that builds is the attempt's phase and its services' status.
func (s *Store) HostState(ctx context.Context, label string) (state deployments.HostState, err error) {
	err = s.view(ctx, func(t *tx) error {
		state, err = t.hostState(ctx, label)
		if errors.Is(err, deployments.ErrNotFound) {
			state, err = deployments.HostState{Status: deployments.HostUnknown}, nil
		}
		return err
	})
	if err != nil {
		return deployments.HostState{}, fmt.Errorf("read the state of host %s: %w", label, err)
	}
	return state, nil
}

func (t *tx) hostState(ctx context.Context, label string) (deployments.HostState, error) {
	h, err := one(ctx, t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE label = ?`, label)
	if err != nil {
		return deployments.HostState{}, err
	}
	e, err := t.server(ctx, h)
	if err != nil {
		return deployments.HostState{}, err
	}
	r, err := t.record(ctx, label)
	if err != nil || r.live() {
		return deployments.HostState{Status: deployments.HostReady, Name: r.Identifier}, err
	}
	if e.Intent == deployments.Gone && !r.exists() {
		return deployments.HostState{}, deployments.ErrNotFound // nothing ever answered there
	}
	if e.Intent == deployments.Up {
		if down, detail, err := t.outOf(ctx, e, h); err != nil || down {
			return deployments.HostState{Status: deployments.HostDown, Name: e.Name, Detail: detail}, err
		}
	}
	latest, err := t.latest(ctx, e.ID)
	if err != nil {
		return deployments.HostState{}, err
	}
	status, detail := describe(e, latest)
	return deployments.HostState{Status: status, Name: e.Name, Detail: detail}, nil
}

// describe says what an environment is doing whose host nothing serves. latest is its newest attempt, nil for none.
func describe(e deployments.Environment, latest *deployments.Deployment) (deployments.HostStatus, string) {
	running := latest != nil && latest.Phase.Running() && latest.Generation == e.Generation
	switch {
	case e.Intent == deployments.Gone:
		return deployments.HostExpired, e.Cause
	case running:
		return deployments.HostBuilding, progress(*latest)
	case e.Generation > e.Observed && e.Waiting != "":
		return deployments.HostWaiting, e.Waiting
	case e.Generation > e.Observed:
		return deployments.HostBuilding, string(deployments.Queued)
	case e.Held != "":
		return deployments.HostWaiting, "waits for somebody with write access to approve its code"
	case e.Failed && latest != nil && latest.Fault != nil:
		return deployments.HostFailed, latest.Fault.Reason
	case e.Failed:
		return deployments.HostFailed, ""
	default:
		return deployments.HostExpired, "the present version has no service here"
	}
}

// progress puts an attempt in words: "building: web building, step 6 of 11; api built, cached".
func progress(d deployments.Deployment) string {
	var services []string
	for _, s := range d.Services {
		if s.Status != "" {
			services = append(services, s.Name+" "+s.Status)
		}
	}
	if len(services) == 0 {
		return string(d.Phase)
	}
	return string(d.Phase) + ": " + strings.Join(services, "; ")
}
