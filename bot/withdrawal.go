package bot

import (
	"fmt"
	"strings"

	"vitrine/deployments"
)

// readInstallation reads that the App was taken away from an account, or suspended there. Everything of the account goes; not every such payload
// lists its repositories.
func readInstallation(d *deployments.Delivery, p payload) error {
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

// readRepositories reads that the App was taken away from repositories.
func readRepositories(d *deployments.Delivery, p payload) error {
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

// readRepository reads that a repository is not there any more, or can only be read.
func readRepository(d *deployments.Delivery, p payload) error {
	if p.Action != "deleted" && p.Action != "archived" {
		return nil
	}
	w, err := withdrawalOf(p.Repository.FullName, "repository "+p.Action)
	d.Withdrawals = append(d.Withdrawals, w)
	return err
}

func withdrawalOf(repo, cause string) (deployments.Withdrawal, error) {
	if _, _, err := split(repo); err != nil {
		return deployments.Withdrawal{}, err
	}
	owner, name, _ := strings.Cut(repo, "/")
	return deployments.Withdrawal{Owner: owner, Name: name, Cause: cause}, nil
}
