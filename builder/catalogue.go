package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxAnswer is the largest answer of the registry that is read, in bytes. A page of the catalogue holds a thousand names.
const maxAnswer = 4 << 20

// Who is waited for, as people read it after "waits for".
const (
	waitsForRegistry = "the registry"
	waitsForStorage  = "the registry's storage"
)

// blamed returns who is waited for after the registry answered with the status. The embedded one answers 503 while its storage is away, 507 while the
// disk of its folder is full, and 500 for what else its storage did.
func blamed(status int) string {
	switch {
	case status == http.StatusInsufficientStorage:
		return waitsForDisk
	case status >= http.StatusInternalServerError:
		return waitsForStorage
	default:
		return waitsForRegistry
	}
}

// ready asks whether the registry answers and has its storage (OCI distribution specification 1.1, "Determining support"). That it asks for a password
// is none of this question's business.
func (b *Builder) ready(ctx context.Context) error {
	answer, err := b.call(ctx, http.MethodGet, &url.URL{Path: "/v2/"})
	if err != nil {
		return away(ctx, waitsForRegistry, fmt.Errorf("ask the registry: %w", err))
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError {
		return away(ctx, blamed(answer.StatusCode), fmt.Errorf("ask the registry: it answered %s", answer.Status))
	}
	return nil
}

// removeFromRegistry deletes a tag (OCI distribution specification 1.1, "Deleting tags"). The manifest stays until a collection.
func (b *Builder) removeFromRegistry(ctx context.Context, reference string) error {
	name, tag, _ := strings.Cut(reference, ":")
	answer, err := b.call(ctx, http.MethodDelete, &url.URL{Path: "/v2/" + name + "/manifests/" + tag})
	if err != nil {
		return away(ctx, waitsForRegistry, fmt.Errorf("delete %s in the registry: %w", reference, err))
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusAccepted, http.StatusOK, http.StatusNoContent, http.StatusNotFound:
		return nil
	default:
		return away(ctx, blamed(answer.StatusCode), fmt.Errorf("delete %s in the registry: it answered %s", reference, answer.Status))
	}
}

// catalogue returns the registry's references of this instance.
func (b *Builder) catalogue(ctx context.Context) ([]string, error) {
	var names []string
	err := b.pages(ctx, "/v2/_catalog", func(page []byte) error {
		var list struct {
			Repositories []string `json:"repositories"`
		}
		if err := json.Unmarshal(page, &list); err != nil {
			return err
		}
		names = append(names, list.Repositories...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var references []string
	for _, name := range names {
		if !strings.HasPrefix(name, b.prefix) {
			continue
		}
		err := b.pages(ctx, "/v2/"+name+"/tags/list", func(page []byte) error {
			var list struct {
				Tags []string `json:"tags"`
			}
			if err := json.Unmarshal(page, &list); err != nil {
				return err
			}
			for _, tag := range list.Tags {
				references = append(references, name+":"+tag)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return references, nil
}

// pages calls take with each page of a list; one that is not there has none. The next page's address comes in a Link header (RFC 8288).
func (b *Builder) pages(ctx context.Context, path string, take func(page []byte) error) error {
	for next := (&url.URL{Path: path}); next != nil; {
		answer, err := b.call(ctx, http.MethodGet, next)
		if err != nil {
			return err
		}
		page, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		answer.Body.Close()
		switch {
		case err != nil:
			return fmt.Errorf("read %s: %w", path, err)
		case answer.StatusCode == http.StatusNotFound:
			return nil
		case answer.StatusCode != http.StatusOK:
			return away(ctx, blamed(answer.StatusCode), fmt.Errorf("read %s: the registry answered %s", path, answer.Status))
		}
		if err := take(page); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if next, err = following(answer.Header.Get("Link")); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	return nil
}

// following returns the address in a Link header of the relation "next", or nil.
func following(link string) (*url.URL, error) {
	address, rest, found := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !found || !strings.Contains(rest, `rel="next"`) {
		return nil, nil
	}
	return url.Parse(address)
}

// call asks the registry. Whatever host the address names, ours is asked.
func (b *Builder) call(ctx context.Context, method string, address *url.URL) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: b.config.Registry, Path: address.Path, RawQuery: address.RawQuery}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	return b.registry.Do(req)
}
