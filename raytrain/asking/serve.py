"""Answers over HTTP with ensemble artifacts, and shows a page to ask them by."""

import argparse
import contextlib
import math
import os
from importlib.util import find_spec

from raytrain.commands.shared import AS_PROGRAM, Named, check_least, describe
from raytrain.errors import ConfigError

EXAMPLES = """{serve} --ensemble runs/mine/ensemble
{serve} --ensemble runs/mine/ensemble --ensemble names=runs/tags/ensemble --replicas 2 --port 8080"""
WHEN_INTERRUPTED = "the service has ended"
NEEDED = ("starlette", "fastapi", "uvicorn")  # of the extra, beyond Ray's own


def main(arguments: list[str] | None = None, named: Named = AS_PROGRAM) -> None:
    """Parses, serves until SIGTERM or Ctrl-C, and answers what is in flight by then."""
    parser = _parser(named)
    options = parser.parse_args(arguments)
    from raytrain.serving.settings import unfit_gpus

    check_least(parser, options, replicas=1, max_queued=1, max_texts=1, max_chars=1)
    if not 1 <= options.port <= 65535:
        parser.error(f"--port: expected 1 to 65535, found {options.port}")
    if not (math.isfinite(options.cpus) and options.cpus > 0):
        parser.error("--cpus: expected a number above 0")
    if not (math.isfinite(options.gpus) and options.gpus >= 0):
        parser.error("--gpus: expected 0 or more")
    if problem := unfit_gpus(options.gpus):
        parser.error(f"--gpus: {problem}")
    serve(options)


def _parser(named: Named) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=named("serve"),
        description=describe(__doc__, EXAMPLES, named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--ensemble",
        required=True,
        action="append",
        metavar="[NAME=]DIR",
        help="an ensemble directory, or its URI; may be given several times",
    )
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (127.0.0.1: this machine only)")
    add("--port", type=int, default=8000, metavar="N", help="of it (8000)")
    add("--replicas", type=int, default=1, metavar="N", help="processes of each ensemble (1)")
    add("--cpus", type=float, default=1.0, metavar="X", help="CPUs of each replica (1)")
    add("--gpus", type=float, default=0.0, metavar="F", help="GPUs of each replica, or a share of one (0)")
    add("--max-queued", type=int, default=256, metavar="N", help="requests in hand; beyond: 429 (256)")
    add("--max-texts", type=int, default=256, metavar="N", help="texts of a request (256)")
    add("--max-chars", type=int, default=10_000, metavar="N", help="characters of a text (10000)")
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token-file", metavar="FILE", help="holds the token, private; default: a new one, told at the start"
    )
    token.add_argument("--no-token", action="store_true", help="ask for none; on the loopback only")
    return parser


def serve(options: argparse.Namespace) -> None:
    """Starts, says where it listens, and waits for the signal to end."""
    if any(find_spec(name) is None for name in NEEDED):
        raise ConfigError(
            "serving needs Ray Serve, which is not installed",
            ["install it with: pip install 'raytrain[serve]', or make serve"],
        )
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")  # read when Serve is imported
    from raytrain.serving.access import digest_of, keep_ray_apart

    keep_ray_apart()
    from rich.console import Console

    from raytrain.serving.questions import Limits
    from raytrain.serving.settings import ServeSettings, name_ensembles
    from raytrain.serving.start import start
    from raytrain.stages import Stages

    token = _token(options)
    settings = ServeSettings(
        name_ensembles(options.ensemble),
        options.replicas,
        options.cpus,
        options.gpus,
        Limits(options.max_texts, options.max_chars, options.max_queued),
        None if token is None else digest_of(token),
    )
    with Stages(Console(stderr=True)).stage("starting replicas") as stage:
        running = start(settings, options.host, options.port, stage)
    shown = f"[{options.host}]" if ":" in options.host else options.host
    print(f"serving {', '.join(settings.ensembles)} at http://{shown}:{options.port}/", flush=True)
    if token is not None and not options.token_file:
        print(f"token: {token}", flush=True)
    try:
        running.watch()
    except KeyboardInterrupt:
        left = running.stop()
        print(f"stopped; {f'{left} requests were' if left else 'no request was'} given up", flush=True)
    except BaseException:
        with contextlib.suppress(Exception):  # Serve may be what was lost
            running.end()
        raise


def _token(options: argparse.Namespace) -> str | None:
    """What is asked of clients; None where nothing is."""
    from raytrain.serving.access import is_loopback, make_token, read_token

    if options.no_token:
        if not is_loopback(options.host):
            raise ConfigError(f"--no-token: expected a --host of this machine only, found {options.host}")
        return None
    return read_token(options.token_file) if options.token_file else make_token()
