#!/usr/bin/env bash
# One stage of the work that wants a GPU. The stages are those of gpu/run.py.
exec "${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/run.py" "$@"
