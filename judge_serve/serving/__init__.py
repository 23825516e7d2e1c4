"""Serving: models as vLLM deployments on Ray Serve, the judge ingress in front of them, engines that reach them."""
