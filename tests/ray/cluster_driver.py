"""What a user of a cluster of others does there; `python cluster_driver.py FUNCTION` prints its result as JSON."""

import json
import sys

import httpx

from cluster.endpoint import application
from cluster.endpoint.ray_cluster import connected_ray, shipped_packages

PATHS = ("/first", "/declared", "/program", "/ours")


def serve_of_the_cluster():
    """Where it listens."""
    with connected_ray():
        return application.listens_at()


def serve_beside_others():
    """What is answered while ours runs beside applications of others, and after that.

    Serve itself was started by another command of ours, which ends last: by then others rely on it.
    """
    import applications  # as the nodes have it
    from ray import serve

    port = application.free_port()
    with connected_ray() as ray_here, application.running(_config("foreign", "first", port)):
        assert not ray_here.is_own
        application.deploy(_config("foreign", "declared", port))
        serve.run(applications.foreign({}), name="program", route_prefix="/program")
        with application.running(_config("ours", "ours", port, shipped_packages())):
            during = _answers(port)
    with connected_ray():
        return {"during": during, "after": _answers(port)}


def _config(builder, name, port, runtime_env=None):
    application.IMPORT_PATH = f"applications:{builder}"
    model = {"name": "m", "source": "none", "revision": "r", "gpus": 0}
    options = {"name": name, "route_prefix": f"/{name}", "runtime_env": runtime_env}
    return application.serve_config([model], None, host=application.LOOPBACK, port=port, **options)


def _answers(port):
    answers = {path: httpx.get(f"http://127.0.0.1:{port}{path}") for path in PATHS}
    return {path: answer.text if answer.is_success else None for path, answer in answers.items()}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
