package githubsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	appNameLimit   = 34 // characters
	callbackLimit  = 10
	foreignAddress = "is not an address of this machine, the only one that the simulated GitHub sends anybody to"
	ofProperty     = "For 'properties/%s', "
)

// A manifest describes an App that is to be registered (docs.github.com, "Registering a GitHub App from a manifest").
type manifest struct {
	Name        *string  `json:"name"`
	URL         *string  `json:"url"`
	Description *string  `json:"description"`
	RedirectURL *string  `json:"redirect_url"`
	Callbacks   []string `json:"callback_urls"`
	SetupURL    *string  `json:"setup_url"`
	Hook        *struct {
		URL    *string `json:"url"`
		Active *bool   `json:"active"`
	} `json:"hook_attributes"`
	Public      *bool             `json:"public"`
	Events      []string          `json:"default_events"`
	Permissions map[string]string `json:"default_permissions"`
	OnInstall   *bool             `json:"request_oauth_on_install"`
	OnUpdate    *bool             `json:"setup_on_update"`
}

// manifestKeys are the fields that a manifest may have, those of its hook below their own name.
var manifestKeys = map[string][]string{
	"": {
		"name", "url", "description", "redirect_url", "callback_urls", "setup_url", "hook_attributes", "public", "default_events", "default_permissions",
		"request_oauth_on_install", "setup_on_update",
	},
	"hook_attributes": {"url", "active"},
}

// parseManifest reads what a form brought, and says all that is wrong with it.
func parseManifest(text string) (m manifest, wrong problems) {
	var fields map[string]json.RawMessage
	if text == "" {
		return m, problems{`"manifest" wasn't supplied.`}
	}
	if err := json.Unmarshal([]byte(text), &fields); err != nil || fields == nil {
		return m, problems{`"manifest" is not a JSON object.`}
	}
	wrong.keys("", fields)
	var mistyped *json.UnmarshalTypeError
	if err := json.Unmarshal([]byte(text), &m); errors.As(err, &mistyped) {
		wrong = append(wrong, fmt.Sprintf(ofProperty+"a %s is not what it takes.", strings.ReplaceAll(mistyped.Field, ".", "/"), mistyped.Value))
	}
	wrong.missing("url", textOf(m.URL) != "")
	for field, value := range map[string]*string{"url": m.URL, "redirect_url": m.RedirectURL, "setup_url": m.SetupURL} {
		if value != nil && *value != "" {
			wrong.link(field, *value)
		}
	}
	wrong.local("redirect_url", textOf(m.RedirectURL))
	wrong.local("setup_url", textOf(m.SetupURL))
	for i, address := range m.Callbacks {
		wrong.link(fmt.Sprintf("callback_urls/%d", i), address)
	}
	wrong.items(len(m.Callbacks), callbackLimit)
	if m.Hook != nil {
		wrong.hook(m, fields["hook_attributes"])
	}
	wrong.access(m)
	if m.OnInstall != nil && *m.OnInstall {
		wrong = append(wrong, fmt.Sprintf(ofProperty+"true is not simulated.", "request_oauth_on_install"))
	}
	slices.Sort(wrong)
	return m, slices.Compact(wrong)
}

// keys says which fields are unknown.
func (p *problems) keys(below string, fields map[string]json.RawMessage) {
	for name := range fields {
		if !slices.Contains(manifestKeys[below], name) {
			*p = append(*p, strings.TrimSpace(fmt.Sprintf("%s %q is not a permitted key.", below, name)))
		}
	}
}

// local says that an address, where there is one, is not one of this machine. Browsers are told such an address in a policy, so its host holds
// nothing but a host.
func (p *problems) local(field, value string) {
	if value == "" {
		return
	}
	if u, err := url.Parse(value); err != nil || u.User != nil || !plainHost.MatchString(u.Host) || !isLocal(u.Host) {
		*p = append(*p, fmt.Sprintf(ofProperty+"%q %s.", field, value, foreignAddress))
	}
}

var plainHost = regexp.MustCompile(`^([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?$`)

func (p *problems) hook(m manifest, raw json.RawMessage) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err == nil {
		p.keys("hook_attributes", fields)
	}
	if textOf(m.Hook.URL) == "" {
		*p = append(*p, fmt.Sprintf(ofProperty+"%q wasn't supplied.", "hook_attributes", "url"))
		return
	}
	p.link("hook_attributes/url", *m.Hook.URL)
	p.local("hook_attributes/url", *m.Hook.URL)
}

// access says what is wrong with the permissions, and which events they do not let it hear.
func (p *problems) access(m manifest) {
	for _, name := range slices.Sorted(maps.Keys(m.Permissions)) {
		if levels := appLevels(name); len(levels) == 0 {
			*p = append(*p, fmt.Sprintf(ofProperty+"%q is not a permitted key.", "default_permissions", name))
		} else {
			p.oneOf("default_permissions/"+name, m.Permissions[name], levels...)
		}
	}
	var deaf []string
	for _, event := range m.Events {
		if !mayHear(withMetadata(m.Permissions), event) {
			deaf = append(deaf, event)
		}
	}
	if deaf != nil {
		*p = append(*p, fmt.Sprintf(ofProperty+"default events unsupported: %s.", "default_events", strings.Join(deaf, ", ")))
	}
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// app returns what the manifest describes, under a name, without its number, key and secret.
func (m manifest) app(name, owner string) App {
	a := App{
		Slug: slugOf(name), Name: name, Owner: owner, Description: textOf(m.Description), Homepage: textOf(m.URL), SetupURL: textOf(m.SetupURL),
		Permissions: withMetadata(m.Permissions), Events: slices.Compact(slices.Sorted(slices.Values(m.Events))), Public: m.Public != nil && *m.Public,
	}
	if m.Hook != nil && (m.Hook.Active == nil || *m.Hook.Active) {
		a.WebhookURL = textOf(m.Hook.URL)
	}
	return a
}

// slugOf returns how an App's name is written in addresses.
func slugOf(name string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// checkAppName returns what is wrong with an App's name, nothing where it is right.
func checkAppName(name string) string {
	switch {
	case name == "":
		return "the name is blank"
	case utf8.RuneCountInString(name) > appNameLimit:
		return fmt.Sprintf("the name is too long: it has at most %d characters", appNameLimit)
	case !loginPattern.MatchString(slugOf(name)):
		return "the name needs letters from a to z or digits"
	}
	return ""
}
