"""Engines: over HTTP, over a Serve handle, the wire form they share, and what their failures mean."""
