# One image for every door: API, worker, sweeper, Flower, migrations, sandbox. docker-compose.yml says which.

FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements requirements
# The environment goes into the image without pip: nothing there installs anything.
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r requirements/container.lock
# What builds the wheel is checked by its hash, too, so it may not come from pip's build isolation.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements/dev.lock > setuptools.lock \
 && pip install --no-cache-dir --require-hashes -r setuptools.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

FROM python:3.13-slim
# The user has a number, not only a name: it owns the export volume, and a cluster can see that it is not root.
RUN groupadd --gid 10001 growth \
 && useradd --uid 10001 --gid growth --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin growth \
 && install --directory --mode 0700 --owner growth --group growth /exports
# Two layers: the large one changes with the lock file only.
COPY --from=build /opt/venv /opt/venv
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl
# Compiled above; at run time the file system is read-only, and logs are not held back.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 EXPORT_DIR=/exports
USER 10001:10001
CMD ["growth", "--help"]
