"""Runs the service until it is told to end."""

from __future__ import annotations

import gc
import logging
import signal
from dataclasses import replace
from os import environ
from typing import Any

import uvicorn

from exit_pipeline.profile import Profile
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.log import log_config
from exit_pipeline.serving.service import Options, Service
from exit_pipeline.settings import Settings

# What requests take and free stays here, or each would get its pages from the system anew.
FREED = 64 << 20
# MLflow's own would keep a service from listening for minutes while its registry is away.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's; what stands when it begins to answer is passed over by collections of garbage.

    Half a million objects of libraries are looked at in each full collection else: 0.5 s, in which
    nobody is answered.
    """

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        """Starts the application, then listens."""
        await super().startup(*args, **kwargs)
        gc.collect()
        gc.freeze()
        gc.collect()  # how much stood at the last one decides when the next is due


def serve(settings: Settings, profile: Profile, options: Options, host: str, port: int) -> None:
    """Serves on host and port; at SIGTERM or SIGINT it answers what it began, then returns.

    Args:
        settings: Limits, times and threads.
        profile: The data set.
        options: How the service is started.
        host: Where to listen.
        port: Where to listen.
    """
    import torch

    from exit_pipeline.training.device import keep_freed

    for name, value in PATIENCE.items():
        environ.setdefault(name, value)
    torch.set_num_threads(1)  # requests run beside each other; one of them is small
    keep_freed(FREED)
    private = host in LOOPBACK or bool(settings.api_key)
    # Without a key, a page elsewhere whose name is turned to this machine must not get through.
    names = (*LOOPBACK, "[::1]") if host in LOOPBACK and not settings.api_key else ()
    options = replace(options, examples=private, hosts=names)
    config = uvicorn.Config(
        make_app(Service(settings, profile, options)), host=host, port=port,
        log_config=log_config(), access_log=False, server_header=False,
        timeout_graceful_shutdown=round(settings.serve_timeout + 3),
    )  # fmt: skip
    if not private:
        log.warning("listens beyond this machine without a key: set EXIT_API_KEY")
    for one in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises it once more when it is done
        signal.signal(one, lambda *_: None)
    Server(config).run()
