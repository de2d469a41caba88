"""The Management API of healthchecks, versions 1 to 3, answered for heartbeats: what it works with works with us."""
