"""Placeholder until the URL table."""
urlpatterns: list[object] = []
