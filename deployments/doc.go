// Package deployments is Go code, not a folder of deployment manifests: it holds what previews are wanted, what is there, and each attempt
// to bring the one to the other.
//
// The environments of the [Store] are the queue. Work is due while an environment's generation is above the one observed; one attempt
// runs at a time for each environment, and a limited number of builds runs side by side. Coalescing, de-duplication and newest-wins follow
// from that. The [Controller] takes what is due and drives it through the ports of this package; everything outside (containers, routes,
// comments) is derived from the Store and may be derived again at any time.
//
// The package imports the standard library and robfig/cron only. Everything else may import it.
package deployments
