# One image for all services: API, worker, sweeper, Flower, migrations and sandbox. docker-compose.yml has the commands.

FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements requirements
# The virtual environment in the image has no pip: nothing is installed at run time.
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r requirements/container.lock
# The build backend is checked by its hash too, so it must not come from pip's build isolation.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements/dev.lock > setuptools.lock \
 && pip install --no-cache-dir --require-hashes -r setuptools.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

FROM python:3.13-slim
# A numeric user id: it owns the export volume, and Kubernetes can verify that it is not root.
RUN groupadd --gid 10001 growth \
 && useradd --uid 10001 --gid growth --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin growth \
 && install --directory --mode 0700 --owner growth --group growth /exports
# Two layers: the large one changes only with the lock file.
COPY --from=build /opt/venv /opt/venv
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl
# Bytecode is compiled above, and the file system is read-only at run time. Logs are not buffered.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 EXPORT_DIR=/exports
USER 10001:10001
CMD ["growth", "--help"]
