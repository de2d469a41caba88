import pytest

from checks.store.ages import ages


@pytest.fixture
def keep(monkeypatch):
    """Set how long what is kept, as the environment does."""

    def set_ages(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"STILLUP_KEEP_{name}", value)
        ages.cache_clear()

    yield set_ages
    ages.cache_clear()
