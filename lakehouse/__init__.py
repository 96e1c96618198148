"""Platform core: settings, object store, lake, metadata, privacy. Knows nothing of sources or Dagster."""
