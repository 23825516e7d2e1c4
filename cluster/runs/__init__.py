"""The folder of a run: written, read back, resumed, and cleared of a document's texts."""
