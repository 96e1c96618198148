"""The secrets of an installation: which there are, who may read each, and making them at random.

The container stack keeps them in one volume with a folder for each audience; a service sees only
its own folder. A value given in ``.env`` goes before a random one, and a value once made stays. The
no-Docker mode needs only a few, below ``<home>/secrets``.

    python -m installation.secrets generate FOLDER   # the stack's one-shot job
    python -m installation.secrets rotate NAME … FOLDER  # new random values
    python -m installation.secrets env [FILE]        # `make secrets`: random values into .env
    python -m installation.secrets show NAME FOLDER  # one value, for an administrator
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import ConfigurationError, LakehouseError
from lakehouse.settings import PLACEHOLDERS

#: The object store refuses shorter ones, and anything shorter can be guessed.
MINIMUM_LENGTH = 8
_AFTER_A_NEW_PRIVACY_KEY = (
    "secrets: every key in the marts is made of PRIVACY_KEY. Have all of them made anew, or the marts\n"
    "         hold keys of both: docker compose run --rm lakehouse run --full-refresh\n"
)
#: Holds every secret; only the job that makes them sees it.
KEEPER = "keeper"


@dataclass(frozen=True)
class Secret:
    """One secret. ``fixed`` is its value where it is a name rather than a secret proper."""

    name: str
    audiences: tuple[str, ...]
    about: str
    #: Who gets it from the job that brings it into the store it opens: what they have always opens it.
    handed_to: tuple[str, ...] = ()
    fixed: str | None = None
    optional: bool = False
    #: Whether its audiences get the value before this one too: it still opens what knows no new one.
    keeps_former: bool = False

    @property
    def file_name(self) -> str:
        return self.name.lower()

    def make(self) -> str:
        if self.fixed is not None:
            return self.fixed
        return "" if self.optional else secrets.token_urlsafe(24)


SECRETS: tuple[Secret, ...] = (
    Secret(
        "POSTGRES_ADMIN_PASSWORD",
        ("postgres", "databases"),
        "Postgres superuser; only the set-up job uses it",
        keeps_former=True,
    ),
    Secret(
        "LAKEHOUSE_DB_PASSWORD",
        ("databases",),
        "Postgres role of the platform",
        handed_to=("platform",),
    ),
    Secret(
        "DAGSTER_DB_PASSWORD",
        ("databases",),
        "Postgres role of Dagster",
        handed_to=("platform", "dagster"),
    ),
    Secret(
        "SUPERSET_DB_PASSWORD",
        ("databases",),
        "Postgres role of Superset",
        handed_to=("superset",),
    ),
    Secret(
        "BI_READER_PASSWORD",
        ("databases",),
        "Postgres role that reads marts and operations views only",
        handed_to=("superset", "hub"),
    ),
    Secret(
        "MINIO_ROOT_USER",
        ("minio", "buckets"),
        "object store administrator",
        fixed="administrator",
    ),
    Secret(
        "MINIO_ROOT_PASSWORD",
        ("minio", "buckets"),
        "object store administrator's password",
        keeps_former=True,
    ),
    Secret(
        "OBJECT_STORE_ACCESS_KEY",
        ("buckets",),
        "object store user of the platform",
        handed_to=("platform",),
        fixed="lakehouse",
    ),
    Secret("OBJECT_STORE_SECRET_KEY", ("buckets",), "its secret key", handed_to=("platform",)),
    Secret(
        "DAGSTER_STORE_ACCESS_KEY",
        ("buckets",),
        "object store user of Dagster's compute logs",
        handed_to=("platform", "dagster"),
        fixed="dagster-logs",
    ),
    Secret(
        "DAGSTER_STORE_SECRET_KEY",
        ("buckets",),
        "its secret key",
        handed_to=("platform", "dagster"),
    ),
    Secret("PRIVACY_KEY", ("platform",), "key of the hashes that stand for identifiers"),
    Secret("WEBHOOK_URL", ("platform",), "receives failures as JSON", optional=True),
    Secret(
        "SUPERSET_SECRET_KEY",
        ("superset",),
        "signs Superset's sessions, encrypts what people store in it",
        keeps_former=True,
    ),
    Secret("SUPERSET_ADMIN_PASSWORD", ("superset-users", "logins"), "Superset user admin"),
    Secret("SUPERSET_ANALYST_PASSWORD", ("superset-users", "logins"), "Superset user analyst"),
    Secret("SUPERSET_VIEWER_PASSWORD", ("superset-users", "logins"), "Superset user viewer"),
    Secret("PROXY_PASSWORD", ("proxy", "logins"), "login of the optional proxy, user lakehouse"),
)


@dataclass(frozen=True)
class Credential:
    """One login of a person: where, as whom, with what."""

    service: str
    address: str
    user: str
    password: str


def generate(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write each secret into the folder of each of its audiences; returns where each came from.

    Folders of those who get theirs from a set-up job are made too: a container mounts them before.

    The value is the environment's, else the one made before, else random (``environment``,
    ``kept``, ``made``). Raises :class:`ConfigurationError` with the name of a variable that holds a
    placeholder or is too short.
    """
    origins = {}
    for secret in SECRETS:
        value, origins[secret.name] = _value(secret, folder, environ)
        _spread(secret, value, folder)
    return origins


