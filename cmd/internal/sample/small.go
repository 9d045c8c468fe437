package sample

import (
	"context"

	"vitrine/bot/githubsim"
)

// SmallRepository has the least stack there is: a lone Dockerfile, one service.
const SmallRepository = "acme/page"

// Small makes the repository, which builds on the image base. Cast made its people.
func Small(ctx context.Context, github *githubsim.Server, base string) error {
	err := github.CreateRepository(ctx, SmallRepository, false, map[string]string{
		"Dockerfile": "FROM " + base + "\nCOPY index.html /srv/\nEXPOSE 8080\nCMD [\"/vitrine\", \"sample\", \"web\"]\n",
		"index.html": SmallPage("at first"),
	})
	if err != nil {
		return err
	}
	return github.SetPermission(SmallRepository, Developer, "write")
}

// SmallPage returns the repository's page, the file index.html, with a text to know it by.
func SmallPage(text string) string {
	return "<!doctype html>\n<title>Page</title>\n<h1>" + text + "</h1>\n<p>Commit {{commit}}</p>\n"
}
