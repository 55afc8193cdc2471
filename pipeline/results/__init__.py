"""The results of a run: preview, pricing, data source mix, gap report, artifacts and export files."""
