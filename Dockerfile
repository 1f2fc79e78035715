# One image a command:
#
#     docker build --target orders .
#
# All commands are compiled together in one stage, which the six images share: the Kafka client is
# C and takes most of the time, and is compiled once.

FROM golang:1.26.7-bookworm@sha256:6ef6e30f0ea5c384f6d111cf856e024e3086bbdcb1779da3f3b3fbba0aea53d2 AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags=-s -o /out/ \
      ./orders ./inventory ./orchestrator ./outbox-relay ./waybill ./migrations/cmd/migrate

# The commands are linked against the C library of the build stage, so this is the same Debian.
# The certificates are for a broker or a database behind TLS. Nothing here is for health checks: each
# command asks itself (orders healthcheck).
FROM debian:12.15-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171 AS runtime
# hadolint ignore=DL3008 -- Debian serves only the newest version of a package, so a pin would break.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
USER 65532:65532

FROM runtime AS orders
COPY --from=build /out/orders /usr/local/bin/
ENTRYPOINT ["orders"]

FROM runtime AS inventory
COPY --from=build /out/inventory /usr/local/bin/
ENTRYPOINT ["inventory"]

FROM runtime AS orchestrator
COPY --from=build /out/orchestrator /usr/local/bin/
ENTRYPOINT ["orchestrator"]

FROM runtime AS outbox-relay
COPY --from=build /out/outbox-relay /usr/local/bin/
ENTRYPOINT ["outbox-relay"]

FROM runtime AS waybill
COPY --from=build /out/waybill /usr/local/bin/
ENTRYPOINT ["waybill"]

FROM runtime AS migrate
COPY --from=build /out/migrate /usr/local/bin/
ENTRYPOINT ["migrate"]
