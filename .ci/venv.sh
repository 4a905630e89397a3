# Sourced from the repository root: puts snnc with the extras named in $1 into .venv, and activates it.
# PYTHON names the interpreter (3.11 or later); constraints.txt fixes every version.
extras=$1
stamp=.venv/installed-${extras//,/-}
[ -x .venv/bin/python ] || "${PYTHON:-python3.11}" -m venv .venv
. .venv/bin/activate
if [ ! "$stamp" -nt pyproject.toml ] || [ ! "$stamp" -nt constraints.txt ]; then
    pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
    touch "$stamp"
fi
