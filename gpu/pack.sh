#!/usr/bin/env bash
# Pack .gpu/: what a GPU node without internet lacks. The options are those of gpu/pack.py.
exec "${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/pack.py" "$@"
