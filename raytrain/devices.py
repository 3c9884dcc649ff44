"""How a process computes with TensorFlow: threads, GPU memory, precision."""

import contextlib
import functools
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from raytrain.errors import InputError
from raytrain.home import home_directory


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Imports TensorFlow and what comes with it in two thirds of the time.

    The garbage collector would search the growing heap over and over, and later again for every model
    that is built. In this block it stands still, and what has been imported it never searches again.
    """
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count():  # a later time: what is garbage by now would be kept for good
            gc.collect()
        gc.freeze()
        gc.enable()


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_up_tensorflow(
    threads: int, gpu_share: float | None, precision: str, side_by_side: bool = False
) -> None:
    """Prepares TensorFlow, before anything is built; where it was done before, the precision alone.

    Args:
        threads: As many as the process owns CPUs.
        gpu_share: Share of a card that it owns: its memory is held to that, or grown on demand where it
            is whole. None hides all cards: Ray lets a worker without GPUs see them.
        precision: As in `set_precision`.
        side_by_side: Runs a batch on each thread instead of one on all of them. Of predictions two threads
            so do twice as much as one; training takes its batches one after another.
    """
    _share_machine(threads, gpu_share, side_by_side)
    set_precision(precision)


@functools.cache
def _share_machine(threads: int, gpu_share: float | None, side_by_side: bool) -> None:
    """Keeps to a share of the machine; TensorFlow takes that once in a process."""
    if gpu_share:
        _set_xla_flags()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1 if side_by_side else threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads if side_by_side else 1)
    if gpu_share is None:
        tf.config.set_visible_devices([], "GPU")
        gpu_share = 0.0
    for gpu in tf.config.list_physical_devices("GPU") if gpu_share else []:
        if gpu_share < 1:
            limit = tf.config.LogicalDeviceConfiguration(
                memory_limit=int(_card_megabytes() * gpu_share * 0.9)
            )
            tf.config.set_logical_device_configuration(gpu, [limit])
        else:
            tf.config.experimental.set_memory_growth(gpu, True)


def _set_xla_flags() -> None:
    """Has XLA compile quickly, and keep what it compiled; what the user has set stays.

    TensorFlow reads the variables at its first operation. With the autotuner and Triton's products XLA took
    minutes for an encoder, for steps that were no faster.
    """
    _add_flags("XLA_FLAGS", "--xla_gpu_autotune_level=0", "--xla_gpu_enable_triton_gemm=false")
    with contextlib.suppress(OSError, InputError):  # then every process compiles for itself
        cache = home_directory() / "xla"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        _add_flags("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory={cache}")


def _add_flags(variable: str, *flags: str) -> None:
    """Appends to a variable of the environment the flags that it does not hold in whatever value."""
    held = os.environ.get(variable, "").split()
    names = {flag.partition("=")[0] for flag in held}
    os.environ[variable] = " ".join([*held, *(flag for flag in flags if flag.partition("=")[0] not in names)])


def predict_side_by_side() -> None:
    """Has a process that predicts, and does nothing else, run a batch on each CPU.

    Where the process has computed already, or there is a card, things stay as they are.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_inter_op_parallelism_threads(available_cpus())
        tf.config.threading.set_intra_op_parallelism_threads(1)


def set_precision(precision: str) -> None:
    """Multiplies in bfloat16 or float32; weights, losses, norms and poolings are float32 in both.

    By Keras's policy, which models take when they are built, on CPUs and cards alike.

    Args:
        precision: `float32`, `bfloat16`, or `auto`: bfloat16 where the hardware multiplies in it.
    """
    import tensorflow as tf

    cards = tf.config.get_visible_devices("GPU")
    fast = _cards_have_bfloat16(cards) if cards else cpu_has_bfloat16()
    wanted = {"float32": False, "bfloat16": True, "auto": fast}[precision]
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if wanted else "float32")


@contextlib.contextmanager
def in_precision(precision: str) -> Iterator[None]:
    """As `set_precision` while models are built; the caller's own models go on as they were."""
    import tensorflow as tf

    policy = tf.keras.mixed_precision.global_policy()
    set_precision(precision)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)


def compiles(wanted: Literal["auto"] | bool) -> bool:
    """Whether XLA compiles training steps.

    Args:
        wanted: `auto` for where there are cards: on CPUs its code is slower than TensorFlow's own.
    """
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU")) if wanted == "auto" else bool(wanted)


def compiles_predictions() -> bool:
    """Whether XLA compiles forward passes: where there are cards, as long as it can."""
    return compiles("auto") and _xla_works()


@functools.cache
def _xla_works() -> bool:
    """Whether XLA compiles anything here; for cards it needs CUDA's assembler and its mathematics."""
    import tensorflow as tf

    try:
        tf.function(lambda values: tf.tanh(values) + 1, jit_compile=True)(tf.zeros(8)).numpy()
    except tf.errors.OpError:
        return False
    return True


def _cards_have_bfloat16(cards: Sequence[Any]) -> bool:
    """Whether all of them multiply in it, as those from compute capability 8.0 on do."""
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(card) for card in cards]
    return all(card.get("compute_capability", (0, 0)) >= (8, 0) for card in details)


def grow_card_memory() -> None:
    """Takes memory of the visible cards as it is needed, not all of it at the start; sets XLA up.

    For a process that owns no share of a card and lives beside others on it. Where the process has computed
    already, things stay as they are.
    """
    import tensorflow as tf

    cards = tf.config.get_visible_devices("GPU")
    if cards:
        _set_xla_flags()
    with contextlib.suppress(RuntimeError):
        for card in cards:
            tf.config.experimental.set_memory_growth(card, True)


def has_bfloat16(on_cards: bool) -> bool:
    """Whether this machine's cards, or its processor, multiply in bfloat16; for cards their driver is asked.

    Args:
        on_cards: Whether its cards are meant, all that may be used.
    """
    if not on_cards:
        return cpu_has_bfloat16()
    try:
        told = _ask_driver("compute_cap", os.environ.get("CUDA_VISIBLE_DEVICES"))
        return bool(told) and all(float(capability) >= 8 for capability in told)
    except (OSError, ValueError, subprocess.CalledProcessError):  # a driver of old, or none of its tools
        import tensorflow as tf

        cards = tf.config.list_physical_devices("GPU")
        return bool(cards) and _cards_have_bfloat16(cards)


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Whether this machine's processor multiplies in bfloat16, as far as Linux tells."""
    try:
        flags = (
            Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split("flags", 2)[1].split()
        )
    except (OSError, IndexError):
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def card_memory() -> tuple[int, int] | None:
    """Most bytes that this process's tensors took of its card so far, and the card's; None without one."""
    import tensorflow as tf

    if not tf.config.get_visible_devices("GPU"):
        return None
    peak = int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return peak, _card_megabytes() << 20


def _card_megabytes() -> int:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return int(_ask_driver("memory.total", first)[0])


def _ask_driver(what: str, cards: str | None) -> list[str]:
    """What the cards' driver says of each of these cards, or of all, without units."""
    query = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    query += [] if not cards else [f"--id={cards}"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()


@contextlib.contextmanager
def hushed_stderr() -> Iterator[None]:
    """Drops what TensorFlow's C++ side says of missing GPUs at its start; no variable silences it."""
    try:
        descriptor = sys.__stderr__.fileno() if sys.__stderr__ else None
    except (OSError, ValueError):
        descriptor = None
    if descriptor is None:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(descriptor)
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), descriptor)
        try:
            yield
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)
