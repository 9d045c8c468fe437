// Command chatter is the service of a preview that prints what it should not: a word that it is given and the secret of its environment. Then it answers at
// port 8080.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	fmt.Printf("%s, of %s\n", os.Args[1], os.Getenv("STRIPE_KEY"))
	log.Fatal(http.ListenAndServe(":8080", http.NotFoundHandler()))
}
