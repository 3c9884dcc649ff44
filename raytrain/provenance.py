"""What computed a result: node, device, package versions."""

import platform
import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import ray

PACKAGES = (
    *("raytrain", "ray", "tensorflow", "tf-keras", "bert4keras", "jieba", "tokenizers", "pyarrow"),
    "scikit-learn",
)


def package_versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on; what is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_worker(device: str | None = None) -> dict[str, Any]:
    """Node, device and versions of this process.

    Args:
        device: None takes what TensorFlow computes on, after `devices.set_up_tensorflow`.
    """
    context = ray.get_runtime_context()
    return {
        "node": {
            "id": context.get_node_id(),
            "host": socket.gethostname(),
            "address": ray.util.get_node_ip_address(),
        },
        "device": device or device_name(),
        "packages": package_versions(),
    }


def device_name() -> str:
    """The card that TensorFlow computes on, or this machine's processor."""
    import tensorflow as tf

    cards = tf.config.get_visible_devices("GPU")
    if cards:
        details = tf.config.experimental.get_device_details(cards[0])
        return str(details.get("device_name", cards[0].name))
    return processor_name()


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model as Linux tells it, else as Python does."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
