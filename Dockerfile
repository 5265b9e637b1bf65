# Wheels are built and installed in the first stage; the second holds only what runs.
# `make digests` pins it, and the images of compose.yaml, to what their tags name at the time.
ARG BASE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build
WORKDIR /source
COPY deploy/requirements.txt deploy/requirements-build.txt ./
COPY core core
COPY plugins plugins
# The environment has no pip of its own: nothing can be installed into a running container.
RUN export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    && python -m pip install --require-hashes --requirement requirements-build.txt \
    && python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./core ./plugins/* \
    && python -m venv --without-pip /opt/pegboard \
    && python -m pip --python /opt/pegboard/bin/python install --require-hashes \
        --requirement requirements.txt \
    && python -m pip --python /opt/pegboard/bin/python install --no-deps /wheels/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="Pegboard" \
      org.opencontainers.image.description="A Flask platform assembled from plugins" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/pegboard /opt/pegboard
COPY alembic /srv/pegboard/alembic
# Nothing is written to the file system: it may be read-only.
ENV PATH=/opt/pegboard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PEGBOARD_ENV=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    PEGBOARD_MANAGEMENT=9000
WORKDIR /srv/pegboard
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=270s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; port = os.environ['PEGBOARD_MANAGEMENT'].rpartition(':')[2]; urllib.request.urlopen(f'http://127.0.0.1:{port}/health/live', timeout=2)"]
ENTRYPOINT ["pegboard"]
CMD ["serve"]
