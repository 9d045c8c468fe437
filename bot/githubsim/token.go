package githubsim

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

const (
	tokenLifetime = time.Hour
	jwtLifetime   = 10 * time.Minute // docs.github.com, "Generating a JSON Web Token (JWT) for a GitHub App"
)

// A token is an installation's. It never changes.
type token struct {
	installation *installation
	expires      time.Time
	permissions  map[string]string // nil: all that the App has
	repositories []int64           // empty: all of the installation
}

// reaches reports whether a repository is among those of the token.
func (t *token) reaches(r *repository) bool {
	return t.installation.holds(r) && (len(t.repositories) == 0 || slices.Contains(t.repositories, r.id))
}

// grants reports whether a token has a permission, "issues:write", or one of several with "|" between them, and the App still has it, too. Call
// it with mu held.
func (s *Server) grants(t *token, wanted string) bool {
	for one := range strings.SplitSeq(wanted, "|") {
		name, level, _ := strings.Cut(one, ":")
		if covers(s.app.Permissions[name], level) && (t.permissions == nil || covers(t.permissions[name], level)) {
			return true
		}
	}
	return false
}

func covers(held, wanted string) bool {
	levels := []string{"read", "write", "admin"}
	return slices.Contains(levels, wanted) && slices.Index(levels, held) >= slices.Index(levels, wanted)
}

// token returns a valid token by its value, nil for none. Call it with mu held.
func (s *Server) token(value string) *token {
	t := s.tokens[value]
	if t == nil {
		return nil
	}
	if !s.now().Before(t.expires) {
		delete(s.tokens, value)
		return nil
	}
	return t
}

// verifyJWT returns what is wrong with the App's token, in GitHub's words; nothing where it is right.
func (s *Server) verifyJWT(value string) string {
	var claims jwt.MapClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation(), jwt.WithJSONNumber())
	s.mu.Lock()
	id, key := s.app.ID, s.key
	s.mu.Unlock()
	if key == nil {
		return "A JSON web token could not be decoded"
	}
	if _, err := parser.ParseWithClaims(value, &claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }); err != nil {
		return "A JSON web token could not be decoded"
	}
	now := s.now()
	if fmt.Sprint(claims["iss"]) != strconv.FormatInt(id, 10) {
		return "'Issuer' claim ('iss') must be an Integer"
	}
	issued, ok := claimTime(claims["iat"])
	if !ok || issued.After(now) {
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	}
	expires, ok := claimTime(claims["exp"])
	switch {
	case !ok || !now.Before(expires):
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case expires.Sub(now) > jwtLifetime:
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

// claimTime reads a time, which GitHub takes as a whole number of seconds only.
func claimTime(claim any) (time.Time, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Int64()
	return time.Unix(seconds, 0), err == nil
}

func (c *call) createToken() answer {
	var in struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if bad := c.decode(&in, true); bad != nil {
		return *bad
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	i := c.installation()
	switch {
	case i == nil:
		return notFound()
	case i.suspended():
		return suspended()
	}
	t := &token{installation: i, expires: c.s.time().Add(tokenLifetime)}
	granted := c.s.app.Permissions
	if in.Permissions != nil {
		for name, level := range in.Permissions {
			if !covers(c.s.app.Permissions[name], level) {
				return invalid("The permissions requested are not granted to this installation.")
			}
		}
		t.permissions = withMetadata(in.Permissions)
		granted = t.permissions
	}
	body := object{"expires_at": stamp(t.expires), "permissions": granted, "repository_selection": i.selection()}
	if len(in.Repositories)+len(in.RepositoryIDs) > 0 {
		var chosen []object
		for _, r := range c.s.repositories {
			if i.holds(r) && (slices.Contains(in.Repositories, r.name()) || slices.Contains(in.RepositoryIDs, r.id)) {
				t.repositories = append(t.repositories, r.id)
				chosen = append(chosen, c.s.repositoryObject(r))
			}
		}
		if len(chosen) < len(in.Repositories)+len(in.RepositoryIDs) {
			return invalid("There is at least one repository that does not exist or is not accessible to the parent installation.")
		}
		body["repository_selection"], body["repositories"] = "selected", chosen
	}
	value := "ghs_" + rand.Text() + rand.Text()[:10]
	c.s.tokens[value] = t
	body["token"] = value
	return answer{status: http.StatusCreated, body: body}
}

func suspended() answer { return fail(http.StatusForbidden, "This installation has been suspended") }
