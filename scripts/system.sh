#!/bin/sh
# Checks for the tools that building and setting up Seequel needs, and installs those Debian has if it may.
#
#     sh scripts/system.sh [--tests]     with what only the tests need
#
# As root on Debian or Ubuntu it installs what is missing with apt-get; elsewhere it prints what to run and exits 1.
set -eu

python_has() { python3 -c "$1" 2>/dev/null; }

packages=""
command -v cc >/dev/null || packages="$packages build-essential"
command -v make >/dev/null || packages="$packages make"
command -v cmake >/dev/null || packages="$packages cmake"
command -v nasm >/dev/null || packages="$packages nasm"
command -v python3 >/dev/null || packages="$packages python3"
python_has "import sys, importlib.util as u; sys.exit(u.find_spec('pip') is None)" || packages="$packages python3-pip"
# A test watches which files and sockets ONNX Runtime opens.
if [ "${1:-}" = --tests ] && [ "$(uname)" = Linux ]; then
    command -v strace >/dev/null || packages="$packages strace"
    # Tests end processes, and look for those that a process has started.
    command -v pgrep >/dev/null || packages="$packages procps"
fi

if [ -n "$packages" ]; then
    install="apt-get update && apt-get install --yes --no-install-recommends$packages"
    if ! command -v apt-get >/dev/null; then
        echo "system: missing, by Debian's names:$packages; install them with this machine's package manager" >&2
        exit 1
    elif [ "$(id -u)" -ne 0 ]; then
        echo "system: missing:$packages; install them with" >&2
        echo "    sudo sh -c '$install'" >&2
        exit 1
    fi
    echo "installing$packages"
    DEBIAN_FRONTEND=noninteractive sh -c "$install"
fi

if ! python_has "import sys; sys.exit(sys.version_info < (3, 11))"; then
    echo "system: $(python3 --version) is too old; Seequel's set-up needs Python 3.11 or newer as python3" >&2
    exit 1
fi

if ! command -v cargo >/dev/null; then
    echo "system: missing cargo; install Rust with rustup, then open a new shell so that cargo is on its PATH" >&2
    exit 1
fi

# The dashboard's tests look at it in a browser, and are left out where there is none. Ubuntu has no such package.
if [ "${1:-}" = --tests ] && [ "$(uname)" = Linux ] && [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
    packages=""
    command -v chromium >/dev/null || packages="$packages chromium"
    command -v node >/dev/null || packages="$packages nodejs"
    command -v npm >/dev/null || packages="$packages npm"
    install="apt-get update && apt-get install --yes --no-install-recommends$packages"
    if [ -n "$packages" ] && [ "$(id -u)" -ne 0 ]; then
        echo "system: the tests in a browser are left out; they need$packages:" >&2
        echo "    sudo sh -c '$install'" >&2
    elif [ -n "$packages" ]; then
        echo "installing$packages"
        DEBIAN_FRONTEND=noninteractive sh -c "$install" ||
            echo "system:$packages could not be installed; the tests in a browser are left out" >&2
    fi
fi
