#!/bin/sh
# Run by the Dockerfile: install lock files into the environment of the image. `install.sh [--torch cpu|cuda] FILE...`
#
# pip's settings and certificates come as build secrets, where there are any, and stay out of the image.
set -eu
build=/tmp/build
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
if [ -s "$build/pip.conf" ]; then export PIP_CONFIG_FILE="$build/pip.conf"; fi

install() {
    /usr/local/bin/python -m pip --python /opt/venv install --quiet --require-hashes --no-deps \
        --only-binary :all: --compile "$@"
}

install_torch() {
    # A CPU build at hand comes before the index's, which is made for CUDA on most platforms.
    if [ "$1" = cpu ] && ls "$build"/wheels/torch-*.whl >/dev/null 2>&1; then
        install --no-index --find-links "$build/wheels" -r "$build/torch.txt"
    else
        install -r "$build/torch.txt"
    fi
    kind='import pathlib, runpy, sysconfig as s
version = runpy.run_path(str(pathlib.Path(s.get_path("purelib"), "torch", "version.py")))
print("cuda" if version["cuda"] else "cpu")'
    found=$(/opt/venv/bin/python -c "$kind")
    if [ "$found" != "$1" ]; then
        echo "images: this is a build of torch for $found, where one for $1 is wanted." >&2
        echo "images: name a folder with the wheel of torch's CPU build (make images WHEELS=folder)," >&2
        echo "images: or an index that serves it in pip's settings; or build for cuda." >&2
        exit 1
    fi
}

if [ "$1" = --torch ]; then
    install_torch "$2"
    shift 2
fi
for file in "$@"; do
    # A stage may need nothing beyond what the layers below it hold.
    if grep -q == "$build/$file"; then install -r "$build/$file"; fi
done
