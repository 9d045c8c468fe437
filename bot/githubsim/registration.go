package githubsim

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// conversionTime is how long the code of a registration counts (docs.github.com, "Registering a GitHub App from a manifest").
const conversionTime = time.Hour

var errAppThere = errors.New("this simulated GitHub has its one App already")

// A registration is that of the App by a manifest. Its code is exchanged for the App's secrets, once.
type registration struct {
	code, secret, clientSecret string
	at                         time.Time
	told                       bool
}

// reserved reports whether a login is the first part of an address of GitHub's own.
func reserved(login string) bool {
	return slices.Contains([]string{"api", "apps", "organizations", "settings"}, strings.ToLower(login))
}

// register makes the App that a manifest describes and returns its registration. An App that nobody has taken over gives way to it: the person
// has begun anew. The error is for that person.
func (s *Server) register(m manifest, name string, owner *user) (registration, error) {
	if wrong := checkAppName(name); wrong != "" {
		return registration{}, errors.New(wrong)
	}
	key, err := GenerateKey()
	if err != nil {
		return registration{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.appStays() {
		return registration{}, errAppThere
	}
	app := m.app(name, owner.login)
	if other := s.users[strings.ToLower(app.Slug)]; reserved(app.Slug) || other != nil && other != owner {
		return registration{}, errors.New("the name is already taken")
	}
	if s.app.ID != 0 {
		delete(s.users, strings.ToLower(s.botLogin()))
	}
	r := registration{code: randomHex(), clientSecret: randomHex(), at: s.now()}
	if app.WebhookURL != "" {
		r.secret = randomHex()
	}
	app.ID, app.PrivateKey, app.WebhookSecret = s.nextID(), key, r.secret
	s.app, s.key, s.registration, s.createdAt = app, key, &r, s.time()
	s.users[strings.ToLower(s.botLogin())] = &user{id: s.nextID(), login: s.botLogin(), kind: "Bot"}
	s.hooks.register(app.WebhookURL, app.WebhookSecret, app.ID)
	s.ping()
	return r, nil
}

// appStays reports whether the App there is stays: somebody has its secrets, or has installed it. Call it with mu held.
func (s *Server) appStays() bool {
	return s.app.ID != 0 && (s.registration == nil || s.registration.told || len(s.installations) > 0)
}

// randomHex returns 40 digits, as GitHub's codes and secrets have.
func randomHex() string {
	b := make([]byte, 20)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (c *call) convertManifest() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	r := c.s.registration
	if r == nil || r.told || r.code != c.r.PathValue("code") || c.s.now().Sub(r.at) >= conversionTime {
		return notFound()
	}
	r.told = true
	app := c.s.appObject()
	app["pem"], app["webhook_secret"], app["client_secret"] = string(c.s.keyPEM()), textOrNull(r.secret), r.clientSecret
	return answer{status: http.StatusCreated, body: app}
}

// account returns whose App is registered by a page: an organisation, or the person themself where that is empty; and who that person is. The
// pages need no sign-in: where as does not say it, the person is the one who has the most to do with the account. Both are nil where as may not.
func (s *Server) account(organisation, as string) (account, by *user) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if organisation == "" {
		account = s.person(as)
		return account, account
	}
	account = s.users[strings.ToLower(organisation)]
	if account == nil || account.kind != "Organization" {
		return nil, nil
	}
	if by = s.actor(account, as); by == nil {
		return nil, nil
	}
	return account, by
}

// person returns a user by login; for an empty one, who owns the oldest repository of a user's, else the oldest user. Call it with mu held, as
// the next.
func (s *Server) person(login string) *user {
	if login != "" {
		if u := s.users[strings.ToLower(login)]; u != nil && u.kind == "User" {
			return u
		}
		return nil
	}
	var first *repository
	for _, r := range s.repositories {
		if r.owner().kind == "User" && r.parent == nil && (first == nil || r.id < first.id) {
			first = r
		}
	}
	if first != nil {
		return first.owner()
	}
	var oldest *user
	for _, u := range s.users {
		if u.kind == "User" && (oldest == nil || u.id < oldest.id) {
			oldest = u
		}
	}
	return oldest
}

// actor returns who changes an account's Apps: as, where that may, or whoever may; an organisation without anybody does it itself.
func (s *Server) actor(account *user, as string) *user {
	if account.kind == "User" {
		if as == "" || strings.EqualFold(as, account.login) {
			return account
		}
		return nil
	}
	var admins []*user
	for _, r := range s.repositoriesOf(account) {
		for login, role := range r.roles {
			if u := s.users[login]; role == "admin" && u != nil && u.kind == "User" {
				admins = append(admins, u)
			}
		}
	}
	slices.SortFunc(admins, func(a, b *user) int { return cmp.Compare(a.id, b.id) })
	for _, u := range admins {
		if as == "" || strings.EqualFold(as, u.login) {
			return u
		}
	}
	if as != "" {
		return nil
	}
	return account
}
