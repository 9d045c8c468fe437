package bot

import (
	"cmp"
	"fmt"
	"strings"

	"vitrine/deployments"
)

// readInstallation reads that the App was taken away from an account or suspended there, or given to it (again). Everything of the account goes or is looked
// at; not every such payload lists its repositories.
func readInstallation(d *deployments.Delivery, p payload) error {
	if p.Action == "created" || p.Action == "unsuspend" {
		d.Compare = true
		return nil
	}
	cause := map[string]string{"deleted": "the App was uninstalled", "suspend": "the App was suspended"}[p.Action]
	if cause == "" {
		return nil
	}
	owner := p.Installation.Account.Login
	if !loginName.MatchString(owner) {
		return fmt.Errorf("the payload of installation names no account: %q", plain(owner, 80))
	}
	d.Withdrawals = append(d.Withdrawals, deployments.Withdrawal{Owner: owner, Cause: cause})
	return nil
}

// readRepositories reads that the App was given to repositories, or taken away from them.
func readRepositories(d *deployments.Delivery, p payload) error {
	if p.Action == "added" {
		d.Compare = true
		return nil
	}
	if p.Action != "removed" {
		return nil
	}
	for _, removed := range p.RepositoriesRemoved {
		w, err := withdrawalOf(removed.FullName, "the App was taken away from the repository")
		if err != nil {
			return fmt.Errorf("the payload of installation_repositories removes what is no repository: %w", err)
		}
		d.Withdrawals = append(d.Withdrawals, w)
	}
	return nil
}

// readRepository reads that a repository is not there any more or can only be read, that it can be written to again, or that it has another name.
func readRepository(d *deployments.Delivery, p payload) error {
	switch p.Action {
	case "deleted", "archived":
		w, err := withdrawalOf(p.Repository.FullName, "repository "+p.Action)
		d.Withdrawals = append(d.Withdrawals, w)
		return err
	case "unarchived":
		d.Compare = true
	case "renamed", "transferred":
		from := p.formerName()
		if _, _, err := split(from); err != nil {
			return fmt.Errorf("the payload of repository does not say what was %s: %w", p.Action, err)
		}
		if from != p.Repository.FullName {
			d.Renames = append(d.Renames, deployments.Rename{From: from, To: p.Repository.FullName})
		}
	}
	return nil
}

// formerName returns what a repository was called before it was renamed or transferred.
func (p payload) formerName() string {
	owner, name, _ := strings.Cut(p.Repository.FullName, "/")
	if p.Action == "renamed" {
		return owner + "/" + p.Changes.Repository.Name.From
	}
	from := p.Changes.Owner.From
	return cmp.Or(from.Organization.Login, from.User.Login) + "/" + name
}

func withdrawalOf(repo, cause string) (deployments.Withdrawal, error) {
	if _, _, err := split(repo); err != nil {
		return deployments.Withdrawal{}, err
	}
	owner, name, _ := strings.Cut(repo, "/")
	return deployments.Withdrawal{Owner: owner, Name: name, Cause: cause}, nil
}
