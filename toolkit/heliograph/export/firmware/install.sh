#!/bin/sh
# On a Raspberry Pi class device: install Heliograph into an environment of its own and encode one picture with it.
#   ./install.sh [ENVIRONMENT] [PICTURE]      default: ./environment, and the sample beside this script
# Needs Python 3.10 or later with venv (Debian: python3-venv) and a way to a package index for numpy, Pillow and the
# runtime; PIP_FIND_LINKS and PIP_NO_INDEX are honoured. PYTHON=... names another Python.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
environment=${1:-$here/environment}
picture=${2:-$here/sample.png}
python=${PYTHON:-python3}

machine=$(uname -m)
package=
for candidate in "$here"/heliograph-*-linux_"$machine".whl "$here"/heliograph-*.tar.gz; do
    if [ -z "$package" ] && [ -f "$candidate" ]; then package=$candidate; fi
done
[ -n "$package" ] || { echo "install: no heliograph package beside $0; copy the bundle again" >&2; exit 2; }
runtime=device
[ "$machine" = armv7l ] && runtime=device-tflite-runtime # 32-bit: LiteRT has no wheels for it

echo "install: $(basename "$package") with [$runtime] into $environment"
"$python" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$package[$runtime]"

"$environment/bin/heliograph" info "$here/codec"
name=$(basename "$picture")
"$environment/bin/heliograph" encode "$picture" -o "$here/${name%.*}.helio" --force --codec "$here/codec"
"$environment/bin/heliograph" info "$here/${name%.*}.helio"
echo "install: done. More pictures: $environment/bin/heliograph encode PICTURE... --codec $here/codec"
