// Package proxyroutes keeps the records that a reverse proxy serves, in Redis and in hipache's form, so that hipache or planb can serve them as
// they are:
//
//	frontend:<host>          list: an identifier, then backend URLs
//	dead:<host>              set of indexes into the list, counted from the first backend; expires
//	vitrine:revision:<host>  the revision of the last write; expires where the record was removed
//	vitrine:wildcard:<host>  the same for the wildcard that leads to the lobby
//	vitrine:version          the version of the vitrine: keys
//
// [Records] writes them, fenced by the revision, and keeps a [Table] of everything that Redis holds, foreign records too. While Redis is away the
// Table serves what it knew and what is written meanwhile; Redis gets that when it is back, and what it had of ours when it comes back without it.
package proxyroutes
