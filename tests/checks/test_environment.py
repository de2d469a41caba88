from __future__ import annotations

from pathlib import Path

import pytest

from checks.environment import EnvironmentProblem, data_dir, measurements_url, read_choice, read_env


def test_a_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLUP_BASE_URL", "https://status.example.org")
    assert read_env("STILLUP_BASE_URL") == "https://status.example.org"
    assert read_env("STILLUP_SECRET_KEY", "by default") == "by default"


def test_a_setting_is_read_from_the_file_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("horse\n")
    monkeypatch.setenv("STILLUP_SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert read_env("STILLUP_SECRET_KEY") == "horse"


def test_a_setting_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLUP_SECRET_KEY", "a")
    monkeypatch.setenv("STILLUP_SECRET_KEY_FILE", "b")
    with pytest.raises(EnvironmentProblem, match="STILLUP_SECRET_KEY and STILLUP_SECRET_KEY_FILE are both set"):
        read_env("STILLUP_SECRET_KEY")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("STILLUP_SECRET_KEY_FILE", str(path))
    with pytest.raises(EnvironmentProblem, match=r"STILLUP_SECRET_KEY_FILE names .*secret, which can't be read"):
        read_env("STILLUP_SECRET_KEY")


def test_one_of_a_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_choice("STILLUP_LOG_FORMAT", "text", ("text", "json")) == "text"
    monkeypatch.setenv("STILLUP_LOG_FORMAT", "JSON")
    with pytest.raises(EnvironmentProblem, match="STILLUP_LOG_FORMAT is 'JSON'; allowed: text, json"):
        read_choice("STILLUP_LOG_FORMAT", "text", ("text", "json"))


@pytest.mark.parametrize(
    ("measurements", "database", "expected"),
    [
        (None, None, "sqlite:////var/stillup/measurements.sqlite3"),
        (None, "sqlite:////var/config.sqlite3", "sqlite:////var/stillup/measurements.sqlite3"),
        (None, "postgresql://db/one", "postgresql://db/one"),
        ("postgresql://db/two", "postgresql://db/one", "postgresql://db/two"),
        ("sqlite:////var/elsewhere.sqlite3", "postgresql://db/one", "sqlite:////var/elsewhere.sqlite3"),
        ("postgres://db/two", None, "postgres://db/two"),
    ],
)
def test_the_store_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, measurements: str | None, database: str | None, expected: str
) -> None:
    monkeypatch.setenv("STILLUP_DATA_DIR", "/var/stillup")
    for name, value in (("STILLUP_MEASUREMENTS_URL", measurements), ("STILLUP_DATABASE_URL", database)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert measurements_url() == expected


def test_another_database_is_refused_without_showing_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "mysql://watch:horse@db/stillup")
    with pytest.raises(EnvironmentProblem, match="begins with 'mysql'; allowed: postgresql") as refused:
        measurements_url()
    assert "horse" not in str(refused.value)


def test_the_data_directory_is_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLUP_DATA_DIR", "data")
    assert data_dir() == Path.cwd() / "data"
