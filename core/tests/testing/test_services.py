import pytest

from pegboard.testing.services import clean_environment


def test_environment_of_a_service_holds_only_what_the_test_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Settings of the developer's shell do not reach the services that tests start."""
    monkeypatch.setenv("PEGBOARD_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("SECRET_KEY_FILE", "/run/secrets/key")
    monkeypatch.setenv("LANG", "C.UTF-8")

    environment = clean_environment({"WORKERS": "2"})

    assert "PEGBOARD_LOG_LEVEL" not in environment
    assert "SECRET_KEY_FILE" not in environment
    assert ("2", "C.UTF-8") == (environment["WORKERS"], environment["LANG"])
