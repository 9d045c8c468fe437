package githubsim

import (
	"net/http"
	"strconv"
)

func (c *call) getApp() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	app := c.s.appObject()
	app["installations_count"] = len(c.s.installations)
	return ok(app)
}

func (c *call) listInstallations() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	items := []object{}
	for _, i := range c.s.sortedInstallations() {
		items = append(items, c.s.installationObject(i))
	}
	return c.paginate(items)
}

func (c *call) getInstallation() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if i := c.installation(); i != nil {
		return ok(c.s.installationObject(i))
	}
	return notFound()
}

func (c *call) installation() *installation {
	for _, i := range c.s.installations {
		if strconv.FormatInt(i.id, 10) == c.r.PathValue("installation") {
			return i
		}
	}
	return nil
}

func (c *call) getRepositoryInstallation() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.repo == nil {
		return notFound()
	}
	if i := c.s.installationOf(c.repo); i != nil {
		return ok(c.s.installationObject(i))
	}
	return notFound()
}

func (c *call) listRepositories() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var all []*repository
	for _, r := range c.s.repositoriesOf(c.token.installation.account) {
		if c.token.reaches(r) {
			all = append(all, r)
		}
	}
	from, to, header := c.window(len(all))
	items := make([]object, 0, to-from)
	for _, r := range all[from:to] {
		items = append(items, c.s.repositoryObject(r))
	}
	selection := c.token.installation.selection()
	if len(c.token.repositories) > 0 {
		selection = "selected"
	}
	body := object{"total_count": len(all), "repository_selection": selection, "repositories": items}
	return answer{status: http.StatusOK, body: body, header: header}
}
