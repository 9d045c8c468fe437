package githubsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// cursorPrefix begins the places in the list of deliveries that the answers name. Clients are not to know what follows.
const cursorPrefix = "v1_"

func (c *call) listDeliveries() answer {
	q := c.r.URL.Query()
	outcome, cursor := q.Get("status"), q.Get("cursor")
	if outcome != "" && outcome != "success" && outcome != "failure" {
		return invalidField("HookDelivery", "status", "invalid", "status is success or failure")
	}
	all := slices.DeleteFunc(c.s.Deliveries(), func(d Delivery) bool {
		return !d.Done || outcome != "" && (outcome == "failure") != (d.Status >= http.StatusBadRequest)
	})
	slices.Reverse(all)
	from := 0
	if cursor != "" {
		number, isCursor := strings.CutPrefix(cursor, cursorPrefix)
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || !isCursor {
			return fail(http.StatusBadRequest, "Invalid cursor")
		}
		for from < len(all) && all[from].ID > id {
			from++
		}
	}
	size := c.perPage()
	var links []string
	link := func(rel string, to int) {
		links = append(links, c.link(rel, "cursor", cursorPrefix+strconv.FormatInt(all[to].ID, 10)))
	}
	if from > 0 {
		link("prev", max(0, from-size))
	}
	to := min(from+size, len(all))
	if to < len(all) {
		link("next", to)
	}
	items := make([]object, 0, to-from)
	for _, d := range all[from:to] {
		items = append(items, deliveryObject(d))
	}
	a := ok(items)
	if links != nil {
		a.header = http.Header{"Link": {strings.Join(links, ", ")}}
	}
	return a
}

func deliveryObject(d Delivery) object {
	idOrNull := func(id int64) any {
		if id == 0 {
			return nil
		}
		return id
	}
	return object{
		"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.At), "redelivery": d.Redelivery, "duration": d.Took.Seconds(), "status": d.Outcome,
		"status_code": d.Status, "event": d.Event, "action": textOrNull(d.Action), "installation_id": idOrNull(d.installation),
		"repository_id": idOrNull(d.repository), "throttled_at": nil,
	}
}

func (c *call) delivery() (Delivery, bool) {
	for _, d := range c.s.Deliveries() {
		if d.Done && d.ID == c.number("delivery") {
			return d, true
		}
	}
	return Delivery{}, false
}

func (c *call) getDelivery() answer {
	d, found := c.delivery()
	if !found {
		return notFound()
	}
	flat := func(h http.Header) object {
		o := object{}
		for name, values := range h {
			o[name] = strings.Join(values, ", ")
		}
		return o
	}
	o := deliveryObject(d)
	o["url"] = d.url
	o["request"] = object{"headers": flat(d.sent), "payload": json.RawMessage(d.Body)}
	o["response"] = object{"headers": flat(d.got), "payload": textOrNull(d.response)}
	return ok(o)
}

func (c *call) createAttempt() answer {
	d, found := c.delivery()
	if !found {
		return notFound()
	}
	c.s.redeliver(d)
	return answer{status: http.StatusAccepted, body: object{}}
}

// config describes where the App's webhooks go, without its secret.
func (h *hooks) config() object {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := object{"url": h.url, "content_type": "json", "insecure_ssl": "0"}
	if h.secret != "" {
		o["secret"] = "********"
	}
	return o
}

func (c *call) getHook() answer {
	config := c.s.hooks.config()
	if config["url"] == "" {
		return notFound()
	}
	return ok(config)
}

func (c *call) updateHook() answer {
	var in struct {
		URL         *string `json:"url"`
		Secret      *string `json:"secret"`
		ContentType *string `json:"content_type"`
	}
	if bad := c.decode(&in, false); bad != nil {
		return *bad
	}
	var p problems
	if in.URL != nil {
		p.link("url", *in.URL)
	}
	if in.ContentType != nil {
		p.oneOf("content_type", *in.ContentType, "json") // GitHub can send forms, too
	}
	if bad := p.answer(); bad != nil {
		return *bad
	}
	if in.URL != nil {
		c.s.hooks.setURL(*in.URL)
	}
	if in.Secret != nil {
		c.s.hooks.setSecret(*in.Secret)
	}
	return c.getHook()
}
