package deployments

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// values returns what the files of the checkout are read with. From then on what is secret of it is masked.
func (a *attempt) values(ctx context.Context, dir string) (Values, error) {
	settings, err := a.Stacks.Settings(ctx, dir)
	if err != nil {
		return Values{}, err
	}
	if err := a.Store.Retime(ctx, a.env.ID, settings.TTL); err != nil {
		return Values{}, err
	}
	repo, fork := a.d.Source.Repo, a.d.Source.Fork
	variables := map[string]string{}
	if !fork {
		if variables, err = a.Store.Variables(ctx, repo); err != nil {
			return Values{}, err
		}
	}
	generated, err := a.Store.Generate(ctx, a.env.ID, settings.generated(variables, fork))
	if err != nil {
		return Values{}, err
	}
	env, secrets, err := settings.resolve(repo, variables, generated, fork)
	if err != nil {
		return Values{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.d.Secrets, a.mask = secrets, NewMask(secrets)
	return Values{Own: a.own(nil, nil), Env: env, Fork: fork}, nil
}

// own returns the environment's own values. services have the hosts' labels at the same index.
func (a *attempt) own(services, labels []string) map[string]string {
	vars := map[string]string{
		"VITRINE_URL":         a.PreviewURL(a.env.Name),
		"VITRINE_HOST":        hostOf(a.PreviewURL(a.env.Name)),
		"VITRINE_ENVIRONMENT": a.env.Name,
		"VITRINE_SHA":         a.d.Source.SHA,
		"VITRINE_BRANCH":      a.d.Source.Branch,
		"VITRINE_PR":          "",
	}
	if n := a.env.Origin.PullRequest; n != 0 {
		vars["VITRINE_PR"] = strconv.Itoa(n)
	}
	for i, service := range services {
		vars["VITRINE_URL_"+variableName(service)] = a.PreviewURL(labels[i])
	}
	return vars
}

// variableName spells a service's name as a part of a variable's: "my-api" is "MY_API".
func variableName(service string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(service))
}

func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// openLobby lets the lobby answer for the environment while nothing else does.
func (a *attempt) openLobby(ctx context.Context) {
	routes, err := a.Store.Lobby(ctx, a.env.ID)
	if err != nil {
		a.log.Warn("give the hosts to the lobby", "error", err)
		return
	}
	a.writeRoutes(ctx, a.env, routes)
}

// openLog makes the file that keeps what the attempt's builds print.
func (a *attempt) openLog() (*os.File, error) {
	dir := filepath.Join(a.LogDir, a.env.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of build logs: %w", err)
	}
	return os.OpenFile(filepath.Join(dir, strconv.FormatInt(a.d.ID, 10)+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
