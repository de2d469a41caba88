# Stillup in one image: `manage.py up` by default, or one process with `web`, `worker`, `notifier`.

FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.lock .
RUN python -m venv /opt/stillup \
    && /opt/stillup/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock

FROM python:3.11-slim-bookworm
ENV PATH=/opt/stillup/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STILLUP_DATA_DIR=/data
COPY --from=build /opt/stillup /opt/stillup
WORKDIR /app
COPY . .
# Compiled here, because the running user can't write below /app.
RUN PYTHONDONTWRITEBYTECODE= python -m compileall -q checks monitoring \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["python", "manage.py"]
CMD ["up", "--host", "0.0.0.0"]
