package world

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// roleVariable turns this binary into the one that a Serve runs.
const roleVariable = "VITRINE_BENCH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch address, role := os.Getenv("VITRINE_LISTEN"), os.Getenv(roleVariable); role {
	case "ends":
		fmt.Println("no such setting")
		os.Exit(1)
	case "answers":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		go func() {
			fmt.Println(http.ListenAndServe(address, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			os.Exit(1)
		}()
		<-stop
		fmt.Println("stopped")
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
