# Sourced from the repository root: puts snnc with the extras named in $1 into .venv, and activates it.
# PYTHON names the interpreter (3.11 or later); constraints.txt fixes every version.
extras=$1
stamp=.venv/installed-${extras//,/-}
if [ ! -x .venv/bin/python ]; then
    python=${PYTHON:-}
    for name in python3.11 python3.12 python3.13 python3; do
        [ -n "$python" ] || ! "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null ||
            python=$name
    done
    [ -n "$python" ] || { echo "Python 3.11 or later is needed; PYTHON=/path/to/it names one" >&2; exit 1; }
    "$python" -m venv .venv
fi
. .venv/bin/activate
if [ ! "$stamp" -nt pyproject.toml ] || [ ! "$stamp" -nt constraints.txt ]; then
    echo "installing snnc[$extras] in .venv; the first time this takes a minute and the downloads" >&2
    pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
    touch "$stamp"
fi
