"""Make the secrets that compose.yaml reads, in deploy/secrets/; what is there is kept."""

import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "secrets"


def make(folder: Path) -> None:
    """Make the secrets that the folder does not have.

    The folder is closed to other users, its files are not: a container's user has to read them
    through the mount of each one.
    """
    folder.mkdir(mode=0o700, exist_ok=True)

    def keep(name: str, value: str) -> str:
        path = folder / name
        if not path.exists():
            path.write_text(value, encoding="utf-8")
            path.chmod(0o444)
            print(f"made {path}")
        return path.read_text(encoding="utf-8")

    keep("secret_key", secrets.token_urlsafe(48))
    keep("postgres_password", secrets.token_urlsafe(32))
    for role in ("owner", "service"):
        password = keep(f"{role}_password", secrets.token_urlsafe(32))
        address = f"pegboard_{role}:{password}@database:5432/pegboard"
        keep(f"{role}_database_url", f"postgresql://{address}")
    fresh = f"redis://:{secrets.token_urlsafe(32)}@valkey:6379/0"
    url = keep("redis_url", fresh)
    password = url.removeprefix("redis://:").partition("@")[0]
    keep("valkey_users", f"user default on >{password} ~* &* +@all\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
