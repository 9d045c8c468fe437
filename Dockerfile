# docker build -t vitrine .
#
# docker run --network host -v /var/run/docker.sock:/var/run/docker.sock -v vitrine:/var/lib/vitrine --env-file vitrine.env vitrine
#
# vitrine.env holds the settings, VITRINE_GITHUB_APP_ID and the others that README.md lists.
# The host's network, because the proxy reaches previews at their containers' addresses and the engine reaches the embedded registry at
# 127.0.0.1. No user of its own: whoever may use the engine's socket is root on the host already.

FROM golang:1.26 AS build
ARG GOPROXY
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /vitrine ./cmd/vitrine

FROM alpine:3
RUN apk add --no-cache ca-certificates git
COPY --from=build /vitrine /usr/local/bin/vitrine
ENV VITRINE_LISTEN=0.0.0.0:8080 VITRINE_DATA=/var/lib/vitrine
VOLUME /var/lib/vitrine
EXPOSE 8080
ENTRYPOINT ["vitrine"]
CMD ["serve"]
