# docker build --build-arg SOURCE_REVISION="$(git rev-parse HEAD)" --tag prober .
# buildah and podman: with --format docker, since OCI images have no health check.
#
# BASE is any Debian with or without Python (3.11 at least); Debian's own is installed where there is none.
# An index of packages other than pip's own: --secret id=pip.conf,src=$HOME/.config/pip/pip.conf
ARG BASE=debian:trixie-slim

FROM ${BASE} AS python
# Debian's security updates are wanted more than the same bytes.
# hadolint ignore=DL3008
RUN { { command -v python3 && command -v tini; } \
    || { apt-get update \
      && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
      && rm -rf /var/lib/apt/lists/*; }; } \
    && install --directory --owner=65532 --group=65532 --mode=0700 /var/lib/prober

FROM python AS build
# hadolint ignore=DL3008
RUN python3 -c "import ensurepip" \
    || { apt-get update \
      && apt-get install --yes --no-install-recommends python3-venv \
      && rm -rf /var/lib/apt/lists/*; }
WORKDIR /build
COPY requirements/build.txt requirements/runtime.txt requirements/
# Two environments: what builds stays here, and so does pip.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv tools \
    && python3 -m venv --without-pip /opt/prober \
    && tools/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary=:all: \
      --requirement requirements/build.txt \
    && tools/bin/pip --python /opt/prober/bin/python install --no-cache-dir --require-hashes --no-deps \
      --only-binary=:all: --requirement requirements/runtime.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY prober prober
ARG SOURCE_REVISION=unknown
RUN tools/bin/python -m hatchling build --target wheel \
    && tools/bin/pip --python /opt/prober/bin/python install --no-cache-dir --no-index --no-deps dist/*.whl \
    && tools/bin/pip --python /opt/prober/bin/python check \
    && find /opt/prober/bin -mindepth 1 ! -name prober ! -name "python*" -delete

FROM python
COPY --from=build /opt/prober /opt/prober
ARG SOURCE_REVISION=unknown
LABEL org.opencontainers.image.title="prober" \
      org.opencontainers.image.description="Synthetic health prober for the UiPath Communications Mining API" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.revision="${SOURCE_REVISION}"
ENV PROBER_WEB__LISTEN=:9824 \
    STATE_DIRECTORY=/var/lib/prober \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1
VOLUME /var/lib/prober
EXPOSE 9824
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["/opt/prober/bin/prober", "health", "--config", "/etc/prober/prober.yaml"]
# The kernel drops signals to a first process without handlers, and Python needs a while to set them.
# A prober that is ended before it has begun (143) is ended well.
ENTRYPOINT ["/usr/bin/tini", "-e", "143", "--", "/opt/prober/bin/prober"]
CMD ["run", "--config", "/etc/prober/prober.yaml"]
