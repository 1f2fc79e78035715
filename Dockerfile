# One image per command, for linux/amd64 and linux/arm64:
#
#     docker build --target orders .
#     make images          # all of them, for both
#
# All commands are compiled together in one stage, which the images share: the Kafka client is C and takes
# most of the time. That stage always runs on the builder's own platform and compiles for the other one,
# so that nothing is emulated.

FROM --platform=$BUILDPLATFORM golang:1.26.9-bookworm@sha256:d9c68c2c51161e12fd77e4c6320687c9cd86e1af1e3ad6e6cd63ff970641453c AS build
ARG BUILDARCH
ARG TARGETARCH
# hadolint ignore=DL3008 -- Debian serves only the newest version of a package, so a pin would break.
RUN [ "$BUILDARCH" = "$TARGETARCH" ] || { apt-get update \
    && apt-get install --yes --no-install-recommends \
      $([ "$TARGETARCH" = arm64 ] && echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross || echo gcc-x86-64-linux-gnu libc6-dev-amd64-cross) \
    && rm -rf /var/lib/apt/lists/*; }
WORKDIR /src
# With .git, so that the commands know their version: what is committed and not here would count as changed.
COPY . .
# -trimpath: the same source gives the same bytes wherever it lies. A worktree's .git points outside of what
# was copied, so nothing is stamped then.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    case "$TARGETARCH" in amd64) host=x86_64-linux-gnu ;; arm64) host=aarch64-linux-gnu ;; *) exit 1 ;; esac; \
    git rev-parse --quiet --verify HEAD >/dev/null 2>&1 || export GOFLAGS=-buildvcs=false; \
    CGO_ENABLED=1 GOARCH=$TARGETARCH CC=$host-gcc go build -trimpath -ldflags=-s -o /out/ \
      ./orders ./inventory ./orchestrator ./outbox-relay ./waybill ./migrations/cmd/migrate

# The C library of the same Debian as the build stage's, certificates and time zones, and nothing to run but
# the command: no shell and no package manager. For health checks each command asks itself
# (orders healthcheck). The root file system can be read-only: nothing is written to it.
FROM gcr.io/distroless/base-nossl-debian12:nonroot@sha256:be40c00dfabd86576d92666e87e406714d5618342de1a0c213ad232de255172e AS runtime
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
