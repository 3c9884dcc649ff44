"""What went wrong with the Hugging Face hub, and what to do about it."""

import errno
import traceback
from pathlib import Path

import raytrain
from raytrain.config.hub_address import HubAddress
from raytrain.errors import CheckpointError
from raytrain.hub.known import nearest_repository

_TOKEN = "a token: HF_TOKEN=hf_…, or `hf auth login`, which keeps one in a file"
_OTHER_HUB = "where that place cannot be reached, HF_ENDPOINT names a mirror; or name a directory"
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP's, of what is too busy or fails for a while


def is_passing(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return False
    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code in PASSING
    return _is_of_the_connection(error)


def tell_failure(error: Exception, address: HubAddress, endpoint: str, cache: Path) -> CheckpointError:
    """One message of ours for whatever huggingface_hub raised.

    Args:
        error: What it raised.
        address: What was asked for.
        endpoint: The hub's address.
        cache: Where its files were to lie.
    """
    if _is_unforeseen(error):
        return _unforeseen(error, address)
    return _tell_foreseen(error, address, endpoint, cache)


def _tell_foreseen(error: Exception, address: HubAddress, endpoint: str, cache: Path) -> CheckpointError:
    from huggingface_hub import errors

    place = f"{address}: {endpoint}/{address.repository}"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.GatedRepoError):
        advice = f"agree to its terms on {endpoint}/{address.repository}, then give {_TOKEN}"
        return CheckpointError(f"{place} is gated (HTTP {status})", [advice])
    if isinstance(error, errors.RepositoryNotFoundError):
        return _no_repository(place, address, endpoint)
    if isinstance(error, errors.RevisionNotFoundError):
        advice = "expected a branch, a tag or the full name of a commit of it; without @ it is main"
        return CheckpointError(f"{place} has no revision {address.revision!r}", [advice])
    if isinstance(error, errors.DisabledRepoError):
        return CheckpointError(f"{place} is disabled by its hub", ["take another encoder"])
    if status in (401, 403):
        return CheckpointError(f"{place}: access is refused (HTTP {status})", [f"it takes {_TOKEN}"])
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        advice = "unset HF_HUB_OFFLINE to fetch it, or give a directory"
        return CheckpointError(f"{place}: a file is not in {cache}, and nothing is fetched now", [advice])
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "free some, or set HF_HUB_CACHE to a directory on another disk"
        return CheckpointError(f"{cache}: the disk is full", [advice])
    if isinstance(error, errors.FileMetadataError | ValueError | KeyError | TypeError | AttributeError):
        told = f"{endpoint}: does not answer as a Hugging Face hub does: {type(error).__name__}"
        return CheckpointError(
            f"{address}: {told}", ["look at HF_ENDPOINT and at proxies", _first_line(error)]
        )
    if isinstance(error, OSError) and status is None and not _is_of_the_connection(error):
        reason = error.strerror or _first_line(error)
        advice = "HF_HUB_CACHE names another directory than this one"
        return CheckpointError(f"{address}: {cache} cannot be used: {reason}", [advice])
    reason = f"HTTP {status}" if status is not None else _first_line(error)
    return CheckpointError(f"{address}: {endpoint} cannot be reached: {reason}", [_OTHER_HUB])


def _is_unforeseen(error: Exception) -> bool:
    """Whether neither the network, the disk nor what the hub answered explains it: a fault of a program.

    What is raised within raytrain, such as by a call with a wrong argument, is of raytrain whatever its type.
    """
    from huggingface_hub import errors

    names = {kind.__name__ for kind in type(error).__mro__}  # httpx's, as in `_is_of_the_connection`
    if isinstance(error, OSError) or names & {"HfHubHTTPError", "HTTPError", "InvalidURL"}:
        return False
    if _place(error).startswith(f"{Path(raytrain.__file__).parent}/"):
        return True
    is_of_an_answer = errors.FileMetadataError | ValueError | KeyError | TypeError | AttributeError
    return not isinstance(error, is_of_an_answer)


def _unforeseen(error: Exception, address: HubAddress) -> CheckpointError:
    place = f" at {where}" if (where := _place(error)) else ""
    told = f"{type(error).__name__}{place}: {_first_line(error)}"
    advice = "this is no fault of the network: please report it with this message, or give a directory"
    return CheckpointError(f"{address}: cannot be fetched: unforeseen {told}", [advice])


def _place(error: Exception) -> str:
    """The file and the line where it was raised; nothing where it was not."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _no_repository(place: str, address: HubAddress, endpoint: str) -> CheckpointError:
    """The hub answers alike for what is not there and for what is private."""
    other = _other_type(address, endpoint)
    if other is not None:
        advice = f"it is a {other} of that name; an encoder lies in a model's repository"
        return CheckpointError(f"{place}: no repository of a model", [advice])
    near = nearest_repository(address.repository)
    problems = [f"did you mean hf:{near}?"] if near and near != address.repository else []
    problems += ["look at the name: capitals count", f"if it is private, it takes {_TOKEN}"]
    return CheckpointError(f"{place}: no such repository, or a private one", problems)


def _other_type(address: HubAddress, endpoint: str) -> str | None:
    """`dataset` or `space` where there is one of that name."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint)
    for kind in ("dataset", "space"):
        try:
            if api.repo_exists(address.repository, repo_type=kind):
                return kind
        except Exception:  # it would only have made the message better
            return None
    return None


def _is_of_the_connection(error: Exception) -> bool:
    """Whether it is httpx's, or the system's of a socket.

    httpx's transport errors have their own root, which huggingface_hub does not give a name to.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, ConnectionError | TimeoutError) or "TransportError" in names


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