def rotate(name: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Give one secret a new random value; raises as :func:`rotatable` does."""
    secret = rotatable(name, environ)
    _spread(secret, secret.make(), folder)


def rotatable(name: str, environ: Mapping[str, str]) -> Secret:
    """The secret of this name, whose value is made here.

    Raises :class:`ConfigurationError` where there is no such secret, or where ``.env`` names its
    value: that goes before any other, so it has to change there.
    """
    secret = next((one for one in SECRETS if one.name == name), None)
    if secret is None or secret.fixed is not None or secret.optional:
        known = ", ".join(s.name for s in SECRETS if s.fixed is None and not s.optional)
        raise ConfigurationError(f"{name} is no secret that is made here.", hint=f"One of {known}.")
    if environ.get(name, "").strip():
        raise ConfigurationError(
            f"{name} is set in .env, which goes before a value made here.",
            hint=f"Change {name} in .env, then `docker compose up -d --wait`.",
        )
    return secret


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """What ``.env`` says of secrets, from the file that GIVEN_VALUES names: a line ``NAME=value`` for each.

    A container's environment is shown to whoever may inspect it, so the container stack hands the
    values over in a file. Raises :class:`ConfigurationError` where a line is none of a secret.
    """
    names = {secret.name for secret in SECRETS}
    values = {}
    for line in Path(environ["GIVEN_VALUES"]).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name not in names:
            raise ConfigurationError(
                "A secret in .env has more than one line.",
                hint="Write each on one line, without a line break inside its quotes.",
            )
        values[name] = value
    return values


def _spread(secret: Secret, value: str, folder: Path) -> None:
    """Write a secret where it is kept and where each audience reads it."""
    kept = _file_text(folder / KEEPER / secret.file_name)
    for audience in (KEEPER, *secret.audiences, *secret.handed_to):
        (folder / audience).mkdir(mode=0o750, parents=True, exist_ok=True)
    for audience in (KEEPER, *secret.audiences):
        directory = folder / audience
        if secret.keeps_former and kept not in (None, value):
            write(directory / f"{secret.file_name}.former", str(kept))
        write(directory / secret.file_name, value)


def hand_out(folder: Path, values: Mapping[str, str]) -> None:
    """Give secrets, by name, to those who get them from a set-up job: once the store takes them."""
    for secret in SECRETS:
        if secret.name in values:
            for audience in secret.handed_to:
                write(folder / audience / secret.file_name, values[secret.name])


def _value(secret: Secret, folder: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    given = environ.get(secret.name, "").strip()
    if given:
        refuse_placeholder(secret.name, given)
        if secret.fixed is None and len(given) < MINIMUM_LENGTH:
            raise ConfigurationError(
                f"{secret.name} is too short.",
                hint=f"Use {MINIMUM_LENGTH} characters or more; `make secrets` makes a random one.",
            )
        if "$" in given:
            raise ConfigurationError(
                f"{secret.name} holds a dollar sign.",
                hint="Docker Compose reads `$` in .env as the beginning of a variable's name, so the"
                " value may not be the one you wrote. Use another character.",
            )
        return given, "environment"
    kept = folder / KEEPER / secret.file_name
    if kept.exists() and (value := kept.read_text(encoding="utf-8").strip()):
        return value, "kept"
    return secret.make(), "made"


def former(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of ``name`` before the present one, where it is kept beside its file."""
    path = environ.get(f"{name}_FILE", "").strip()
    return _file_text(Path(f"{path}.former")) if path else None


def refuse_placeholder(name: str, value: str) -> None:
    """Raise :class:`ConfigurationError` when ``value`` is one that people forgot to replace."""
    if value.strip().lower() in PLACEHOLDERS:
        raise ConfigurationError(
            f"{name} is still a placeholder.",
            hint=f"Set {name} to a random value, or leave it empty to have one made.",
        )


def write(path: Path, value: str) -> None:
    """Replace the secret in ``path`` in one step: who reads meanwhile gets the old or the new value."""
    if path.exists() and path.read_text(encoding="utf-8") == value:
        return
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o440)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
    temporary.replace(path)


