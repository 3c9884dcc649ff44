"""Clusters of their own: the local Ray of whole runs ends before each file of them."""

import pytest
import ray


@pytest.fixture(scope="module", autouse=True)
def without_local_ray():
    ray.shutdown()
