#!/usr/bin/env bash
# link-programs.sh FOLDER PROGRAM... - link programs of venv/ into FOLDER (on the PATH); prints nothing if they exist.
set -euo pipefail

folder=$1; shift
for program in "$@"; do
  link=$folder/$(basename "$program")
  [ "$(readlink "$link" 2>/dev/null)" != "$program" ] || continue
  if [ -e "$link" ] && [ ! -L "$link" ]; then
    echo "make: $link exists and is not a link; left unchanged. The program is $program" >&2
    continue
  fi
  sudo=()
  if [ ! -w "$folder" ]; then
    command -v sudo >/dev/null || { echo "make: cannot write to $folder; the program is $program" >&2; continue; }
    sudo=(sudo)
  fi
  "${sudo[@]}" ln -sfn "$program" "$link"
  echo "make: $link -> $program"
done
