package bot

import "vitrine/bot/internal/show"

// What strangers wrote, as it may stand in what the Bot writes; see package show.
func plain(s string, max int) string { return show.Plain(s, max) }
func text(s string) string           { return show.Text(s) }
func sentence(s string) string       { return show.Sentence(s) }
func code(s string) string           { return show.Code(s) }

func hostLink(urlOf func(label string) string, label string) string {
	return show.HostLink(urlOf, label)
}
