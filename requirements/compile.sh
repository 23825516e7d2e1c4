#!/usr/bin/env bash
# Make cpu.lock from cpu.in: every package of a CPU machine, pinned with hashes. Needs uv (pip install uv).
set -euo pipefail
cd "$(dirname "$0")"
options=(--override overrides.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 --quiet)
# torch and what only its CUDA build needs are installed by `make setup` from torch.txt, dependencies included
without=$(uv pip compile cpu.in "${options[@]}" --no-annotate --no-header | grep -oE '^(torch|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)' | sort -u | sed 's/^/--no-emit-package /')
# shellcheck disable=SC2086
uv pip compile cpu.in "${options[@]}" $without --generate-hashes --no-annotate --no-header --output-file cpu.lock "$@"
