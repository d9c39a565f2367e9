"""Running a backend."""
import anyio


def run(func, args, settings):
    return anyio.run(func, *args, backend=str(settings.backend), backend_options=dict(settings.backend_options or {}))