def read(name: str, environ: Mapping[str, str], default: str | None = None) -> str:
    """The value of ``name``, or of the file that ``<name>_FILE`` names.

    Raises :class:`ConfigurationError` with the variable's name when neither is set (and there is
    no ``default``), when the file cannot be read, or when the value is a placeholder.
    """
    value = environ.get(name, "").strip()
    path = environ.get(f"{name}_FILE", "").strip()
    if not value and path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(
                f"{name}_FILE names a file that cannot be read ({error.strerror}).",
                hint="Check the path and that this user may read it.",
            ) from error
    if not value:
        if default is not None:
            return default
        raise ConfigurationError(f"{name} is missing.", hint=f"Set {name} or {name}_FILE.")
    refuse_placeholder(name, value)
    return value


def write_env_file(path: Path, example: Path) -> list[str]:
    """Fill the empty secrets of ``path`` (or a copy of ``example``) with random values.

    The file gets mode 600; values that are there stay. Returns the names that were filled.
    """
    known = {secret.name: secret for secret in SECRETS}
    text = (path if path.exists() else example).read_text(encoding="utf-8")
    filled, lines = [], []
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        secret = known.get(name.strip())
        if secret and separator and not value.strip():
            value = secret.make()
            if value:
                filled.append(secret.name)
                line = f"{secret.name}={value}"
        lines.append(line)
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    temporary.replace(path)
    return filled


def logins_folder(home: Path) -> Path:
    """Where the logins of people are kept: a folder of the secrets' volume, else one of the home."""
    return Path(os.environ.get("LAKEHOUSE_LOGINS", home / "secrets"))


def credentials(folder: Path, addresses: Mapping[str, str]) -> list[Credential]:
    """The logins of people, from the files in ``folder`` (absent ones are left out).

    ``addresses`` gives the address of each service by its name: superset, console, proxy.
    """
    logins = (
        ("Superset", "superset", "admin", "SUPERSET_ADMIN_PASSWORD"),
        ("Superset", "superset", "analyst", "SUPERSET_ANALYST_PASSWORD"),
        ("Superset", "superset", "viewer", "SUPERSET_VIEWER_PASSWORD"),
        ("Proxy", "proxy", "lakehouse", "PROXY_PASSWORD"),
    )
    found = []
    for service, key, user, password_name in logins:
        password = _file_text(folder / password_name.lower())
        if password is None or key not in addresses:
            continue
        found.append(Credential(service, addresses[key], user, password))
    return found


def _file_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["generate", folder]:
            origins = generate(Path(folder), given(os.environ))
            for origin in ("environment", "kept", "made"):
                count = sum(1 for value in origins.values() if value == origin)
                sys.stdout.write(f"secrets: {count} {origin}\n")
        case ["rotate", *names, folder] if names:
            values = given(os.environ)
            for name in names:  # all or none
                rotatable(name, values)
            for name in names:
                rotate(name, Path(folder), values)
                sys.stdout.write(f"secrets: {name} is new\n")
            if "PRIVACY_KEY" in names:
                sys.stdout.write(_AFTER_A_NEW_PRIVACY_KEY)
        case ["env", *rest]:
            path = Path(rest[0] if rest else ".env")
            filled = write_env_file(path, path.with_name(".env.example"))
            sys.stdout.write(f"{path}: {len(filled)} random secrets written, mode 600\n")
        case ["show", name, folder]:
            value = _file_text(Path(folder) / KEEPER / name.lower())
            if value is None:
                raise ConfigurationError(
                    f"{name} is no secret of this stack.",
                    hint="One of " + ", ".join(secret.name for secret in SECRETS),
                )
            sys.stdout.write(f"{value}\n")
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
