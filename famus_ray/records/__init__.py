"""The files of a run and a study: folder, manifest, ledger, tables, checkpoints."""
