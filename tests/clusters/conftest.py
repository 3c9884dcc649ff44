"""Clusters of their own: the local Ray of whole runs ends first, and comes no more."""

import pytest
import ray


@pytest.fixture(scope="session", autouse=True)
def without_local_ray():
    ray.shutdown()
