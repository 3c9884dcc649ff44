# The image of cluster.yaml and kuberay.yaml: the environment of requirements.lock, and raytrain.
# EXTRAS are targets of the Makefile: gpu (CUDA libraries), aws (for `ray up`), serve; none where the folds run on CPUs.
#
#   docker build --build-arg EXTRAS="gpu aws" --tag registry.example.com/raytrain:0.1.0 .
FROM python:3.11-slim-bookworm

ARG EXTRAS=""

# ssh and rsync: by them the head starts its workers. wget: by it KubeRay asks whether a node is well.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends make openssh-client rsync wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --shell /bin/bash ray

WORKDIR /home/ray/app

# The environment before the code, so that a change of code installs nothing anew. It is the image's own Python:
# the login shells in which Ray starts its nodes would not keep a PATH to another.
COPY Makefile pyproject.toml README.md requirements.lock requirements-gpu.lock requirements-aws.lock requirements-serve.lock requirements-export.lock ./
COPY raytrain/__init__.py raytrain/
RUN make install ${EXTRAS} VENV=/usr/local

COPY raytrain raytrain
COPY jobs jobs
RUN python -m compileall -q raytrain && mkdir /home/ray/.ray && chown -R ray:ray /home/ray

USER ray

# HOME is read from here by `ray up`; the NVIDIA_* ones by NVIDIA's container runtime.
ENV HOME=/home/ray \
    RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

CMD ["bash"]
