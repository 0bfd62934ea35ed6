"""What a run and a study leave on disk: folder, manifest, ledger, tables, checkpoints."""
