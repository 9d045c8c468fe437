package bot

import "context"

// Login returns the name that the App writes under, "vitrine[bot]". An error says that GitHub does not answer, or does not take the App's number and key.
func (b *Bot) Login(ctx context.Context) (string, error) { return b.login(ctx) }
