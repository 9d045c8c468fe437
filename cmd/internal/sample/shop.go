// Package sample is the world that Vitrine is shown and tried in: the repository acme/shop and its people, on a simulated GitHub that our App is
// installed on, and the image that the shop's services are built on.
package sample

import "strings"

// Files returns the files of acme/shop by their paths. base is the image that they build on, which holds the vitrine binary (see ImportBinary).
func Files(base string) map[string]string {
	files := map[string]string{
		"README.md": "# Shop\n\nTwo services that talk by name, and a cache.\n",
		"compose.yaml": `services:
  web:
    build: web
    ports: ["8080"]
    depends_on:
      api: {condition: service_healthy}
  api:
    build: api
    ports: ["8080"]
    depends_on:
      cache: {condition: service_healthy}
    healthcheck:
      test: ["CMD", "/vitrine", "sample", "check", "http://127.0.0.1:8080/stock"]
  cache:
    image: BASE
    command: ["/vitrine", "sample", "cache"]
    healthcheck:
      test: ["CMD", "/vitrine", "sample", "check", "http://127.0.0.1:6379/"]
`,
		"web/Dockerfile": "FROM BASE\nCOPY index.html /srv/\nCMD [\"/vitrine\", \"sample\", \"web\"]\n",
		"web/index.html": Page("Shop"),
		"api/Dockerfile": "FROM BASE\nCOPY stock.json /srv/\nCMD [\"/vitrine\", \"sample\", \"api\"]\n",
		"api/stock.json": "{\"pieces\": 12}\n",
	}
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "BASE", base)
	}
	return files
}

// Services is how many containers a preview of acme/shop has.
const Services = 3

// Page returns the shop's page with the label that stands before the number of pieces.
func Page(label string) string {
	return "<!doctype html>\n<title>Shop</title>\n<h1>" + label + ": {{stock}}</h1>\n<p>Commit {{commit}}</p>\n"
}
