"""What a finished run hands over: preview, pricing, data source mix, gap report, artifacts, export files."""
