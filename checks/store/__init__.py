"""The store: what was measured, in SQLAlchemy Core. Synchronous, in batches; whoever calls it owns the thread."""
